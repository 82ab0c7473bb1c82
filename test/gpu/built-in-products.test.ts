/**
 * @file The matrix products that do not need cuBLASLt, which where it is there does the large ones. In a file of its
 * own: a process loads the library once.
 */
import { afterAll, expect, test } from "vitest";
import { openBuild } from "../ops/builds.js";
import { ALL_CASES } from "../ops/cases/index.js";

const backend = await openBuild({ name: "cuda", backend: "cuda", settings: { MSM_CUBLASLT: "0" } });
afterAll(() => backend.close());

test("cuBLASLt is off", () => expect(backend.info.cublaslt).toBeNull());

const cases = ALL_CASES.filter(({ op }) => /^(matmul|linear_cross_entropy)$/.test(op));
test.for(cases.map((one) => [one.op, one.name, one.dtype, one] as const))("%s %s %s", async ([, , , one]) => {
  const op = one.build(backend);
  op.run();
  await op.check();
  op.close();
});
