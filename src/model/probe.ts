/** @file Whether two models compute the same: logits on a fixed text. */
import { readFloats } from "../backend/backend.js";
import { checkTokenIds } from "../shape/token-ids.js";
import { checkPositions } from "./generate.js";
import { forwardTokens, logitsOf, openSession } from "./session.js";
import type { Decoder } from "./weights.js";

/** Words, numbers, punctuation, code and another script. */
export const PROBE_TEXT =
  "The assistant was asked to choose, and it chose the cheaper of the two: 12 apples for $3.50.\n" +
  "def mean(xs):\n    return sum(xs) / len(xs)\n" +
  "Was meinst du? 你好，世界。 It answered honestly.";

/** Logits [ids, V] after each token of `ids`, row by row. */
export async function probeLogits(decoder: Decoder, ids: readonly number[]): Promise<Float32Array> {
  checkPositions(decoder, ids.length);
  checkTokenIds(ids, decoder.config.vocabSize, "the probe's text");
  const n = ids.length;
  const session = openSession(decoder, { cacheRows: n, maxTokens: n, maxLogits: n, maxLosses: 0 });
  try {
    const tokens = ids.map((id, i) => ({ id, position: i, cacheRow: i, ranges: [0, 0, 0, i + 1] as const }));
    const hidden = forwardTokens(session, tokens);
    return await readFloats(decoder.backend, logitsOf(session, hidden));
  } finally {
    session.free();
  }
}

export interface LogitDifference {
  /** Largest absolute difference, and the largest absolute logit to hold it against. */
  largest: number;
  largestLogit: number;
  /** Tokens of the probe, and after how many of them both find the same token most likely. */
  tokens: number;
  sameChoice: number;
}

/** Compares logits [tokens, vocabSize]. */
export function compareLogits(a: Float32Array, b: Float32Array, vocabSize: number): LogitDifference {
  let largest = 0;
  let largestLogit = 0;
  let sameChoice = 0;
  const tokens = a.length / vocabSize;
  for (let token = 0; token < tokens; token++) {
    let bestA = token * vocabSize;
    let bestB = token * vocabSize;
    for (let i = token * vocabSize; i < (token + 1) * vocabSize; i++) {
      // NaN must show.
      const difference = Math.abs(a[i]! - b[i]!);
      if (!(difference <= largest)) largest = difference;
      largestLogit = Math.max(largestLogit, Math.abs(a[i]!));
      if (a[i]! > a[bestA]!) bestA = i;
      if (b[i]! > b[bestB]!) bestB = i;
    }
    if (bestA === bestB) sameChoice++;
  }
  return { largest, largestLogit, tokens, sameChoice };
}
