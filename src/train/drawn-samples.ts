/** @file Samples during training: how the model continues a few of its own examples. */

import { RunError } from "../base/errors.js";
import { type Example, NO_TARGET } from "../corpus/encode.js";
import { generate } from "../model/generate.js";
import type { Decoder } from "../model/weights.js";
import type { LogRecord } from "../runs/run-folder.js";
import type { Tokenizer } from "../tokenizer/tokenizer.js";

const SAMPLES = 2;
/** Length of a sample, and how much of a document is its prompt. */
export const SAMPLE_TOKENS = 48;
const DOCUMENT_PROMPT_TOKENS = 12;

/** What comes before the first target of a chat, the first tokens of a document. */
export function samplePrompts(examples: readonly Example[]): number[][] {
  return examples.slice(0, SAMPLES).map(({ ids, targets }) => {
    const context = targets.findIndex((target) => target !== NO_TARGET);
    return [...ids.subarray(0, context > 0 ? context : DOCUMENT_PROMPT_TOKENS)];
  });
}

/**
 * A model that computes no finite numbers has no samples, which is said in their place: what becomes of the run its
 * losses decide.
 */
export async function drawSamples(
  decoder: Decoder,
  tokenizer: Pick<Tokenizer, "decode" | "stopIds">,
  prompts: number[][],
  seed: number,
): Promise<LogRecord[]> {
  const fitting = prompts.filter(({ length }) => length + SAMPLE_TOKENS <= decoder.weights.cos.rows);
  const texts = await drawTexts(decoder, tokenizer, fitting, seed).catch((error: unknown) => {
    if (!(error instanceof RunError)) throw error;
    return fitting.map(() => `(none: ${error.message})`);
  });
  return texts.map((text, i) => ({
    type: "sample",
    prompt: tokenizer.decode(fitting[i]!, { skipSpecialTokens: true }),
    text,
  }));
}

async function drawTexts(
  decoder: Decoder,
  tokenizer: Pick<Tokenizer, "decode" | "stopIds">,
  prompts: number[][],
  seed: number,
): Promise<string[]> {
  const completions = await generate(decoder, prompts, {
    maxTokens: SAMPLE_TOKENS,
    temperature: 0.7,
    topP: 1,
    seed,
    stopIds: new Set(tokenizer.stopIds),
  });
  return completions.map(({ ids }) => tokenizer.decode(ids, { skipSpecialTokens: true }));
}
