/** @file Cases of msm_attention_cached: prefill and decode over two ranges of cache rows. */
import type { ComputeDtype } from "../../../src/backend/tensor.js";
import { COMPUTE_DTYPES, normals, type OpCase, opCase } from "../harness.js";

// As attention's forward.
const RELATIVE = 3e-6;

/** Query rows of one sequence: `rows` of them, the last one sees the cache up to `begin + rows + before`. */
interface Sequence {
  prefix: [number, number];
  /** First own cache row. */
  begin: number;
  /** Own rows already in the cache before this call. */
  before: number;
  rows: number;
}

function rangesOf(sequences: Sequence[]): Int32Array {
  return Int32Array.from(
    sequences.flatMap(({ prefix, begin, before, rows }) =>
      Array.from({ length: rows }, (_, i) => [...prefix, begin, begin + before + i + 1]).flat(),
    ),
  );
}

interface Dims {
  N: number;
  H: number;
  K: number;
  E: number;
}

export function attentionCached64(
  q: Float64Array,
  kCache: Float64Array,
  vCache: Float64Array,
  ranges: Int32Array,
  scale: number,
  { N, H, K, E }: Dims,
) {
  const out = new Float64Array(N * H * E);
  const magnitude = new Float64Array(N * H * E);
  for (let n = 0; n < N; n++) {
    const keys: number[] = [];
    for (const at of [0, 2]) for (let j = ranges[n * 4 + at]!; j < ranges[n * 4 + at + 1]!; j++) keys.push(j);
    for (let h = 0; h < H; h++) {
      const kv = Math.floor(h / (H / K));
      const row = (n * H + h) * E;
      const scores = keys.map((j) => {
        let sum = 0;
        for (let e = 0; e < E; e++) sum += q[row + e]! * kCache[(j * K + kv) * E + e]!;
        return scale * sum;
      });
      const max = Math.max(...scores);
      const total = scores.reduce((sum, score) => sum + Math.exp(score - max), 0);
      for (const [i, j] of keys.entries()) {
        const p = Math.exp(scores[i]! - max) / total;
        for (let e = 0; e < E; e++) {
          const term = p * vCache[(j * K + kv) * E + e]!;
          out[row + e]! += term;
          magnitude[row + e]! += Math.abs(term);
        }
      }
    }
  }
  return { out, magnitude };
}

interface Shape {
  dtype: ComputeDtype;
  title: string;
  cacheRows: number;
  sequences: Sequence[];
  H: number;
  K: number;
  E: number;
  gap?: number;
}

export function attentionCached({ dtype, title, cacheRows, sequences, H, K, E, gap = 0 }: Shape): OpCase {
  const ranges = rangesOf(sequences);
  const N = ranges.length / 4;
  let pairs = 0;
  for (let n = 0; n < N; n++) pairs += ranges[n * 4 + 1]! - ranges[n * 4]! + ranges[n * 4 + 3]! - ranges[n * 4 + 2]!;
  const dims: Dims = { N, H, K, E };
  const scale = Math.fround(1 / Math.sqrt(E));
  const name = `${title} H=${H} K=${K} E=${E} gap ${gap}`;
  return opCase({
    op: "attention_cached",
    name,
    dtype,
    flops: 4 * pairs * H * E,
    // Decoding reads every key and value that a sequence sees once.
    inputs: () => ({
      q: normals(`q ${name}`, N * H * E, dtype),
      k: normals(`k ${name}`, cacheRows * K * E, dtype),
      v: normals(`v ${name}`, cacheRows * K * E, dtype),
    }),
    setup({ place, backend }, inputs) {
      const q = place("q", dtype, N, H * E, inputs.q, { gap });
      const kCache = place("k_cache", dtype, cacheRows, K * E, inputs.k, { gap: gap && gap + 2 });
      const vCache = place("v_cache", dtype, cacheRows, K * E, inputs.v, { gap: gap && gap + 4 });
      const rangesTensor = place("ranges", "i32", N, 4, ranges, { offset: gap });
      const out = place("out", dtype, N, H * E, undefined, { gap: gap && gap + 6 });
      return {
        run: () => backend.ops.attentionCached({ out, q, kCache, vCache, ranges: rangesTensor, headDim: E, scale }),
        outputs: { out },
      };
    },
    reference({ q, k, v }) {
      const { out, magnitude } = attentionCached64(q, k, v, ranges, scale, dims);
      return { out: { values: out, relative: RELATIVE, magnitude, rounded: magnitude } };
    },
  });
}

const NONE: [number, number] = [0, 0];

const SHAPES: Omit<Shape, "dtype">[] = [
  { title: "one key", cacheRows: 1, sequences: [{ prefix: NONE, begin: 0, before: 0, rows: 1 }], H: 1, K: 1, E: 8 },
  {
    title: "prefill of three",
    cacheRows: 150,
    H: 7,
    K: 1,
    E: 64,
    sequences: [
      { prefix: NONE, begin: 0, before: 0, rows: 33 },
      { prefix: NONE, begin: 40, before: 0, rows: 1 },
      { prefix: NONE, begin: 80, before: 0, rows: 65 },
    ],
  },
  {
    title: "decode with a shared prefix",
    cacheRows: 200,
    H: 9,
    K: 3,
    E: 80,
    gap: 3,
    sequences: [
      { prefix: [3, 64], begin: 70, before: 0, rows: 1 },
      { prefix: [3, 64], begin: 100, before: 30, rows: 1 },
      { prefix: [3, 64], begin: 140, before: 59, rows: 1 },
    ],
  },
  {
    title: "prefill after a prefix, chunked, and decode",
    cacheRows: 300,
    H: 4,
    K: 2,
    E: 128,
    gap: 1,
    sequences: [
      { prefix: [0, 31], begin: 31, before: 17, rows: 20 },
      { prefix: [0, 31], begin: 100, before: 0, rows: 5 },
      { prefix: NONE, begin: 150, before: 140, rows: 1 },
    ],
  },
  {
    // b is empty: only the prefix is left.
    title: "only the prefix",
    cacheRows: 40,
    H: 2,
    K: 1,
    E: 24,
    sequences: [{ prefix: [2, 35], begin: 36, before: -1, rows: 1 }],
  },
  {
    title: "long decode",
    cacheRows: 1100,
    H: 6,
    K: 2,
    E: 64,
    gap: 5,
    sequences: [
      { prefix: NONE, begin: 0, before: 1030, rows: 1 },
      { prefix: [0, 500], begin: 1050, before: 3, rows: 1 },
    ],
  },
  {
    title: "prefill after a long prefix",
    cacheRows: 700,
    H: 3,
    K: 1,
    E: 24,
    gap: 1,
    sequences: [{ prefix: [0, 611], begin: 620, before: 0, rows: 21 }],
  },
  {
    title: "wide heads",
    cacheRows: 60,
    H: 7,
    K: 7,
    E: 256,
    sequences: [{ prefix: NONE, begin: 1, before: 20, rows: 33 }],
  },
];

export const cases: OpCase[] = COMPUTE_DTYPES.flatMap((dtype) =>
  SHAPES.map((shape) => attentionCached({ dtype, ...shape })),
);
