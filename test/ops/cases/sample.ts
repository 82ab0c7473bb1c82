/**
 * @file Cases of msm_sample. An id is a choice: it is right when the uniform number falls into its share of the cut
 * distribution.
 */
import { normals, type OpCase, once, opCase, roundTo, uniforms } from "../harness.js";

// f32 probabilities and their running sum: the boundary between two tokens is known to about this.
const BOUNDARY = 3e-6;

export interface Row {
  temperature: number;
  topP: number;
  uniform: number;
}

/**
 * Most likely first, ties by index: the tokens, their probabilities at the temperature, and their log-probabilities at
 * 1.
 */
export function sampleOrder64(logits: Float64Array, temperature: number) {
  const order = [...logits.keys()].sort((a, b) => logits[b]! - logits[a]! || a - b);
  const max = logits[order[0]!]!;
  const weights = order.map((v) => Math.exp((logits[v]! - max) / (temperature || 1)));
  const total = weights.reduce((a, b) => a + b, 0);
  const logTotal = Math.log(logits.reduce((sum, x) => sum + Math.exp(x - max), 0));
  return { order, probabilities: weights.map((x) => x / total), logprobs: logits.map((x) => x - max - logTotal) };
}

/** What is wrong with the choice of `id`, if anything. */
export function judgeSample(
  { order, probabilities }: ReturnType<typeof sampleOrder64>,
  { temperature, topP, uniform }: Row,
  id: number,
): string | undefined {
  if (temperature === 0) return id === order[0] ? undefined : `greedy choice is ${id}, expected ${order[0]}`;
  // Where the sum passes top_p within rounding, the cut may fall on either side.
  const keptAt = (threshold: number) => {
    let mass = 0;
    for (const [last, p] of probabilities.entries()) {
      mass += p;
      if (mass >= threshold) return { mass, last };
    }
    return { mass, last: probabilities.length - 1 };
  };
  const least = keptAt(topP - BOUNDARY);
  const most = keptAt(topP + BOUNDARY);
  let below = 0;
  for (const [i, p] of probabilities.entries()) {
    if (order[i] === id) {
      const isKept = i <= most.last && p > 0;
      const isNear = below <= uniform * most.mass + BOUNDARY && below + p >= uniform * least.mass - BOUNDARY;
      if (isKept && isNear) return undefined;
      return `picked ${id} at [${below}, ${below + p}] of ${most.mass}, with ${uniform} and top_p ${topP}`;
    }
    below += p;
  }
  return `picked ${id}, which is no token`;
}

interface Shape {
  title: string;
  V: number;
  rows: Row[];
  gap?: number;
  logits?(name: string, B: number): Float64Array;
}

export function sample({ title, V, rows, gap = 0, logits: make }: Shape): OpCase {
  const B = rows.length;
  const name = `${title} B=${B} V=${V} gap ${gap}`;
  return opCase({
    op: "sample",
    name,
    dtype: "f32",
    flops: 4 * B * V,
    inputs() {
      const logits = make ? make(name, B).map(Math.fround) : normals(name, B * V, "f32", 3);
      const wanted = rows.map(({ temperature }, b) =>
        // The op reads f32 settings.
        once(() => sampleOrder64(logits.subarray(b * V, (b + 1) * V), Math.fround(temperature))),
      );
      return { logits, wanted };
    },
    setup({ place, backend }, inputs) {
      const logits = place("logits", "f32", B, V, inputs.logits, { gap });
      const column = (title: string, key: keyof Row) =>
        place(
          title,
          "f32",
          1,
          B,
          rows.map((row) => row[key]),
          { gap },
        );
      const ids = place("ids", "i32", 1, B, undefined, { gap });
      const logprobs = place("logprobs", "f32", 1, B, undefined, { gap });
      const settings = {
        temperature: column("temperature", "temperature"),
        topP: column("top_p", "topP"),
        uniforms: column("uniforms", "uniform"),
      };
      return { run: () => backend.ops.sample({ ids, logprobs, logits, ...settings }), outputs: { ids, logprobs } };
    },
    judge({ logits, wanted }, got) {
      for (const [b, row] of rows.entries()) {
        const own = logits.subarray(b * V, (b + 1) * V);
        const id = got["ids"]![b]!;
        const rounded = {
          temperature: Math.fround(row.temperature),
          topP: Math.fround(row.topP),
          uniform: Math.fround(row.uniform),
        };
        const problem = judgeSample(wanted[b]!(), rounded, id);
        if (problem) return `row ${b}: ${problem}`;
        const logprob = got["logprobs"]![b]!;
        const want = wanted[b]!().logprobs[id]!;
        // A log-probability is a difference of numbers of the logits' size.
        const size = own.reduce((most, x) => (Number.isFinite(x) ? Math.max(most, Math.abs(x)) : most), 0);
        if (!(Math.abs(logprob - want) <= 2e-6 * (1 + size)))
          return `row ${b}: log-probability of ${id} is ${logprob}, expected ${want}`;
      }
      return undefined;
    },
  });
}

/** Rows that vary everything. */
function variedRows(count: number): Row[] {
  const uniform = uniforms("sample rows");
  return Array.from({ length: count }, (_, i) => ({
    temperature: [0, 0.7, 1, 1.9][i % 4]!,
    topP: [1, 0.95, 0.5, 0.1, 0.999][i % 5]!,
    uniform: Math.floor(uniform() * 2 ** 24) / 2 ** 24,
  }));
}

const LARGEST_UNIFORM = 1 - 2 ** -24;

const tied = (_: string, B: number) => Float64Array.from({ length: B * 40 }, (_, i) => [1, 3, 3, 0, 3][i % 5]!);

export const cases: OpCase[] = [
  sample({ title: "one token", V: 1, rows: variedRows(5) }),
  sample({ title: "varied", V: 31, rows: variedRows(33), gap: 3 }),
  sample({ title: "varied", V: 33, rows: variedRows(31), gap: 1 }),
  sample({ title: "varied", V: 4099, rows: variedRows(40) }),
  sample({ title: "varied", V: 49152, rows: variedRows(4) }),
  // As many ties as logits of bf16 have.
  sample({
    title: "rounded to bf16",
    V: 151_936,
    rows: variedRows(3),
    logits: (name, B) => normals(name, B * 151_936, "f64", 3).map((x) => roundTo("bf16", x + 12)),
  }),
  sample({
    title: "ends of the unit interval",
    V: 100,
    rows: [0, LARGEST_UNIFORM].flatMap((uniform) =>
      [1, 0.9, 0.5, 1e-6].flatMap((topP) => [
        { temperature: 1, topP, uniform },
        { temperature: 0.01, topP, uniform },
      ]),
    ),
  }),
  // Equal logits: greedy takes the lowest index, sampling orders them by index.
  sample({
    title: "ties",
    V: 40,
    rows: variedRows(40).map((row, i) => ({ ...row, topP: i % 2 ? 1 : 0.5 })),
    logits: tied,
  }),
  sample({ title: "all equal", V: 40, rows: variedRows(20), logits: (_, B) => new Float64Array(B * 40).fill(-7) }),
  sample({
    title: "zeros of both signs are equal",
    V: 8,
    rows: variedRows(20),
    logits: (_, B) => Float64Array.from({ length: B * 8 }, (_, i) => (i % 3 === 1 ? 0 : -0)),
  }),
  // More equal or nearly equal logits than a GPU's block compares with each other.
  ...[20_000, 20_001].map((V) =>
    sample({ title: "all equal", V, rows: variedRows(4), logits: (_, B) => new Float64Array(B * V).fill(-7) }),
  ),
  sample({
    title: "nearly equal",
    V: 20_001,
    rows: variedRows(6),
    logits: (name, B) => normals(name, B * 20_001, "f64", 1e-3).map((x, i) => (i % 3 ? 2 + x : 2)),
  }),
  // Tokens that a mask forbids have no share of anything.
  sample({
    title: "masked tokens",
    V: 50,
    rows: [0, 0.3, LARGEST_UNIFORM].flatMap((uniform) =>
      [0, 1].map((temperature) => ({ temperature, topP: 1, uniform })),
    ),
    logits: (name, B) => normals(name, B * 50).map((x, i) => (i % 50 < 47 ? Number.NEGATIVE_INFINITY : x)),
  }),
  sample({
    title: "far from zero",
    V: 64,
    rows: variedRows(12),
    logits: (name, B) => normals(name, B * 64, "f64", 2).map((x) => 5000 + x),
  }),
];
