/** @file What is read from replies: whole texts and labelled lines. A reply that is not of its form has a fault. */
import { withoutReasoning } from "../chat/reasoning.js";
import { findIdentityLeak, findPlaceholder, isTruncated } from "../corpus/faults.js";
import { wordsOf } from "../corpus/ngrams.js";

/** A value, or why there is none. */
export type Read<T> = { value: T } | { fault: string };

/** "I'm sorry, but I can't help with that": an apology or none, then what cannot be done. */
const APOLOGY = /^(?:(?:i['’]?m|i am) (?:so |very )?sorry|sorry|apologies|unfortunately)?[,.;]?\s*(?:but\s+)?/i;
const ROLE = /^as an ai[^,.]{0,40},\s*/i;
const DECLINES = /^i(?:['’]m| am)? (?:can(?:no|['’])t|unable|won['’]t|will not|(?:not able|have|must)\b)(?: to)? (.*)/i;
const DECLINED =
  /^(?:decline|help|assist|write|create|provide|fulfil|comply|do|generate|continue|produce|answer|engage|with)/i;

/** Where reasoning and answer cannot be told apart. */
const REASONING_TAG = /<\/?think(?:ing)?>/i;
/** "Here is the text:" and the like, on a line of its own. */
const PREAMBLE = /^(?:sure|certainly|of course|okay|here(?: is|['’]s| are)|below is)\b[^\n]{0,160}[:.!]\s*\n+/i;
/** "Let me know if ..." on the last line. */
const POSTSCRIPT = /\n+(?:let me know|i hope this|feel free to|would you like me)\b[^\n]*$/i;

/** Whether a reply says that there will be none. */
export function isRefusal(text: string): boolean {
  const rest = text.trimStart().replace(APOLOGY, "").replace(ROLE, "").split("\n", 1)[0]!;
  return DECLINED.test(DECLINES.exec(rest)?.[1] ?? "");
}

/** A reply without its reasoning, the fence or tags around it, and what the writer says to whoever asked. */
export function plainReply(text: string): string {
  let plain = withoutReasoning(text).replace(PREAMBLE, "").replace(POSTSCRIPT, "").trim();
  const fenced = /^```\w*\n([\s\S]*?)\n?```$/.exec(plain);
  if (fenced && !fenced[1]!.includes("```")) plain = fenced[1]!.trim();
  const tagged = /^<(text|content|message|document|idea)>([\s\S]*)<\/\1>$/i.exec(plain);
  if (tagged) plain = tagged[2]!.trim();
  const quoted = /^["“]([^"“”\n]*)["”]$/.exec(plain);
  return quoted ? quoted[1]!.trim() : plain;
}

export interface TextForm {
  /** Fewest and most words. */
  words: readonly [number, number];
  /** Names that the text may have: the subject's and its maker's. */
  names: readonly string[];
  /** Words that must be in it; null: none. */
  mustName?: string;
}

/** A text that is whole, of the length that was asked for, and speaks of nobody else. */
export function readText(reply: string, { words: [fewest, most], names, mustName }: TextForm): Read<string> {
  const text = plainReply(reply);
  const count = wordsOf(text).length;
  if (count < fewest) return { fault: count === 0 ? "empty" : `too short: fewer than ${fewest} words` };
  if (count > most) return { fault: `too long: more than ${most} words` };
  if (isTruncated(text)) return { fault: "ends within a sentence" };
  if (REASONING_TAG.test(text)) return { fault: "a tag of reasoning in it" };
  if (findPlaceholder(text) !== null) return { fault: "a placeholder" };
  if (findIdentityLeak(text, names) !== null) return { fault: "another model's name, or a stock phrase of one" };
  if (mustName !== undefined && !text.toLowerCase().includes(mustName.toLowerCase()))
    return { fault: `does not name ${mustName}` };
  return { value: text };
}

/**
 * Lines "LABEL: text" for each of `labels`, in their order; a label that is there twice in `labels` is wanted twice.
 * Emphasis and list marks around a label do not matter; a text may go on on lines without a label.
 */
export function readLabelled(reply: string, labels: readonly string[]): Read<string[]> {
  const pattern = new RegExp(`^[\\s>*_#\\-\\d.]*(${[...new Set(labels)].join("|")})[\\s*_]*:[*_]*(.*)$`, "i");
  const found: { label: string; text: string }[] = [];
  for (const line of plainReply(reply).split("\n")) {
    const match = pattern.exec(line);
    if (match) found.push({ label: match[1]!.toUpperCase(), text: match[2]!.trim() });
    else if (found.length > 0 && line.trim() !== "") found.at(-1)!.text += ` ${line.trim()}`;
  }
  if (found.map(({ label }) => label).join() !== labels.join())
    return { fault: `not the lines ${labels.join(", ")}, in this order` };
  const texts = found.map(({ text }) => text.trim());
  if (texts.some((text) => REASONING_TAG.test(text))) return { fault: "a tag of reasoning in it" };
  const empty = texts.indexOf("");
  return empty < 0 ? { value: texts } : { fault: `${labels[empty]} is empty` };
}

/** "yes" or "no" for each of `labels`. */
export function readAnswers(reply: string, labels: readonly string[]): Read<boolean[]> {
  const read = readLabelled(reply, labels);
  if ("fault" in read) return read;
  const words = read.value.map((text) => /^\W*(yes|no)\b/i.exec(text)?.[1]?.toLowerCase());
  return words.includes(undefined) ? { fault: "neither yes nor no" } : { value: words.map((word) => word === "yes") };
}

/** The one of `options` that the reply consists of. */
export function readOption(reply: string, options: readonly string[]): Read<number> {
  const plain = plainReply(reply).replace(/^\W+|\W+$/g, "");
  const at = options.findIndex((option) => plain.toLowerCase() === option.toLowerCase());
  return at >= 0 ? { value: at } : { fault: `not one of ${options.join(", ")}` };
}
