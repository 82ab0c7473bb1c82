/**
 * @file Prefill and decode: tokens a second, decode as a share of memory bandwidth (every weight is read once a step).
 */
import type { Backend } from "../backend/backend.js";
import { type ComputeDtype, DTYPE_BYTES } from "../backend/tensor.js";
import { randomUint32 } from "../base/random.js";
import { generate } from "../model/generate.js";
import type { Decoder } from "../model/weights.js";
import type { ModelConfig } from "../shape/config.js";
import { EMBED, neededWeights } from "../shape/weights.js";
import { copyBandwidth } from "./limits.js";
import type { BenchModel } from "./model.js";

const PROMPT_TOKENS = 512;
const NEW_TOKENS = 64;
/** Decode steps that are not timed: the first runs everything as it is, the second records it. */
const WARMUP_STEPS = 2;

export interface DecodeBenchResult {
  batch: number;
  prefillTokensPerSecond: number;
  decodeTokensPerSecond: number;
  /** The bytes that a step must read, weights and cached keys and values, a second, over the bandwidth of a copy. */
  shareOfBandwidth: number;
}

/** Greedy, no stop token; prompts differ from their first token on, so that no prefix is shared. */
export async function benchDecode(
  backend: Backend,
  { config, load }: BenchModel,
  dtype: ComputeDtype,
  batches: readonly number[],
): Promise<DecodeBenchResult[]> {
  const decoder = await load(backend, { dtype, lora: null, positions: PROMPT_TOKENS + NEW_TOKENS });
  const bandwidth = await copyBandwidth(backend);
  const results: DecodeBenchResult[] = [];
  for (const batch of batches) {
    const prompts = Array.from({ length: batch }, (_, i) =>
      Array.from({ length: PROMPT_TOKENS }, (_, n) => (i + randomUint32(11, i, n)) % config.vocabSize),
    );
    await timeGeneration(decoder, prompts, WARMUP_STEPS);
    const { prefillSeconds, stepSeconds } = await timeGeneration(decoder, prompts, NEW_TOKENS);
    results.push({
      batch,
      prefillTokensPerSecond: (batch * PROMPT_TOKENS) / prefillSeconds,
      decodeTokensPerSecond: batch / stepSeconds,
      shareOfBandwidth: stepBytes(config, dtype, batch) / stepSeconds / bandwidth,
    });
  }
  decoder.free();
  return results;
}

/** Until the last prompt's first token, and the median of the steps that all sequences take part in. */
async function timeGeneration(
  decoder: Decoder,
  prompts: number[][],
  maxTokens: number,
): Promise<{ prefillSeconds: number; stepSeconds: number }> {
  // Ends of the steps that drew for the first and the last sequence, and so for all: prompts begin in order. The first
  // one ends the prefill.
  const moments: number[] = [];
  let firstDrew = false;
  const began = performance.now();
  await generate(decoder, prompts, {
    maxTokens,
    temperature: 0,
    topP: 1,
    seed: 0,
    stopIds: new Set(),
    onToken: (prompt) => {
      firstDrew ||= prompt === 0;
      if (prompt !== prompts.length - 1) return;
      if (firstDrew) moments.push(performance.now());
      firstDrew = false;
    },
  });
  const times = moments.slice(1).map((moment, i) => (moment - moments[i]!) / 1000);
  times.splice(0, WARMUP_STEPS);
  times.sort((a, b) => a - b);
  return {
    prefillSeconds: (moments[0]! - began) / 1000,
    stepSeconds: times[Math.floor(times.length / 2)] ?? Number.NaN,
  };
}

/**
 * Of the embedding a step reads a row a sequence; the head is read whole (where they are tied, it is the same tensor
 * under both names).
 */
function stepBytes(config: ModelConfig, dtype: ComputeDtype, batch: number): number {
  const weights = [...neededWeights(config)]
    .filter(([name]) => name !== EMBED)
    .reduce((sum, [, shape]) => sum + shape.reduce((a, b) => a * b, 1), 0);
  const keysAndValues = 2 * config.numLayers * config.numKvHeads * config.headDim;
  return DTYPE_BYTES[dtype] * (weights + batch * (PROMPT_TOKENS + NEW_TOKENS / 2) * keysAndValues);
}
