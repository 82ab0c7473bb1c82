/** @file Cases of msm_convert. One multiplication in f32 and one rounding leave no freedom: exact bits. */

import type { ComputeDtype, Dtype } from "../../../src/backend/tensor.js";
import { decodeFloats, encodeFloats } from "../../../src/base/float.js";
import { COMPUTE_DTYPES, normals, type OpCase, opCase, roundAll, roundTo } from "../harness.js";

interface Shape {
  from: Dtype;
  to: ComputeDtype;
  rows: number;
  cols: number;
  scale?: number;
  gap?: number;
  /** Values that rounding treats specially, before the random ones. */
  special?: number[];
}

/** Bit patterns of f16 values, for inputs. */
function f16Patterns(values: Float64Array): Uint16Array {
  const bytes = encodeFloats("F16", Float32Array.from(values));
  return new Uint16Array(bytes.buffer, bytes.byteOffset, values.length);
}

export function convert({ from, to, rows, cols, scale = 1, gap = 0, special = [] }: Shape): OpCase {
  const name =
    `${from} to ${to} [${rows}, ${cols}] scale ${scale} gap ` + `${gap}${special.length ? " special values" : ""}`;
  return opCase({
    op: "convert",
    name,
    dtype: to,
    flops: rows * cols,
    inputs() {
      const values = normals(name, rows * cols, "f32");
      values.set(special);
      if (from !== "f16") return { src: roundAll(from, values), stored: roundAll(from, values) as ArrayLike<number> };
      const stored = f16Patterns(values);
      return { src: Float64Array.from(decodeFloats("F16", new Uint8Array(stored.buffer))), stored };
    },
    setup({ place, backend }, { stored }) {
      const src = place("src", from, rows, cols, stored, { gap });
      const dst = place("dst", to, rows, cols, undefined, { gap: gap && gap + 2 });
      return { run: () => backend.ops.convert({ dst, src, scale }), outputs: { dst } };
    },
    reference: ({ src }) => ({
      dst: { values: src.map((x) => roundTo(to, Math.fround(x) * Math.fround(scale))), relative: 0 },
    }),
  });
}

const SUBNORMAL_F32 = 2 ** -149;
// Ties that round down and up to even, the largest f32 (infinity in bf16), infinities, NaN, both zeros, subnormals of
// bf16 and f16.
const SPECIAL = [
  1 + 2 ** -8,
  1 + 3 * 2 ** -8,
  1 + 2 ** -8 + 2 ** -20,
  -(1 + 2 ** -8),
  3.4028234663852886e38,
  -3.4028234663852886e38,
  Number.POSITIVE_INFINITY,
  Number.NEGATIVE_INFINITY,
  Number.NaN,
  0,
  -0,
  2 ** -24,
  3 * 2 ** -24,
  65504,
  2 ** -14,
];
const TINY = [2 ** -127, 2 ** -133, -(2 ** -130), SUBNORMAL_F32, 2 ** -126];

export const cases: OpCase[] = COMPUTE_DTYPES.flatMap((to) =>
  (["f32", "bf16", "f16"] as const).flatMap((from) => [
    convert({ from, to, rows: 1, cols: 1 }),
    convert({ from, to, rows: 31, cols: 33, scale: 0.3, gap: 3 }),
    convert({ from, to, rows: 3, cols: 4099, scale: -2 }),
    convert({ from, to, rows: 33, cols: 1, gap: 1 }),
    convert({ from, to, rows: 1, cols: 67, special: SPECIAL }),
    convert({ from, to, rows: 1, cols: 67, special: TINY }),
  ]),
);
