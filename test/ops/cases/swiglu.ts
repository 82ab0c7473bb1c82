/** @file Cases of msm_swiglu_forward and msm_swiglu_backward. */
import type { ComputeDtype } from "../../../src/backend/tensor.js";
import { COMPUTE_DTYPES, type GradientCase, normals, type OpCase, opCase, roundTo } from "../harness.js";

// f32: an exponential good to about 2 ulp, a division and three products, each 6e-8.
const RELATIVE = 1e-6;

export function swigluForward64(gateUp: Float64Array, N: number, F: number): Float64Array {
  const out = new Float64Array(N * F);
  for (let n = 0; n < N; n++)
    for (let f = 0; f < F; f++) {
      const gate = gateUp[n * 2 * F + f]!;
      out[n * F + f] = (gate / (1 + Math.exp(-gate))) * gateUp[n * 2 * F + F + f]!;
    }
  return out;
}

export function swigluBackward64(dout: Float64Array, gateUp: Float64Array, N: number, F: number) {
  const dgateUp = new Float64Array(N * 2 * F);
  const magnitude = new Float64Array(N * 2 * F);
  for (let n = 0; n < N; n++)
    for (let f = 0; f < F; f++) {
      const gateAt = n * 2 * F + f;
      const upAt = n * 2 * F + F + f;
      const gate = gateUp[gateAt]!;
      const up = gateUp[upAt]!;
      const d = dout[n * F + f]!;
      const s = 1 / (1 + Math.exp(-gate));
      dgateUp[gateAt] = d * up * s * (1 + gate * (1 - s));
      dgateUp[upAt] = d * gate * s;
      magnitude[gateAt] = Math.abs(d * up * s) * (1 + Math.abs(gate * (1 - s)));
      magnitude[upAt] = Math.abs(dgateUp[upAt]!);
    }
  return { dgateUp, magnitude };
}

interface Shape {
  dtype: ComputeDtype;
  N: number;
  F: number;
  gap?: number;
}

// Saturated gates: exp(-gate) overflows f32 below -88.7, and silu is still finite.
const SATURATED = [88, -80, 100, -100, 1e4, -1e4, 0, -0];

function gateUpValues(name: string, dtype: ComputeDtype, N: number, F: number): Float64Array {
  const values = normals(`gateUp ${name}`, N * 2 * F, dtype, 3);
  if (F > SATURATED.length) values.set(SATURATED.map((x) => roundTo(dtype, x)));
  return values;
}

export function swigluForward({ dtype, N, F, gap = 0 }: Shape): OpCase {
  const name = `forward N=${N} F=${F} gap ${gap}`;
  return opCase({
    op: "swiglu",
    name,
    dtype,
    flops: 5 * N * F,
    inputs: () => ({ gateUp: gateUpValues(name, dtype, N, F) }),
    setup({ place, backend }, inputs) {
      const gateUp = place("gateUp", dtype, N, 2 * F, inputs.gateUp, { gap });
      const out = place("out", dtype, N, F, undefined, { gap: gap && gap + 2 });
      return { run: () => backend.ops.swigluForward({ out, gateUp }), outputs: { out } };
    },
    reference({ gateUp }) {
      const values = swigluForward64(gateUp, N, F);
      // Below -88 a gate's sigmoid is a subnormal f32 or 0: an absolute error of 1e-37 times the up value.
      const magnitude = values.map((x) => Math.abs(x) + 1e-30);
      return { out: { values, relative: RELATIVE, magnitude } };
    },
  });
}

export function swigluBackward({ dtype, N, F, gap = 0, inPlace = false }: Shape & { inPlace?: boolean }): OpCase {
  const name = `backward N=${N} F=${F} gap ${gap}${inPlace ? " in place" : ""}`;
  return opCase({
    op: "swiglu",
    name,
    dtype,
    flops: 12 * N * F,
    inputs: () => ({ gateUp: gateUpValues(name, dtype, N, F), dout: normals(`dout ${name}`, N * F, dtype) }),
    setup({ place, backend }, inputs) {
      const gateUp = place("gateUp", dtype, N, 2 * F, inputs.gateUp, { gap });
      const dout = place("dout", dtype, N, F, inputs.dout, { gap: gap && gap + 2 });
      const dgateUp = inPlace ? gateUp : place("dgateUp", dtype, N, 2 * F, undefined, { gap: gap && gap + 4 });
      return { run: () => backend.ops.swigluBackward({ dgateUp, dout, gateUp }), outputs: { dgateUp } };
    },
    reference({ dout, gateUp }) {
      const { dgateUp, magnitude } = swigluBackward64(dout, gateUp, N, F);
      return { dgateUp: { values: dgateUp, relative: RELATIVE, magnitude: magnitude.map((x) => x + 1e-30) } };
    },
  });
}

export const cases: OpCase[] = COMPUTE_DTYPES.flatMap((dtype) => [
  swigluForward({ dtype, N: 1, F: 1 }),
  swigluForward({ dtype, N: 31, F: 33, gap: 3 }),
  swigluForward({ dtype, N: 33, F: 31, gap: 1 }),
  swigluForward({ dtype, N: 3, F: 4099 }),
  swigluForward({ dtype, N: 64, F: 192 }),
  swigluForward({ dtype, N: 2, F: 4104 }),
  swigluBackward({ dtype, N: 1, F: 1 }),
  swigluBackward({ dtype, N: 31, F: 33, gap: 3 }),
  swigluBackward({ dtype, N: 33, F: 31, gap: 1, inPlace: true }),
  swigluBackward({ dtype, N: 3, F: 4099, inPlace: true }),
  swigluBackward({ dtype, N: 64, F: 192 }),
  swigluBackward({ dtype, N: 2, F: 4104, inPlace: true }),
]);

export const gradients: GradientCase[] = [
  {
    op: "swiglu",
    name: "N=3 F=7",
    inputs: { gateUp: normals("gradient gateUp", 42, "f64", 2) },
    forward: ({ gateUp }) => swigluForward64(gateUp!, 3, 7),
    backward: ({ gateUp }, dout) => ({ gateUp: swigluBackward64(dout, gateUp!, 3, 7).dgateUp }),
  },
];
