/**
 * @file Documents that are nearly the same. Each is the set of its sequences of 5 words; two sets are as alike as the
 * share of sequences that they have in common (Jaccard). Candidates come from MinHash signatures (Broder 1997) cut into
 * bands, and are then compared exactly.
 */
import { ngramHashes } from "./ngrams.js";

const SHINGLE_WORDS = 5;
/** Shorter texts ("Colby or Brie?") are alike by nature: they count as duplicates only where they are equal. */
const MIN_SHINGLES = 20;
/** 16 bands of 4: pairs with .5 in common are found with probability .64, with .7 with .99. */
const BANDS = 16;
const ROWS = 4;
/** Of one bucket, so many neighbours are compared with each document: a thousand copies need no million comparisons. */
const MAX_COMPARED = 20;

export interface SimilarPair {
  first: number;
  second: number;
  /** Share of the sequences that both have, 1 for equal texts. */
  similarity: number;
}

/** Pairs (indices into `documents`, each a list of words) found to be alike, the most alike first. */
export function findSimilar(documents: readonly (readonly string[])[]): SimilarPair[] {
  const sets = documents.map((words) => new Set(ngramHashes(words, SHINGLE_WORDS)));
  const pairs = new Map<string, SimilarPair>();
  for (const bucket of [...equalTexts(documents), ...bandBuckets(sets)]) {
    for (const [i, second] of bucket.entries()) {
      for (const first of bucket.slice(Math.max(0, i - MAX_COMPARED), i)) {
        const key = `${first} ${second}`;
        if (!pairs.has(key))
          pairs.set(key, { first, second, similarity: similarityOf(documents, sets, first, second) });
      }
    }
  }
  return [...pairs.values()].sort((a, b) => b.similarity - a.similarity || a.first - b.first || a.second - b.second);
}

function similarityOf(
  documents: readonly (readonly string[])[],
  sets: readonly Set<number>[],
  first: number,
  second: number,
): number {
  if (documents[first]!.join(" ") === documents[second]!.join(" ")) return 1;
  return jaccard(sets[first]!, sets[second]!);
}

/** Share of the union that is in both; 0 for two empty sets. */
export function jaccard(a: ReadonlySet<number>, b: ReadonlySet<number>): number {
  let both = 0;
  for (const value of a) if (b.has(value)) both++;
  const union = a.size + b.size - both;
  return union === 0 ? 0 : both / union;
}

function equalTexts(documents: readonly (readonly string[])[]): number[][] {
  const byText = new Map<string, number[]>();
  for (const [i, words] of documents.entries()) addTo(byText, words.join(" "), i);
  return [...byText.values()].filter(({ length }) => length > 1);
}

/** Documents whose signatures agree in a whole band. */
function bandBuckets(sets: readonly Set<number>[]): number[][] {
  const byBand = new Map<string, number[]>();
  for (const [i, set] of sets.entries()) {
    if (set.size < MIN_SHINGLES) continue;
    const signature = minHashes(set, BANDS * ROWS);
    for (let band = 0; band < BANDS; band++)
      addTo(byBand, `${band} ${signature.subarray(band * ROWS, (band + 1) * ROWS).join(" ")}`, i);
  }
  return [...byBand.values()].filter(({ length }) => length > 1);
}

/** The smallest value of the set under each of `count` hash functions. */
function minHashes(set: ReadonlySet<number>, count: number): Uint32Array {
  const smallest = new Uint32Array(count).fill(0xffffffff);
  for (const value of set) {
    for (let k = 0; k < count; k++) {
      // Finalizer of MurmurHash3 on the value and the number of the function.
      let h = value ^ Math.imul(k + 1, 0x9e3779b1);
      h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
      h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
      h = (h ^ (h >>> 16)) >>> 0;
      if (h < smallest[k]!) smallest[k] = h;
    }
  }
  return smallest;
}

function addTo(map: Map<string, number[]>, key: string, value: number): void {
  const values = map.get(key);
  if (values) values.push(value);
  else map.set(key, [value]);
}
