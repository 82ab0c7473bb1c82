/** @file The pre-tokenizer: text to words. */

import * as huggingface from "@huggingface/tokenizers";
import { InputError } from "../base/errors.js";
import { formatValue } from "../base/json.js";
import { isObject, type Json, shortMessage } from "./files.js";

/**
 * The pre-tokenizer: a section of text -> words. Own code where @huggingface/tokenizers 0.2.0 differs from the Rust
 * library (digits that are not ASCII, JavaScript's idea of white space, split behaviours, Metaspace's split); its
 * translation of Oniguruma patterns to JavaScript is used as it is.
 */
export interface WordSplitter {
  /** `first`: whether the section begins the text (Metaspace's scheme "first" asks). */
  split(text: string, first: boolean): string[];
  /** Whether words are encoded by the bytes of their UTF-8 form. */
  byteLevel: boolean;
}

type Stage = (text: string, first: boolean) => string[];

// The package's type declarations cannot be resolved under NodeNext (imports without extension).
const { SplitPreTokenizer } = huggingface as unknown as {
  SplitPreTokenizer: new (config: object) => { pattern: RegExp | null };
};

/** GPT-2's pattern, with white space as Unicode (and Oniguruma) defines it. */
const GPT2 =
  /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu;

/** Reads `pre_tokenizer` of tokenizer.json; an unknown kind is refused by name. */
export function parseWordSplitter(value: unknown, path: string): WordSplitter {
  const configs = flatten(value, path, 0);
  const byteLevelAt = configs.findIndex((config) => config["type"] === "ByteLevel");
  if (byteLevelAt >= 0 && byteLevelAt !== configs.length - 1) {
    throw new InputError(`${path}: pre_tokenizer: ByteLevel must come last`);
  }
  const stages = configs.map((config) => parseStage(config, path));
  const split: Stage = (text, first) => {
    let words = [text];
    for (const stage of stages)
      words = words.length === 1 ? stage(words[0]!, first) : flatMapStage(words, stage, first);
    return words;
  };
  return { split, byteLevel: byteLevelAt >= 0 };
}

function flatMapStage(words: string[], stage: Stage, first: boolean): string[] {
  const result: string[] = [];
  for (const [i, word] of words.entries()) for (const part of stage(word, first && i === 0)) result.push(part);
  return result;
}

function flatten(value: unknown, path: string, depth: number): Json[] {
  if (value === null || value === undefined) return [];
  if (!isObject(value) || depth > 8) throw new InputError(`${path}: pre_tokenizer must be an object`);
  if (value["type"] !== "Sequence") return [value];
  const parts = value["pretokenizers"];
  if (!Array.isArray(parts)) throw new InputError(`${path}: pre_tokenizer.pretokenizers must be a list`);
  return parts.flatMap((part) => flatten(part, path, depth + 1));
}

function parseStage(config: Json, path: string): Stage {
  switch (config["type"]) {
    case "Split":
      return parseSplit(config, path);
    case "Digits":
      return (text) => splitAt(text, config["individual_digits"] === true ? /\p{N}/gu : /\p{N}+/gu);
    case "ByteLevel": {
      const prefix = config["add_prefix_space"] === true;
      const useRegex = config["use_regex"] !== false;
      return (text) => {
        const prefixed = prefix && !text.startsWith(" ") ? ` ${text}` : text;
        return useRegex ? splitAt(prefixed, GPT2) : [prefixed];
      };
    }
    case "Metaspace":
      return parseMetaspace(config);
    default:
      throw new InputError(`${path}: pre_tokenizer ${formatValue(config["type"])} is not supported`);
  }
}

function parseSplit(config: Json, path: string): Stage {
  const behavior = config["behavior"];
  if (behavior !== "Isolated" && behavior !== "Removed") {
    throw new InputError(`${path}: pre_tokenizer Split: behavior ${formatValue(behavior)} is not supported`);
  }
  const pattern = compilePattern(config["pattern"], `${path}: pre_tokenizer Split`);
  if (behavior === "Isolated") return (text) => splitAt(text, pattern);
  if (config["invert"] === true) return (text) => text.match(pattern)?.filter((word) => word !== "") ?? [];
  return (text) => text.split(pattern).filter((word) => word !== "");
}

/** { Regex } or { String } of tokenizer.json as a global JavaScript pattern. */
export function compilePattern(value: unknown, where: string): RegExp {
  const source = isObject(value) ? (value["Regex"] ?? value["String"]) : undefined;
  if (typeof source !== "string" || source === "") throw new InputError(`${where}: pattern must be Regex or String`);
  try {
    return new SplitPreTokenizer({ type: "Split", pattern: value, behavior: "Isolated", invert: false }).pattern!;
  } catch (error) {
    throw new InputError(`${where}: pattern ${formatValue(source)}: ${shortMessage(error)}`);
  }
}

/** All matches of `pattern` and what lies between them, in order. */
function splitAt(text: string, pattern: RegExp): string[] {
  const matches = text.match(pattern);
  if (matches === null) return text === "" ? [] : [text];
  let length = 0;
  for (const match of matches) length += match.length;
  // The usual patterns match every character, so that there are no gaps to look for.
  if (length === text.length && !matches.includes("")) return matches;
  const words: string[] = [];
  let end = 0;
  for (const match of text.matchAll(pattern)) {
    if (match.index > end) words.push(text.slice(end, match.index));
    if (match[0] !== "") words.push(match[0]);
    end = match.index + match[0].length;
  }
  if (end < text.length) words.push(text.slice(end));
  return words;
}

function parseMetaspace(config: Json): Stage {
  const mark = typeof config["replacement"] === "string" ? config["replacement"] : "▁";
  const scheme = config["prepend_scheme"] ?? (config["add_prefix_space"] === false ? "never" : "always");
  const splits = config["split"] !== false;
  return (text, first) => {
    const marked = text.replaceAll(" ", mark);
    const prepend = !marked.startsWith(mark) && (scheme === "always" || (scheme === "first" && first));
    const whole = prepend ? mark + marked : marked;
    if (!splits) return [whole];
    // Each word begins with its mark.
    return whole.split(mark).flatMap((word, i) => (i === 0 ? (word === "" ? [] : [word]) : [mark + word]));
  };
}
