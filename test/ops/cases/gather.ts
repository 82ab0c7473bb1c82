/** @file Cases of msm_gather: copies, so exact bits. */
import type { ComputeDtype } from "../../../src/backend/tensor.js";
import { COMPUTE_DTYPES, normals, type OpCase, opCase, uniforms } from "../harness.js";

interface Shape {
  dtype: ComputeDtype;
  rows: number;
  tableRows: number;
  cols: number;
  gap?: number;
}

export function gather({ dtype, rows, tableRows, cols, gap = 0 }: Shape): OpCase {
  const name = `[${rows}, ${cols}] of ${tableRows} rows gap ${gap}`;
  return opCase({
    op: "gather",
    name,
    dtype,
    flops: 0,
    inputs() {
      const uniform = uniforms(name);
      return {
        table: normals(`table ${name}`, tableRows * cols, dtype),
        // The first and last row are always read; rows repeat.
        index: Int32Array.from({ length: rows }, (_, i) =>
          i === 0 ? tableRows - 1 : i === 1 ? 0 : Math.floor(uniform() * tableRows),
        ),
      };
    },
    setup({ place, backend }, inputs) {
      const table = place("table", dtype, tableRows, cols, inputs.table, { gap });
      const index = place("index", "i32", 1, rows, inputs.index, { gap });
      const out = place("out", dtype, rows, cols, undefined, { gap: gap && gap + 4 });
      return { run: () => backend.ops.gather({ out, table, index }), outputs: { out } };
    },
    reference({ table, index }) {
      const values = new Float64Array(rows * cols);
      for (let i = 0; i < rows; i++) values.set(table.subarray(index[i]! * cols, (index[i]! + 1) * cols), i * cols);
      return { out: { values, relative: 0 } };
    },
  });
}

export const cases: OpCase[] = COMPUTE_DTYPES.flatMap((dtype) => [
  gather({ dtype, rows: 1, tableRows: 1, cols: 1 }),
  gather({ dtype, rows: 33, tableRows: 7, cols: 31, gap: 3 }),
  gather({ dtype, rows: 4, tableRows: 5, cols: 4099, gap: 1 }),
  gather({ dtype, rows: 257, tableRows: 1000, cols: 192 }),
]);
