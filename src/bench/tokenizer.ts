/** @file Throughput of a tokenizer. */
import type { Tokenizer } from "../tokenizer/tokenizer.js";

const REPEATS = 3;

export interface TokenizerBenchResult {
  tokensPerSecond: number;
  bytesPerSecond: number;
}

/**
 * One text after the other, all of them REPEATS times after once that is not counted, each time by a new tokenizer that
 * has seen no word; the median.
 */
export function benchTokenizer(open: () => Tokenizer, texts: readonly string[]): TokenizerBenchResult {
  const bytes = texts.reduce((total, text) => total + Buffer.byteLength(text), 0);
  const encodeAll = (tokenizer: Tokenizer): number =>
    texts.reduce((total, text) => total + tokenizer.encode(text).length, 0);
  const tokens = encodeAll(open());
  const times = Array.from({ length: REPEATS }, () => {
    const tokenizer = open();
    const began = performance.now();
    encodeAll(tokenizer);
    return (performance.now() - began) / 1000;
  });
  const seconds = times.sort((a, b) => a - b)[REPEATS >> 1]!;
  return { tokensPerSecond: tokens / seconds, bytesPerSecond: bytes / seconds };
}
