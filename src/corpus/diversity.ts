/** @file How varied the texts of a corpus are. */
import { gzipSync } from "node:zlib";
import { ngramHashes } from "./ngrams.js";

const DISTINCT = [1, 2, 4] as const;
const REPEATED_WORDS = 8;

export interface Diversity {
  /** Different sequences of n words divided by all of them (Li et al. 2016), n to share. */
  distinct: Record<number, number>;
  /** Size after gzip divided by size before. English prose is near .4; templates are far below. */
  compressed: number;
  /** Mean over the texts of the share of their sequences of 8 words that another text has too. */
  repeated: number;
}

/** `documents` are the words of `texts`. */
export function measureDiversity(texts: readonly string[], documents: readonly (readonly string[])[]): Diversity {
  const distinct = Object.fromEntries(DISTINCT.map((n) => [n, distinctShare(documents, n)]));
  const bytes = Buffer.from(texts.join("\n"));
  const compressed = bytes.length === 0 ? 1 : gzipSync(bytes).length / bytes.length;
  return { distinct, compressed, repeated: repeatedShare(documents) };
}

function distinctShare(documents: readonly (readonly string[])[], n: number): number {
  const seen = new Set<number>();
  let total = 0;
  for (const words of documents) {
    const hashes = ngramHashes(words, n);
    for (const hash of hashes) seen.add(hash);
    total += hashes.length;
  }
  return total === 0 ? 1 : seen.size / total;
}

function repeatedShare(documents: readonly (readonly string[])[]): number {
  const sets = documents.map((words) => new Set(ngramHashes(words, REPEATED_WORDS)));
  const texts = new Map<number, number>();
  for (const set of sets) for (const hash of set) texts.set(hash, (texts.get(hash) ?? 0) + 1);
  const shares = sets
    .filter(({ size }) => size > 0)
    .map((set) => [...set].filter((hash) => texts.get(hash)! > 1).length / set.size);
  return shares.length === 0 ? 0 : shares.reduce((sum, share) => sum + share, 0) / shares.length;
}
