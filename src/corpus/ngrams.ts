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

/** FNV-1a, 32 bits: enough to count sequences of a corpus, of which there are millions and not billions. */
export function hashText(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}
