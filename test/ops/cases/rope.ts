/** @file Cases of msm_rope, forward and inverse. */
import type { ComputeDtype } from "../../../src/backend/tensor.js";
import { COMPUTE_DTYPES, type GradientCase, normals, type OpCase, opCase, uniforms } from "../harness.js";

// f32: two products and a sum, three roundings of 6e-8 relative to the pair's length.
const RELATIVE = 3e-7;

interface Dims {
  N: number;
  G: number;
  E: number;
}

/** Tables as the model makes them: cos and sin of position / theta^(2i / E). */
export function ropeTables(positions: number, E: number, theta = 10000) {
  const half = E / 2;
  const angle = (index: number) => Math.floor(index / half) / theta ** (((index % half) * 2) / E);
  return {
    cos: Float64Array.from({ length: positions * half }, (_, i) => Math.fround(Math.cos(angle(i)))),
    sin: Float64Array.from({ length: positions * half }, (_, i) => Math.fround(Math.sin(angle(i)))),
  };
}

export function rope64(
  x: Float64Array,
  { cos, sin }: { cos: Float64Array; sin: Float64Array },
  positions: Int32Array,
  inverse: boolean,
  { N, G, E }: Dims,
) {
  const half = E / 2;
  const values = new Float64Array(x.length);
  const magnitude = new Float64Array(x.length);
  for (let n = 0; n < N; n++)
    for (let g = 0; g < G; g++)
      for (let i = 0; i < half; i++) {
        const low = (n * G + g) * E + i;
        const high = (n * G + g) * E + i + half;
        const c = cos[positions[n]! * half + i]!;
        const s = sin[positions[n]! * half + i]! * (inverse ? -1 : 1);
        values[low] = x[low]! * c - x[high]! * s;
        values[high] = x[high]! * c + x[low]! * s;
        magnitude[low] = magnitude[high] = Math.hypot(x[low]!, x[high]!);
      }
  return { values, magnitude };
}

interface Shape extends Dims {
  dtype: ComputeDtype;
  inverse?: boolean;
  gap?: number;
}

export function rope({ dtype, N, G, E, inverse = false, gap = 0 }: Shape): OpCase {
  const name = `${inverse ? "inverse" : "forward"} N=${N} G=${G} E=${E} gap ${gap}`;
  const maxPositions = N + 7;
  return opCase({
    op: "rope",
    name,
    dtype,
    flops: 3 * N * G * E,
    inputs() {
      const uniform = uniforms(`positions ${name}`);
      return {
        x: normals(`x ${name}`, N * G * E, dtype),
        ...ropeTables(maxPositions, E),
        // Positions restart and repeat, in no order; the last one of the table is used.
        positions: Int32Array.from({ length: N }, (_, n) =>
          n === 0 ? maxPositions - 1 : Math.floor(uniform() * maxPositions),
        ),
      };
    },
    setup({ place, backend }, inputs) {
      const x = place("x", dtype, N, G * E, inputs.x, { gap });
      const cos = place("cos", "f32", maxPositions, E / 2, inputs.cos, { offset: gap });
      const sin = place("sin", "f32", maxPositions, E / 2, inputs.sin, { offset: gap });
      const positions = place("positions", "i32", 1, N, inputs.positions, { gap });
      return { run: () => backend.ops.rope({ x, cos, sin, positions, inverse }), outputs: { x } };
    },
    reference: ({ x, cos, sin, positions }) => ({
      x: { ...rope64(x, { cos, sin }, positions, inverse, { N, G, E }), relative: RELATIVE },
    }),
  });
}

export const cases: OpCase[] = COMPUTE_DTYPES.flatMap((dtype) => [
  rope({ dtype, N: 1, G: 1, E: 2 }),
  rope({ dtype, N: 31, G: 7, E: 8, gap: 3 }),
  rope({ dtype, N: 33, G: 2, E: 24, gap: 1 }),
  rope({ dtype, N: 33, G: 9, E: 64 }),
  rope({ dtype, N: 17, G: 3, E: 80, gap: 5, inverse: true }),
  rope({ dtype, N: 65, G: 4, E: 128, inverse: true }),
  rope({ dtype, N: 5, G: 1, E: 256, inverse: true, gap: 1 }),
  rope({ dtype, N: 4099, G: 1, E: 8 }),
  rope({ dtype, N: 2, G: 1, E: 2064 }),
]);

const DIMS = { N: 3, G: 2, E: 8 };
const POSITIONS = Int32Array.from([4, 0, 2]);

export const gradients: GradientCase[] = [
  {
    op: "rope",
    name: "N=3 G=2 E=8",
    inputs: { x: normals("gradient x", 48) },
    forward: ({ x }) => rope64(x!, ropeTables(5, 8), POSITIONS, false, DIMS).values,
    backward: (_, dout) => ({ x: rope64(dout, ropeTables(5, 8), POSITIONS, true, DIMS).values }),
  },
];
