/**
 * @file Perplexity of texts: JSONL of {text}, or plain text files, each of which is one text.
 *
 * Each text is scored on its own. Its tokens are those of the tokenizer; what the post-processor puts in front (a BOS)
 * is context and not counted, what it puts behind is left out, no end token is added. Without a BOS the first token has
 * nothing before it and is not counted.
 *
 * A text of more than `seqLen` tokens (BOS included) is cut into windows: each begins with the BOS (if there is one)
 * and the last token of the window before, both as context only, so that every token but the first is counted once;
 * none sees more than its window. The default is the model's positions, at most 2,048.
 *
 * nll = sum of -ln p / tokens counted, perplexity = exp(nll), bits per byte = sum of -log2 p / UTF-8 bytes of what was
 * counted. The interval treats texts as drawn at random, tokens of one text as belonging together; with a single text
 * its windows take their place.
 */
import { InputError } from "../../base/errors.js";
import { DEFAULT_WINDOW } from "../../config/inference.js";
import { score } from "../../model/score.js";
import { cutWindows } from "../asking/windows.js";
import { countScored } from "../counts.js";
import { extraFields, groupSamples, objectRecord, textField } from "../record.js";
import { formatEstimate } from "../statistics/format.js";
import { type Estimate, ratioInterval } from "../statistics/intervals.js";
import type { Json, Task, TaskContext } from "../task.js";

export interface TextSample {
  text: string;
  extra: Json;
  where: string;
}

interface TextAnswer {
  /** Log-probability of each counted token, window by window. */
  windows: number[][];
  /** UTF-8 bytes of what was counted. */
  bytes: number;
}

export interface TextScore {
  nll: number;
  tokens: number;
  bytes: number;
  logprobs: number[];
  windows: { nll: number; tokens: number }[];
}

export const perplexity: Task<TextSample, TextAnswer, TextScore> = {
  name: "perplexity",
  version: 1,
  summary: "perplexity of texts: JSONL of {text}, or text files",
  readsText: true,
  parse(value, where) {
    const record = objectRecord(value, "{text}", where);
    return { text: textField(record, "text", "{text}", where), extra: extraFields(record, ["text"]), where };
  },
  reads: ({ text }) => [text],
  async solve(context, samples) {
    const { decoder, tokenizer, onProgress } = context;
    const seqLen = windowTokens(context);
    const encoded = samples.map(({ text, where }) => cutWindows(tokenizer, text, seqLen, where));
    const requests = encoded.flatMap(({ windows }, i) =>
      windows.map((window) => ({ ...window, where: samples[i]!.where })),
    );
    const scores = (await score(decoder, requests, (done) => onProgress(done, requests.length)))[Symbol.iterator]();
    return encoded.map(({ windows, bytes }) => ({ windows: windows.map(() => scores.next().value!.logprobs), bytes }));
  },
  score(_sample, { windows, bytes }) {
    const perWindow = windows.map((logprobs) => ({ nll: negativeSum(logprobs), tokens: logprobs.length }));
    const logprobs = windows.flat();
    return { nll: negativeSum(logprobs), tokens: logprobs.length, bytes, logprobs, windows: perWindow };
  },
  counts: ({ tokens }) => countScored(1, tokens > 0 ? 1 : 0),
  outcomes({ nll, tokens }) {
    return { loss: tokens === 0 ? null : nll / tokens };
  },
  ranges: { loss: [0, Number.POSITIVE_INFINITY] },
  legend: { loss: "mean over texts of the loss in nats a token; its exponential is the perplexity" },
  summarize(samples, scores, context) {
    const groups = [...groupSamples(samples.map(({ extra }) => extra))].map(([field, byValue]) => {
      const measured = [...byValue].map(([value, indices]) => [value, measure(indices.map((i) => scores[i]!))]);
      return [field, Object.fromEntries(measured)];
    });
    return { ...measure(scores), seqLen: windowTokens(context), groups: Object.fromEntries(groups) };
  },
  describe(results) {
    const { n, tokens, nll, perplexity, bitsPerByte } = results as {
      n: number;
      tokens: number;
      nll: Estimate;
      perplexity: Estimate;
      bitsPerByte: number;
    };
    return [
      `${n} texts, ${tokens} tokens counted`,
      `perplexity ${formatEstimate(perplexity)}; loss ${formatEstimate(nll)} nats a token; ` +
        `${bitsPerByte.toFixed(4)} bits a byte`,
    ];
  },
};

function windowTokens({ decoder, settings }: TaskContext): number {
  const available = decoder.weights.cos.rows;
  const seqLen = settings.seqLen ?? Math.min(DEFAULT_WINDOW, available);
  if (seqLen > available) throw new InputError(`--seq-len ${seqLen} is more than the model's ${available} positions`);
  return seqLen;
}

function measure(scores: readonly TextScore[]): Json & { nll: Estimate } {
  const clusters = scores.length === 1 ? scores[0]!.windows : scores;
  const ratio = ratioInterval(clusters.map(({ nll, tokens }) => ({ y: nll, x: tokens })));
  const nll = { ...ratio, low: ratio.low && Math.max(0, ratio.low) };
  const exp = (value: number | null): number | null => (value === null ? null : Math.exp(value));
  const total = (key: "nll" | "tokens" | "bytes"): number => scores.reduce((sum, score) => sum + score[key], 0);
  return {
    n: scores.length,
    tokens: total("tokens"),
    bytes: total("bytes"),
    nll,
    perplexity: { value: exp(nll.value), low: exp(nll.low), high: exp(nll.high), n: nll.n },
    bitsPerByte: total("nll") / Math.LN2 / total("bytes"),
    intervalOver: scores.length === 1 ? "windows" : "texts",
  };
}

function negativeSum(logprobs: readonly number[]): number {
  return -logprobs.reduce((sum, logprob) => sum + logprob, 0);
}
