/** @file The text of generated tokens, whole or as they come. */
import type { Tokenizer } from "../tokenizer/tokenizer.js";

/** What a character is shown as that is not complete yet. */
const REPLACEMENT = "\ufffd";

/**
 * The text of `ids` after `prompt`, special tokens left out. The last token of the prompt decides whether a leading
 * space is shown: some tokenizers drop that of the first token.
 */
export function continuationText(tokenizer: Tokenizer, prompt: readonly number[], ids: readonly number[]): string {
  const options = { skipSpecialTokens: true };
  const context = prompt.slice(-1);
  return tokenizer.decode([...context, ...ids], options).slice(tokenizer.decode(context, options).length);
}

/** `text` up to the first of `stops` in it. */
export function cutAtStop(text: string, stops: readonly string[]): string {
  const places = stops.map((stop) => text.indexOf(stop)).filter((place) => place >= 0);
  return places.length === 0 ? text : text.slice(0, Math.min(...places));
}

export interface TextStream {
  /** What can be shown once `id` is there. */
  push(id: number): string;
  /** What is left, cut at a stop string. */
  end(): string;
  /** Whether a stop string is there. */
  readonly isStopped: boolean;
}

/** Tokens that are decoded together; then what they say is settled, and the last of them is context for the next. */
const WINDOW = 32;

/** Text as tokens come: no half characters, nothing of a stop string, and what may yet become one is held back. */
export function openTextStream(
  tokenizer: Tokenizer,
  prompt: readonly number[],
  stopStrings: readonly string[],
): TextStream {
  let before = prompt;
  let ids: number[] = [];
  let settled = "";
  let shown = 0;
  let isStopped = false;
  const next = (text: string): string => {
    const piece = text.slice(shown);
    shown = Math.max(shown, text.length);
    return piece;
  };
  const current = (): string => {
    const text = settled + continuationText(tokenizer, before, ids);
    const cut = cutAtStop(text, stopStrings);
    isStopped ||= cut.length < text.length;
    if (ids.length >= WINDOW && !isStopped && !text.endsWith(REPLACEMENT)) {
      [before, ids, settled] = [ids.slice(-1), [], text];
    }
    return cut;
  };
  return {
    push(id) {
      if (isStopped) return "";
      ids.push(id);
      let text = current();
      while (text.endsWith(REPLACEMENT)) text = text.slice(0, -REPLACEMENT.length);
      return next(text.slice(0, text.length - heldBack(text, stopStrings)));
    },
    end: () => next(current()),
    get isStopped() {
      return isStopped;
    },
  };
}

/** Length of the longest end of `text` that a stop string begins with. */
export function heldBack(text: string, stopStrings: readonly string[]): number {
  let longest = 0;
  for (const stop of stopStrings) {
    for (let length = Math.min(stop.length - 1, text.length); length > longest; length--)
      if (text.endsWith(stop.slice(0, length))) longest = length;
  }
  return longest;
}
