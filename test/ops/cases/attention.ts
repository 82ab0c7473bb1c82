/** @file Cases of msm_attention_forward and msm_attention_backward: causal inside segments, grouped-query. */
import type { ComputeDtype } from "../../../src/backend/tensor.js";
import { COMPUTE_DTYPES, type GradientCase, normals, type OpCase, opCase, roundAll } from "../harness.js";

// f32: a score is a sum of E products (error 6e-8 of the sum of absolute terms, which `peak` multiplies), its
// exponential turns that absolute error into a relative one of p; the sums over keys add a few ulp.
const RELATIVE = 3e-6;
// bf16: the kernels may round p and ds to bf16 before the products with v, q, k and dout (as FlashAttention does, and
// as the tensor units need); scores, lse and the softmax's sum stay f32.

interface Dims {
  N: number;
  H: number;
  K: number;
  E: number;
}

/** starts[n] of segments of these lengths, one after the other. */
export function segmentStarts(lengths: number[]): Int32Array {
  let start = 0;
  const starts: number[] = [];
  for (const length of lengths) {
    for (let i = 0; i < length; i++) starts.push(start);
    start += length;
  }
  return Int32Array.from(starts);
}

function dot(a: Float64Array, aBegin: number, b: Float64Array, bBegin: number, count: number): number {
  let sum = 0;
  for (let i = 0; i < count; i++) sum += a[aBegin + i]! * b[bBegin + i]!;
  return sum;
}

/** out, lse, and for every element of out the sum of p |v|. */
export function attentionForward64(
  q: Float64Array,
  k: Float64Array,
  v: Float64Array,
  starts: Int32Array,
  scale: number,
  { N, H, K, E }: Dims,
) {
  const out = new Float64Array(N * H * E);
  const magnitude = new Float64Array(N * H * E);
  const lse = new Float64Array(H * N);
  const p = new Float64Array(N);
  for (let h = 0; h < H; h++) {
    const kv = Math.floor(h / (H / K));
    for (let n = 0; n < N; n++) {
      const row = (n * H + h) * E;
      let max = Number.NEGATIVE_INFINITY;
      for (let j = starts[n]!; j <= n; j++) {
        p[j] = scale * dot(q, row, k, (j * K + kv) * E, E);
        max = Math.max(max, p[j]!);
      }
      let sum = 0;
      for (let j = starts[n]!; j <= n; j++) sum += Math.exp(p[j]! - max);
      lse[h * N + n] = max + Math.log(sum);
      for (let j = starts[n]!; j <= n; j++) {
        const share = Math.exp(p[j]! - lse[h * N + n]!);
        for (let e = 0; e < E; e++) {
          const term = share * v[(j * K + kv) * E + e]!;
          out[row + e]! += term;
          magnitude[row + e]! += Math.abs(term);
        }
      }
    }
  }
  return { out, lse, magnitude };
}

/** What the backward reads, as the contract has it: out and lse are given, not computed again. */
export interface BackwardInputs {
  dout: Float64Array;
  out: Float64Array;
  lse: Float64Array;
  q: Float64Array;
  k: Float64Array;
  v: Float64Array;
  starts: Int32Array;
}

interface Sums {
  values: Float64Array;
  /** Absolute terms, with the cancellation inside ds. */
  magnitude: Float64Array;
  /** Absolute terms as they are summed. */
  rounded: Float64Array;
}

export function attentionBackward64(inputs: BackwardInputs, scale: number, { N, H, K, E }: Dims) {
  const { dout, out, lse, q, k, v, starts } = inputs;
  const sums = (count: number): Sums => ({
    values: new Float64Array(count),
    magnitude: new Float64Array(count),
    rounded: new Float64Array(count),
  });
  const dq = sums(N * H * E);
  const dk = sums(N * K * E);
  const dv = sums(N * K * E);
  const add = (target: Sums, at: number, factor: number, factorMagnitude: number, x: number) => {
    target.values[at]! += factor * x;
    target.magnitude[at]! += factorMagnitude * Math.abs(x);
    target.rounded[at]! += Math.abs(factor * x);
  };
  for (let h = 0; h < H; h++) {
    const kv = Math.floor(h / (H / K));
    for (let n = 0; n < N; n++) {
      const row = (n * H + h) * E;
      let delta = 0;
      let deltaAbs = 0;
      for (let e = 0; e < E; e++) {
        delta += dout[row + e]! * out[row + e]!;
        deltaAbs += Math.abs(dout[row + e]! * out[row + e]!);
      }
      for (let j = starts[n]!; j <= n; j++) {
        const key = (j * K + kv) * E;
        const p = Math.exp(scale * dot(q, row, k, key, E) - lse[h * N + n]!);
        const ds = scale * p * (dot(dout, row, v, key, E) - delta);
        // |dout . v| is of the size of |dout . out|: their difference cancels.
        const dsAbs = scale * p * (deltaAbs + 2 * Math.abs(dot(dout, row, v, key, E)));
        for (let e = 0; e < E; e++) {
          add(dq, row + e, ds, dsAbs, k[key + e]!);
          add(dk, key + e, ds, dsAbs, q[row + e]!);
          add(dv, key + e, p, p, dout[row + e]!);
        }
      }
    }
  }
  return { dq, dk, dv };
}

interface Shape {
  dtype: ComputeDtype;
  segments: number[];
  H: number;
  K: number;
  E: number;
  gap?: number;
  /** Standard deviation of the scores; large ones make the softmax pick single keys. */
  peak?: number;
}

function shapeOf({ segments, H, K, E, gap = 0, peak = 1 }: Shape) {
  const dims: Dims = { N: segments.reduce((a, b) => a + b, 0), H, K, E };
  // Not a power of two, as in real models with E = 80: folding it into q in bf16 would show.
  const scale = Math.fround(1 / Math.sqrt(E));
  const pairs = segments.reduce((sum, length) => sum + (length * (length + 1)) / 2, 0);
  const text = segments.length > 8 ? `${segments.slice(0, 6)}...` : `${segments}`;
  const name = `segments ${text} H=${H} K=${K} E=${E} gap ${gap}${peak === 1 ? "" : ` peak ${peak}`}`;
  return { dims, scale, pairs, name, relative: RELATIVE * Math.max(1, peak) };
}

function attentionInputs(name: string, dtype: ComputeDtype, segments: number[], { N, H, K, E }: Dims, peak: number) {
  return {
    q: normals(`q ${name}`, N * H * E, dtype, peak),
    k: normals(`k ${name}`, N * K * E, dtype),
    v: normals(`v ${name}`, N * K * E, dtype),
    starts: segmentStarts(segments),
  };
}

export function attentionForward(shape: Shape): OpCase {
  const { dtype, segments, H, K, E, gap = 0, peak = 1 } = shape;
  const { dims, scale, pairs, name, relative } = shapeOf(shape);
  const { N } = dims;
  return opCase({
    op: "attention",
    name: `forward ${name}`,
    dtype,
    flops: 4 * pairs * H * E,
    inputs: () => attentionInputs(name, dtype, segments, dims, peak),
    setup({ place, backend }, inputs) {
      // q, k and v as the model has them: columns of one matrix where there are gaps.
      const q = place("q", dtype, N, H * E, inputs.q, { gap: gap && gap + 2 * K * E });
      const k = place("k", dtype, N, K * E, inputs.k, { gap });
      const v = place("v", dtype, N, K * E, inputs.v, { gap: gap && gap + 8 });
      const starts = place("starts", "i32", 1, N, inputs.starts, { gap });
      const out = place("out", dtype, N, H * E, undefined, { gap: gap && gap + 16 });
      const lse = place("lse", "f32", H, N, undefined, { offset: gap });
      return {
        run: () => backend.ops.attentionForward({ out, lse, q, k, v, starts, headDim: E, scale }),
        outputs: { out, lse },
      };
    },
    reference({ q, k, v, starts }) {
      const { out, lse, magnitude } = attentionForward64(q, k, v, starts, scale, dims);
      return {
        out: { values: out, relative, magnitude, rounded: magnitude },
        // The sum of absolute terms of a score of standard deviation `peak` is about peak * sqrt(E).
        lse: { values: lse, relative: 1e-6, magnitude: lse.map((x) => Math.abs(x) + peak * Math.sqrt(E)) },
      };
    },
  });
}

export function attentionBackward(shape: Shape): OpCase {
  const { dtype, segments, H, K, E, gap = 0, peak = 1 } = shape;
  const { dims, scale, pairs, name, relative } = shapeOf(shape);
  const { N } = dims;
  return opCase({
    op: "attention",
    name: `backward ${name}`,
    dtype,
    flops: 10 * pairs * H * E,
    inputs(): BackwardInputs {
      const given = attentionInputs(name, dtype, segments, dims, peak);
      const { out, lse } = attentionForward64(given.q, given.k, given.v, given.starts, scale, dims);
      const dout = normals(`dout ${name}`, N * H * E, dtype);
      return { ...given, dout, out: roundAll(dtype, out), lse: lse.map(Math.fround) };
    },
    setup({ place, workspace: placeWorkspace, backend }, inputs) {
      const { ops } = backend;
      const matrix = (title: string, heads: number, values: Float64Array | undefined, extra: number) =>
        place(title, dtype, N, heads * E, values, { gap: gap && gap + extra });
      const given = {
        q: matrix("q", H, inputs.q, 2 * K * E),
        k: matrix("k", K, inputs.k, 0),
        v: matrix("v", K, inputs.v, 8),
        out: matrix("out", H, inputs.out, 16),
        dout: matrix("dout", H, inputs.dout, 24),
        lse: place("lse", "f32", H, N, inputs.lse, { offset: gap }),
        starts: place("starts", "i32", 1, N, inputs.starts, { gap }),
      };
      const outputs = {
        dq: matrix("dq", H, undefined, 32),
        dk: matrix("dk", K, undefined, 40),
        dv: matrix("dv", K, undefined, 48),
      };
      const workspace = placeWorkspace(ops.attentionBackwardWorkspaceBytes({ dtype, ...dims }));
      return { run: () => ops.attentionBackward({ ...outputs, ...given, headDim: E, scale, workspace }), outputs };
    },
    reference(inputs) {
      const { dq, dk, dv } = attentionBackward64(inputs, scale, dims);
      return { dq: { ...dq, relative }, dk: { ...dk, relative }, dv: { ...dv, relative } };
    },
  });
}

// Blocks of queries and keys are powers of two from 16 to 512 in any kernel worth having: the lengths straddle all of
// them.
const SHAPES: Omit<Shape, "dtype">[] = [
  { segments: [1], H: 1, K: 1, E: 8 },
  { segments: [1, 1, 31, 33, 1, 64, 65], H: 7, K: 1, E: 8, gap: 3 },
  { segments: [31, 129, 1], H: 3, K: 3, E: 24, gap: 1 },
  { segments: [100, 1, 33], H: 9, K: 3, E: 64 },
  { segments: [257], H: 2, K: 1, E: 64, gap: 5 },
  { segments: [5, 70], H: 4, K: 2, E: 80, gap: 7 },
  { segments: [33, 40], H: 2, K: 2, E: 128 },
  { segments: [47], H: 7, K: 1, E: 256, gap: 1 },
  { segments: [66, 19], H: 2, K: 1, E: 64, peak: 20 },
  { segments: [517, 40], H: 1, K: 1, E: 8 },
  { segments: new Array<number>(67).fill(1), H: 4, K: 2, E: 64 },
];

export const cases: OpCase[] = COMPUTE_DTYPES.flatMap((dtype) =>
  SHAPES.flatMap((shape) => [attentionForward({ dtype, ...shape }), attentionBackward({ dtype, ...shape })]),
);

const DIMS: Dims = { N: 7, H: 4, K: 2, E: 6 };
const STARTS = segmentStarts([2, 4, 1]);

export const gradients: GradientCase[] = [
  {
    op: "attention",
    name: "segments 2,4,1 H=4 K=2 E=6",
    inputs: {
      q: normals("gradient q", 7 * 24),
      k: normals("gradient k", 7 * 12),
      v: normals("gradient v", 7 * 12),
    },
    forward: ({ q, k, v }) => attentionForward64(q!, k!, v!, STARTS, 0.4, DIMS).out,
    backward({ q, k, v }, dout) {
      const { out, lse } = attentionForward64(q!, k!, v!, STARTS, 0.4, DIMS);
      const inputs = { q: q!, k: k!, v: v!, dout, out, lse, starts: STARTS };
      const { dq, dk, dv } = attentionBackward64(inputs, 0.4, DIMS);
      return { q: dq.values, k: dk.values, v: dv.values };
    },
  },
];
