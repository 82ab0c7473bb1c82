/** @file Words of a text and their sequences. */

/** Words in lower case: letters, digits and apostrophes inside. */
export function wordsOf(text: string): string[] {
  return text.toLowerCase().match(/[\p{L}\p{N}]+(?:['’]\p{L}+)*/gu) ?? [];
}

/** All sequences of `n` words, joined by spaces; none where there are fewer words. */
export function ngramsOf(words: readonly string[], n: number): string[] {
  const ngrams: string[] = [];
  for (let i = 0; i + n <= words.length; i++) ngrams.push(words.slice(i, i + n).join(" "));
  return ngrams;
}

/**
 * A 32-bit hash for each sequence of `n` words: enough to count the sequences of a corpus, of which there are millions
 * and not billions. Words by FNV-1a, sequences by a polynomial of them.
 */
export function ngramHashes(words: readonly string[], n: number): number[] {
  const hashes = words.map(hashWord);
  const ngrams: number[] = [];
  for (let i = 0; i + n <= hashes.length; i++) {
    let hash = 0;
    for (let k = i; k < i + n; k++) hash = (Math.imul(hash, 0x9e3779b1) + hashes[k]!) | 0;
    ngrams.push(hash >>> 0);
  }
  return ngrams;
}

function hashWord(word: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < word.length; i++) hash = Math.imul(hash ^ word.charCodeAt(i), 0x01000193);
  return hash;
}
