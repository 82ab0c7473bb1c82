/** @file Added tokens (special ones among them) as they are found in text. */

import type { AddedToken } from "./files.js";

/** A stretch of text; with `token` it is that added token (and the white space that the token swallows). */
export interface Section {
  text: string;
  token?: AddedToken;
}

/** Splits a text at added tokens: leftmost first, the longest of those that begin there. */
export type Splitter = (text: string) => Section[];

const WORD = "[\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}]";
const WORD_END = new RegExp(`${WORD}$`, "u");
const WORD_START = new RegExp(`^${WORD}`, "u");

/** `contents[i]` is the text by which `tokens[i]` is recognised. */
export function createSplitter(tokens: AddedToken[], contents: string[]): Splitter {
  const byContent = new Map<string, AddedToken>();
  for (const [i, token] of tokens.entries()) byContent.set(contents[i]!, token);
  byContent.delete("");
  if (byContent.size === 0) return (text) => (text === "" ? [] : [{ text }]);
  // Longest first, so that the alternation takes the longest match at a place.
  const alternatives = [...byContent.keys()].sort((a, b) => b.length - a.length).map(escapeRegExp);
  const pattern = new RegExp(alternatives.join("|"), "g");
  return (text) => {
    const sections: Section[] = [];
    let end = 0;
    for (const match of text.matchAll(pattern)) {
      const token = byContent.get(match[0])!;
      let from = match.index;
      let to = from + match[0].length;
      if (from < end) continue;
      if (token.singleWord && (WORD_END.test(text.slice(0, from).slice(-2)) || WORD_START.test(text.slice(to, to + 2))))
        continue;
      if (token.lstrip) from = end + text.slice(end, from).trimEnd().length;
      if (token.rstrip) to = text.length - text.slice(to).trimStart().length;
      if (from > end) sections.push({ text: text.slice(end, from) });
      sections.push({ text: text.slice(from, to), token });
      end = to;
    }
    if (end < text.length) sections.push({ text: text.slice(end) });
    return sections;
  };
}

/** `text` as a regular expression that matches just it. */
export function escapeRegExp(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&");
}
