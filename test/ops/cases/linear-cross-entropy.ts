/** @file Cases of msm_linear_cross_entropy: the language-model head and its loss, forward and backward in one call. */
import type { ComputeDtype } from "../../../src/backend/tensor.js";
import { COMPUTE_DTYPES, type GradientCase, normals, type OpCase, once, opCase, uniforms } from "../harness.js";

// f32: a handful of roundings (6e-8) of p and of the sums over V. On top of them a logit, a sum of D products, is off
// by some 1e-7 of |x| |w|, which the exponential makes p's relative error: see `logitShare`.
const RELATIVE = 2e-6;
// bf16: logits, losses and the softmax's sum stay f32; softmax minus the target's 1 may be rounded to bf16 before its
// product with w.

interface Dims {
  N: number;
  D: number;
  V: number;
}

/** Losses and the gradient of their sum times dscale. */
export function linearCrossEntropy64(
  x: Float64Array,
  w: Float64Array,
  targets: Int32Array,
  dscale: number,
  { N, D, V }: Dims,
) {
  const losses = new Float64Array(N);
  const lossesMagnitude = new Float64Array(N);
  const logits = new Float64Array(N * V);
  const dx = new Float64Array(N * D);
  const magnitude = new Float64Array(N * D);
  const rounded = new Float64Array(N * D);
  let maxNorm = 0;
  for (let v = 0; v < V; v++) maxNorm = Math.max(maxNorm, Math.hypot(...w.subarray(v * D, (v + 1) * D)));
  for (let n = 0; n < N; n++) {
    const target = targets[n]!;
    let max = Number.NEGATIVE_INFINITY;
    for (let v = 0; v < V; v++) {
      let sum = 0;
      for (let d = 0; d < D; d++) sum += x[n * D + d]! * w[v * D + d]!;
      logits[n * V + v] = sum;
      max = Math.max(max, sum);
    }
    if (target < 0) continue;
    let total = 0;
    for (let v = 0; v < V; v++) total += Math.exp(logits[n * V + v]! - max);
    const lse = max + Math.log(total);
    losses[n] = lse - logits[n * V + target]!;
    lossesMagnitude[n] = 1 + Math.abs(lse) + Math.hypot(...x.subarray(n * D, (n + 1) * D)) * maxNorm;
    const logitShare = 1 + 0.1 * Math.hypot(...x.subarray(n * D, (n + 1) * D)) * maxNorm;
    for (let v = 0; v < V; v++) {
      const p = Math.exp(logits[n * V + v]! - lse);
      const dlogit = p - (v === target ? 1 : 0);
      for (let d = 0; d < D; d++) {
        const weight = dscale * w[v * D + d]!;
        dx[n * D + d]! += dlogit * weight;
        rounded[n * D + d]! += Math.abs(dlogit * weight);
        magnitude[n * D + d]! += logitShare * (p + (v === target ? 1 : 0)) * Math.abs(weight);
      }
    }
  }
  return { losses, lossesMagnitude, logits, dx, magnitude, rounded };
}

// Blocks of the vocabulary are smaller than twice this: ties fall into one block, into neighbours and into the last.
const TIE_DISTANCE = 350;

function range(begin: number, end: number, step: number): number[] {
  return Array.from({ length: Math.ceil((end - begin) / step) }, (_, i) => begin + i * step);
}

/** Which rows have a target. */
type Targets = "all" | "some" | "none";

function targetsOf(name: string, kind: Targets, N: number, V: number): Int32Array {
  const uniform = uniforms(`targets ${name}`);
  return Int32Array.from({ length: N }, (_, n) => {
    // The first and the last token of the vocabulary are always asked for.
    const id = n === 0 ? V - 1 : n === 1 ? 0 : Math.floor(uniform() * V);
    if (kind === "all" || (kind === "some" && n % 3 !== 1)) return id;
    return n % 2 ? -100 : -1;
  });
}

interface Shape extends Dims {
  dtype: ComputeDtype;
  targets?: Targets;
  gap?: number;
  /** Log-probabilities only. */
  forwardOnly?: boolean;
  argmax?: boolean;
  dscale?: number;
  /** Standard deviation of the logits. */
  peak?: number;
}

export function linearCrossEntropy(shape: Shape): OpCase {
  const { dtype, N, D, V, targets: kind = "all", gap = 0, forwardOnly = false, argmax = false } = shape;
  const { dscale = Math.fround(1 / 37), peak = 2 } = shape;
  const extras = [forwardOnly && "forward only", argmax && "argmax", peak !== 2 && `peak ${peak}`]
    .filter(Boolean)
    .join(", ");
  const name = `N=${N} D=${D} V=${V} targets ${kind} gap ${gap} ${extras}`;
  const dims = { N, D, V };
  return opCase({
    op: "linear_cross_entropy",
    name,
    dtype,
    flops: (forwardOnly ? 2 : 4) * N * D * V,
    inputs() {
      const w = normals(`w ${name}`, V * D, dtype, peak / Math.sqrt(D));
      // Equal rows of w, some hundred apart: the argmax of a row of x that likes them best is the first.
      const equals = argmax && V > 4 ? [...range(TIE_DISTANCE, V, TIE_DISTANCE), V - 2] : [];
      for (const v of equals) w.copyWithin(v * D, D, 2 * D);
      const x = normals(`x ${name}`, N * D, dtype);
      if (argmax && V > 4) for (let d = 0; d < D; d++) x[d] = 4 * w[D + d]!;
      const targets = targetsOf(name, kind, N, V);
      return { x, w, targets, wanted: once(() => linearCrossEntropy64(x, w, targets, dscale, dims)) };
    },
    setup({ place, workspace: placeWorkspace, backend }, inputs) {
      const { ops } = backend;
      const x = place("x", dtype, N, D, inputs.x, { gap });
      const w = place("w", dtype, V, D, inputs.w, { gap: gap && gap + 2 });
      const targets = place("targets", "i32", 1, N, inputs.targets, { gap });
      const dscaleTensor = place("dscale", "f32", 1, 1, [dscale], { gap });
      const outputs = {
        losses: place("losses", "f32", 1, N, undefined, { gap }),
        ...(argmax && { argmax: place("argmax", "i32", 1, N, undefined, { gap }) }),
        ...(!forwardOnly && { dx: place("dx", dtype, N, D, undefined, { gap: gap && gap + 4 }) }),
      };
      const workspace = placeWorkspace(ops.linearCrossEntropyWorkspaceBytes({ dtype, ...dims }));
      const scaled = forwardOnly ? {} : { dscale: dscaleTensor };
      return { run: () => ops.linearCrossEntropy({ ...outputs, x, w, targets, ...scaled, workspace }), outputs };
    },
    reference(inputs) {
      const wanted = inputs.wanted();
      return {
        losses: { values: wanted.losses, relative: 1e-6, magnitude: wanted.lossesMagnitude },
        ...(!forwardOnly && {
          dx: { values: wanted.dx, relative: RELATIVE, magnitude: wanted.magnitude, rounded: wanted.rounded },
        }),
      };
    },
    judge({ targets, wanted }, got) {
      if (!got["argmax"]) return undefined;
      const { logits } = wanted();
      for (let n = 0; n < N; n++) {
        // A row without a target may be skipped, argmax included.
        if (targets[n]! < 0) continue;
        const row = logits.subarray(n * V, (n + 1) * V);
        const chosen = got["argmax"][n]!;
        const best = row.indexOf(Math.max(...row));
        // Two logits closer than the f32 sums tell apart may swap; equal rows of w have equal sums, so the lowest wins.
        const near = chosen >= 0 && chosen < V && row[best]! - row[chosen]! < 1e-5 * Math.abs(row[best]!);
        if (!near || row[chosen] === row[best] ? chosen !== best : false)
          return `argmax of row ${n} is ${chosen} (logit ${row[chosen]}), expected ${best} (logit ${row[best]})`;
      }
      return undefined;
    },
  });
}

const SHAPES: Omit<Shape, "dtype">[] = [
  { N: 1, D: 1, V: 1 },
  { N: 31, D: 33, V: 4099, targets: "some", gap: 3 },
  { N: 33, D: 31, V: 1031, argmax: true, gap: 1 },
  { N: 5, D: 20, V: 6007, argmax: true },
  { N: 9, D: 24, V: 20011, targets: "some" },
  { N: 17, D: 40, V: 33, targets: "none", argmax: true },
  { N: 150, D: 48, V: 515, targets: "some", forwardOnly: true, argmax: true },
  { N: 300, D: 16, V: 130, targets: "some" },
  { N: 7, D: 576, V: 300, peak: 12 },
  { N: 3, D: 4099, V: 65, gap: 1 },
];

export const cases: OpCase[] = COMPUTE_DTYPES.flatMap((dtype) =>
  SHAPES.map((shape) => linearCrossEntropy({ dtype, ...shape })),
);

const DIMS: Dims = { N: 4, D: 5, V: 7 };
const TARGETS = Int32Array.from([6, -1, 0, 3]);

export const gradients: GradientCase[] = [
  {
    op: "linear_cross_entropy",
    name: "N=4 D=5 V=7",
    inputs: { x: normals("gradient x", 20), w: normals("gradient w", 35) },
    forward: ({ x, w }) =>
      Float64Array.of(linearCrossEntropy64(x!, w!, TARGETS, 1, DIMS).losses.reduce((a, b) => a + b)),
    // The op's gradient is that of the sum of the losses times dscale: the weight is frozen.
    backward: ({ x, w }, dout) => ({ x: linearCrossEntropy64(x!, w!, TARGETS, dout[0]!, DIMS).dx }),
  },
];
