/** @file Cases of msm_rmsnorm_forward and msm_rmsnorm_backward. */
import type { ComputeDtype } from "../../../src/backend/tensor.js";
import { COMPUTE_DTYPES, type GradientCase, normals, type OpCase, opCase, roundTo } from "../harness.js";

// f32: a sum of 4099 squares in four lanes is good to some 30 ulp (6e-8 each), rstd halves that, two products follow.
// bf16 adds the rounding of the output alone, which the harness grants. Longer sums are worse in proportion.
const relativeError = (D: number) => 2e-6 * Math.max(1, D / 4099);
const EPS = 1e-6;

interface Dims {
  N: number;
  G: number;
  D: number;
}

/** `h` is what is normalised: x + delta. */
export function rmsnormForward64(h: Float64Array, weight: Float64Array, eps: number, { N, G, D }: Dims) {
  const rstd = new Float64Array(N * G);
  const out = new Float64Array(N * G * D);
  for (let row = 0; row < N * G; row++) {
    let squares = 0;
    for (let d = 0; d < D; d++) squares += h[row * D + d]! ** 2;
    rstd[row] = 1 / Math.sqrt(squares / D + eps);
    for (let d = 0; d < D; d++) out[row * D + d] = h[row * D + d]! * rstd[row]! * weight[d]!;
  }
  return { rstd, out };
}

/** dx without the residual, and the sum of its absolute terms. */
export function rmsnormBackward64(
  dout: Float64Array,
  h: Float64Array,
  weight: Float64Array,
  rstd: Float64Array,
  { N, G, D }: Dims,
) {
  const dx = new Float64Array(N * G * D);
  const magnitude = new Float64Array(N * G * D);
  for (let row = 0; row < N * G; row++) {
    let mean = 0;
    let meanAbs = 0;
    for (let d = 0; d < D; d++) {
      const term = weight[d]! * dout[row * D + d]! * h[row * D + d]! * rstd[row]!;
      mean += term / D;
      meanAbs += Math.abs(term) / D;
    }
    for (let d = 0; d < D; d++) {
      const i = row * D + d;
      const direct = weight[d]! * dout[i]!;
      const xhat = h[i]! * rstd[row]!;
      dx[i] = rstd[row]! * (direct - xhat * mean);
      magnitude[i] = rstd[row]! * (Math.abs(direct) + Math.abs(xhat) * meanAbs);
    }
  }
  return { dx, magnitude };
}

interface Shape extends Dims {
  dtype: ComputeDtype;
  gap?: number;
}

interface ForwardShape extends Shape {
  /** The sum x + delta goes to a tensor of its own, or over x. */
  residual?: "apart" | "in place";
}

export function rmsnormForward({ dtype, N, G, D, gap = 0, residual }: ForwardShape): OpCase {
  const name = `forward N=${N} G=${G} D=${D} gap ${gap}${residual ? ` residual ${residual}` : ""}`;
  const count = N * G * D;
  return opCase({
    op: "rmsnorm",
    name,
    dtype,
    flops: 4 * count,
    inputs() {
      const x = normals(`x ${name}`, count, dtype);
      // A row of zeros: rstd is 1 / sqrt(eps), out is 0.
      if (N > 2) x.fill(0, count - G * D);
      const delta = normals(`delta ${name}`, count, dtype, 0.5);
      if (N > 2) delta.fill(0, count - G * D);
      const weight = normals(`weight ${name}`, D, dtype);
      // The contract rounds h once, to dtype, and normalises what it stored.
      return { x, delta, weight, h: residual ? x.map((a, i) => roundTo(dtype, a + delta[i]!)) : x };
    },
    setup({ place, backend }, inputs) {
      const x = place("x", dtype, N, G * D, inputs.x, { gap });
      const weight = place("weight", dtype, 1, D, inputs.weight, { gap });
      const out = place("out", dtype, N, G * D, undefined, { gap: gap && gap + 2 });
      const rstd = place("rstd", "f32", N, G, undefined, { offset: gap });
      if (!residual)
        return { run: () => backend.ops.rmsnormForward({ out, rstd, x, weight, eps: EPS }), outputs: { out, rstd } };
      const delta = place("delta", dtype, N, G * D, inputs.delta, { gap: gap && gap + 6 });
      const h = residual === "apart" ? place("h", dtype, N, G * D, undefined, { gap: gap && gap + 4 }) : x;
      return {
        run: () => backend.ops.rmsnormForward({ out, rstd, x, residual: { h, delta }, weight, eps: EPS }),
        outputs: { out, rstd, h },
      };
    },
    reference({ h, weight }) {
      const { out, rstd } = rmsnormForward64(h, weight, Math.fround(EPS), { N, G, D });
      const wanted = {
        out: { values: out, relative: relativeError(D), magnitude: out.map(Math.abs) },
        rstd: { values: rstd, relative: relativeError(D), magnitude: rstd },
      };
      return residual ? { ...wanted, h: { values: h, relative: 0 } } : wanted;
    },
  });
}

interface BackwardShape extends Shape {
  /** Where the gradient that the residual stream carries lies; "dout": dresidual, dout and dx are one tensor. */
  dresidual?: "apart" | "dx" | "dout";
  /** dx over dout. */
  inPlace?: boolean;
}

export function rmsnormBackward({ dtype, N, G, D, gap = 0, dresidual, inPlace = false }: BackwardShape): OpCase {
  const variant = [dresidual && `dresidual ${dresidual}`, inPlace && "in place"].filter(Boolean).join(", ");
  const name = `backward N=${N} G=${G} D=${D} gap ${gap} ${variant}`;
  const count = N * G * D;
  return opCase({
    op: "rmsnorm",
    name,
    dtype,
    flops: 8 * count,
    inputs() {
      const h = normals(`h ${name}`, count, dtype, 2);
      const weight = normals(`weight ${name}`, D, dtype);
      return {
        h,
        weight,
        dout: normals(`dout ${name}`, count, dtype),
        carried: normals(`carried ${name}`, count, dtype),
        rstd: rmsnormForward64(h, weight, EPS, { N, G, D }).rstd.map(Math.fround),
      };
    },
    setup({ place, backend }, inputs) {
      const matrix = (title: string, values: Float64Array | undefined, extra: number) =>
        place(title, dtype, N, G * D, values, { gap: gap && gap + extra });
      const dout = matrix("dout", inputs.dout, 0);
      const carried = dresidual && dresidual !== "dout" ? matrix("dresidual", inputs.carried, 2) : dout;
      const dx = inPlace ? dout : dresidual === "dx" ? carried : matrix("dx", undefined, 4);
      const h = matrix("h", inputs.h, 6);
      const weight = place("weight", dtype, 1, D, inputs.weight, { gap });
      const rstd = place("rstd", "f32", N, G, inputs.rstd, { offset: gap });
      const residual = dresidual && { dresidual: carried };
      return { run: () => backend.ops.rmsnormBackward({ dx, dout, h, weight, rstd, ...residual }), outputs: { dx } };
    },
    reference({ dout, h, weight, rstd, carried }) {
      const { dx, magnitude } = rmsnormBackward64(dout, h, weight, rstd, { N, G, D });
      const added = dresidual === "dout" ? dout : dresidual ? carried : new Float64Array(count);
      return {
        dx: {
          values: dx.map((x, i) => x + added[i]!),
          relative: relativeError(D),
          magnitude: magnitude.map((x, i) => x + Math.abs(added[i]!)),
        },
      };
    },
  });
}

export const cases: OpCase[] = COMPUTE_DTYPES.flatMap((dtype) => [
  rmsnormForward({ dtype, N: 1, G: 1, D: 1 }),
  rmsnormForward({ dtype, N: 31, G: 1, D: 33, gap: 3 }),
  rmsnormForward({ dtype, N: 31, G: 1, D: 33, gap: 3, residual: "apart" }),
  rmsnormForward({ dtype, N: 33, G: 1, D: 31, gap: 1, residual: "in place" }),
  rmsnormForward({ dtype, N: 3, G: 1, D: 4099, residual: "apart" }),
  rmsnormForward({ dtype, N: 17, G: 7, D: 64 }),
  rmsnormForward({ dtype, N: 9, G: 3, D: 80, gap: 7 }),
  rmsnormForward({ dtype, N: 65, G: 1, D: 576, residual: "in place" }),
  // Longer than the registers of a GPU's block hold.
  rmsnormForward({ dtype, N: 2, G: 1, D: 8200, residual: "in place" }),
  rmsnormBackward({ dtype, N: 1, G: 1, D: 1 }),
  rmsnormBackward({ dtype, N: 31, G: 1, D: 33, gap: 3 }),
  rmsnormBackward({ dtype, N: 31, G: 1, D: 33, gap: 3, dresidual: "apart" }),
  rmsnormBackward({ dtype, N: 33, G: 1, D: 31, gap: 1, dresidual: "dx" }),
  rmsnormBackward({ dtype, N: 33, G: 1, D: 31, gap: 1, dresidual: "apart", inPlace: true }),
  rmsnormBackward({ dtype, N: 5, G: 1, D: 100, gap: 1, dresidual: "dout" }),
  rmsnormBackward({ dtype, N: 5, G: 1, D: 100, gap: 1, dresidual: "dout", inPlace: true }),
  rmsnormBackward({ dtype, N: 3, G: 1, D: 4099, inPlace: true }),
  rmsnormBackward({ dtype, N: 17, G: 7, D: 64, inPlace: true }),
  rmsnormBackward({ dtype, N: 65, G: 1, D: 576, dresidual: "dx" }),
  rmsnormBackward({ dtype, N: 2, G: 1, D: 8200, dresidual: "dx" }),
]);

const DIMS = { N: 3, G: 2, D: 9 };

export const gradients: GradientCase[] = [
  {
    op: "rmsnorm",
    name: "N=3 G=2 D=9",
    inputs: { h: normals("gradient h", 54), weight: normals("gradient weight", 9) },
    forward: ({ h, weight }) => rmsnormForward64(h!, weight!, EPS, DIMS).out,
    backward({ h, weight }, dout) {
      const { rstd } = rmsnormForward64(h!, weight!, EPS, DIMS);
      return { h: rmsnormBackward64(dout, h!, weight!, rstd, DIMS).dx };
    },
  },
];
