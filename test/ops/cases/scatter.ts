/** @file Cases of msm_scatter: copies, so exact bits. Rows of dst that no index names keep what they held. */
import type { ComputeDtype } from "../../../src/backend/tensor.js";
import { COMPUTE_DTYPES, normals, type OpCase, opCase } from "../harness.js";

interface Shape {
  dtype: ComputeDtype;
  rows: number;
  cols: number;
  gap?: number;
}

export function scatter({ dtype, rows, cols, gap = 0 }: Shape): OpCase {
  const name = `[${rows}, ${cols}] gap ${gap}`;
  const dstRows = rows + 5;
  return opCase({
    op: "scatter",
    name,
    dtype,
    flops: 0,
    inputs: () => ({
      src: normals(`src ${name}`, rows * cols, dtype),
      dst: normals(`dst ${name}`, dstRows * cols, dtype),
      // Distinct rows in no order; every fifth row is skipped.
      index: Int32Array.from({ length: rows }, (_, i) => (i % 5 === 3 ? -1 - i : dstRows - 1 - i)),
    }),
    setup({ place, backend }, inputs) {
      const src = place("src", dtype, rows, cols, inputs.src, { gap });
      const dst = place("dst", dtype, dstRows, cols, inputs.dst, { gap: gap && gap + 4 });
      const index = place("index", "i32", 1, rows, inputs.index, { gap });
      return { run: () => backend.ops.scatter({ dst, src, index }), outputs: { dst } };
    },
    reference({ src, dst, index }) {
      const values = dst.slice();
      for (let i = 0; i < rows; i++)
        if (index[i]! >= 0) values.set(src.subarray(i * cols, (i + 1) * cols), index[i]! * cols);
      return { dst: { values, relative: 0 } };
    },
  });
}

export const cases: OpCase[] = COMPUTE_DTYPES.flatMap((dtype) => [
  scatter({ dtype, rows: 1, cols: 1 }),
  scatter({ dtype, rows: 33, cols: 31, gap: 3 }),
  scatter({ dtype, rows: 6, cols: 4099, gap: 1 }),
  scatter({ dtype, rows: 300, cols: 192 }),
]);
