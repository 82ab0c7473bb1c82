/**
 * @file Every op case on every build of the CPU library that this machine runs, against its double-precision reference. Gaps, ends and
 * inputs must be untouched. test/ops/sanitized.test.ts runs this file again under AddressSanitizer.
 */
import { afterAll, beforeAll, describe, it } from "vitest";
import type { Backend } from "../../src/backend/backend.js";
import { ALL_CASES } from "./cases/index.js";
import { openIsa, testedIsas } from "./harness.js";

// The sanitized run is some ten times slower: it leaves out what repeats a smaller case at length.
const MAX_FLOPS = Number(process.env["MSM_CASE_FLOPS"] ?? Number.POSITIVE_INFINITY);

describe.each(testedIsas())("%s", (isa) => {
  let backend: Backend;
  beforeAll(() => {
    backend = openIsa(isa);
  });
  afterAll(() => backend.close());

  const cases = ALL_CASES.filter(({ flops }) => flops <= MAX_FLOPS);
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
