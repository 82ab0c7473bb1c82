/** @file Cases of msm_fill, as `clear` uses it. */
import type { ComputeDtype } from "../../../src/backend/tensor.js";
import { COMPUTE_DTYPES, type OpCase, opCase } from "../harness.js";

export function clear(dtype: ComputeDtype, cols: number): OpCase {
  return opCase({
    op: "fill",
    name: `clear [1, ${cols}]`,
    dtype,
    flops: 0,
    inputs: () => ({}),
    setup({ place, backend }) {
      const out = place("out", dtype, 1, cols, undefined, { offset: 3 });
      return { run: () => backend.ops.clear(out), outputs: { out } };
    },
    reference: () => ({ out: { values: new Float64Array(cols), relative: 0 } }),
  });
}

export const cases: OpCase[] = COMPUTE_DTYPES.flatMap((dtype) => [1, 31, 33, 4099].map((cols) => clear(dtype, cols)));
