/**
 * @file Every op case on every build of the CPU library that this machine runs, against its double-precision reference.
 * Gaps, ends and inputs must be untouched. test/ops/sanitized.slow.test.ts runs this file again under AddressSanitizer.
 */
import { afterAll, beforeAll, describe, it } from "vitest";
import type { Backend } from "../../src/backend/backend.js";
import { openBuild, testedBuilds } from "./builds.js";
import { ALL_CASES } from "./cases/index.js";

// The sanitized run is several times slower: it leaves out what repeats a smaller case at length.
const MAX_FLOPS = Number(process.env["MSM_CASE_FLOPS"] ?? Number.POSITIVE_INFINITY);
const ONLY_DTYPE = process.env["MSM_CASE_DTYPE"];

describe.each(testedBuilds().map((build) => [build.name, build] as const))("%s", (_, build) => {
  let backend: Backend;
  beforeAll(async () => {
    backend = await openBuild(build);
  });
  afterAll(() => backend.close());

  const cases = ALL_CASES.filter(({ dtype, flops }) => flops <= MAX_FLOPS && (!ONLY_DTYPE || dtype === ONLY_DTYPE));
  it.each(cases.map((one) => [one.op, one.name, one.dtype, one] as const))(
    "%s: %s %s",
    async (_op, _name, _dtype, one) => {
      const op = one.build(backend);
      op.run();
      await backend.sync();
      await op.check();
      op.close();
    },
  );
});
