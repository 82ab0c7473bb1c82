/** @file Prefill and decode: tokens a second, decode as a share of memory bandwidth (every weight is read once a step). */
import type { Backend } from "../backend/backend.js";
import type { ComputeDtype } from "../backend/tensor.js";
import type { Checkpoint } from "../formats/checkpoint.js";
import { EMBED } from "../formats/weights.js";
import { generate } from "../model/generate.js";
import { loadDecoder } from "../model/load.js";
import { randomUint32 } from "../random.js";
import { copyBandwidth } from "./limits.js";

const PROMPT_TOKENS = 512;
const NEW_TOKENS = 64;

export interface DecodeBenchResult {
  batch: number;
  prefillTokensPerSecond: number;
  decodeTokensPerSecond: number;
  /** Steps a second times the bytes of the weights, over the bandwidth of a copy. */
  shareOfBandwidth: number;
}

/** Greedy, no stop token; prompts differ from their first token on, so that no prefix is shared. */
export async function benchDecode(
  backend: Backend,
  checkpoint: Checkpoint,
  dtype: ComputeDtype,
  batches: readonly number[],
): Promise<DecodeBenchResult[]> {
  const decoder = loadDecoder(backend, checkpoint, { dtype, lora: null, positions: PROMPT_TOKENS + NEW_TOKENS });
  const bandwidth = await copyBandwidth(backend);
  // Of the embedding a step reads a row a sequence; the head is read whole (where they are tied, it is the same tensor under both names).
  const elements = [...checkpoint.weights]
    .filter(([name]) => name !== EMBED)
    .reduce((sum, [, { shape }]) => sum + shape.reduce((a, b) => a * b, 1), 0);
  const weightBytes = elements * (dtype === "bf16" ? 2 : 4);
  const results: DecodeBenchResult[] = [];
  for (const batch of batches) {
    const prompts = Array.from({ length: batch }, (_, i) =>
      Array.from({ length: PROMPT_TOKENS }, (_, n) => (i + randomUint32(11, i, n)) % checkpoint.config.vocabSize),
    );
    const times: number[] = [performance.now()];
    let drawn = 0;
    await generate(decoder, prompts, {
      maxTokens: NEW_TOKENS,
      temperature: 0,
      topP: 1,
      seed: 0,
      stopIds: new Set(),
      onToken: () => {
        drawn++;
        // The first token of the last prompt ends the prefill.
        if (drawn % batch === 0) times.push(performance.now());
      },
    });
    const [began, prefilled, ended] = [times[0]!, times[1]!, times.at(-1)!];
    const steps = times.length - 2;
    const stepsPerSecond = (1000 * steps) / (ended - prefilled);
    results.push({
      batch,
      prefillTokensPerSecond: (1000 * batch * PROMPT_TOKENS) / (prefilled - began),
      decodeTokensPerSecond: stepsPerSecond * batch,
      shareOfBandwidth: (stepsPerSecond * weightBytes) / bandwidth,
    });
  }
  decoder.free();
  return results;
}
