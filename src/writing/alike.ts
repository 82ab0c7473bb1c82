/** @file What is nearly the same as something before it, and is dropped. */
import { findSimilar, jaccard } from "../corpus/near-duplicates.js";
import { ngramHashes, wordsOf } from "../corpus/ngrams.js";

/** Two texts with so many sequences of 5 words in common are near-duplicates: below what `corpus check` allows. */
const ALIKE_TEXTS = 0.5;
/** The same of pairs of words, for sentences. */
const ALIKE_SENTENCES = 0.6;

/** Texts that are not nearly the same as one before them. */
export function withoutAlikeTexts<T>(items: readonly T[], textOf: (item: T) => string): T[] {
  const before = new Map<number, number[]>();
  for (const { first, second, similarity } of findSimilar(items.map((item) => wordsOf(textOf(item)))))
    if (similarity >= ALIKE_TEXTS) before.set(second, [...(before.get(second) ?? []), first]);
  const dropped = new Set<number>();
  for (const second of [...before.keys()].sort((a, b) => a - b))
    if (before.get(second)!.some((first) => !dropped.has(first))) dropped.add(second);
  return items.filter((_, i) => !dropped.has(i));
}

/** Sentences that are not nearly the same as one before them. */
export function withoutAlikeSentences<T>(items: readonly T[], textOf: (item: T) => string): T[] {
  const kept: { item: T; pairs: Set<number>; text: string }[] = [];
  for (const item of items) {
    const words = wordsOf(textOf(item));
    const pairs = new Set(ngramHashes(words, 2));
    const text = words.join(" ");
    const isNew = kept.every((other) => text !== other.text && jaccard(pairs, other.pairs) < ALIKE_SENTENCES);
    if (isNew) kept.push({ item, pairs, text });
  }
  return kept.map(({ item }) => item);
}
