/** @file The decoder: tokens to text. */

import { InputError } from "../base/errors.js";
import { formatValue } from "../base/json.js";
import { isObject, type Json } from "./files.js";
import { compilePattern } from "./words.js";

type Step = (tokens: string[]) => string[];

/** Tokens (as the vocabulary writes them) -> text. */
export type Decoder = (tokens: string[]) => string;

/** GPT-2's table: every byte as a printable character. */
export const BYTE_CHARS: readonly string[] = (() => {
  const printable = (byte: number) => (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(printable(byte) ? byte : next++));
})();
const CHAR_BYTES = new Map(BYTE_CHARS.map((char, byte) => [char, byte]));

/**
 * Reads `decoder` of tokenizer.json. Own code: that of @huggingface/tokenizers 0.2.0 looks for every token in the list
 * of added tokens and drops or miscounts bytes that are not UTF-8, where the Rust library writes U+FFFD.
 */
export function parseDecoder(value: unknown, path: string): Decoder {
  const step = value === null || value === undefined ? undefined : parseStep(value, path, 0);
  return (tokens) => (step ? step(tokens).join("") : tokens.join(" "));
}

function parseStep(value: unknown, path: string, depth: number): Step {
  if (!isObject(value) || depth > 8) throw new InputError(`${path}: decoder must be an object`);
  switch (value["type"]) {
    case "ByteLevel":
      return (tokens) => [decodeUtf8(tokens.flatMap(tokenBytes))];
    case "ByteFallback":
      return decodeByteTokens;
    case "Fuse":
      return (tokens) => [tokens.join("")];
    case "Strip":
      return parseStrip(value);
    case "Replace": {
      const pattern = compilePattern(value["pattern"], `${path}: decoder Replace`);
      const content = String(value["content"] ?? "");
      return (tokens) => tokens.map((token) => token.replace(pattern, () => content));
    }
    case "Metaspace": {
      const mark = typeof value["replacement"] === "string" ? value["replacement"] : "▁";
      const prepends = value["prepend_scheme"] !== "never" && value["add_prefix_space"] !== false;
      return (tokens) =>
        tokens.map((token, i) => {
          const text = token.replaceAll(mark, " ");
          return i === 0 && prepends && text.startsWith(" ") ? text.slice(1) : text;
        });
    }
    case "Sequence": {
      const parts = value["decoders"];
      if (!Array.isArray(parts)) throw new InputError(`${path}: decoder.decoders must be a list`);
      const steps = parts.map((part) => parseStep(part, path, depth + 1));
      return (tokens) => steps.reduce((current, step) => step(current), tokens);
    }
    default:
      throw new InputError(`${path}: decoder ${formatValue(value["type"])} is not supported`);
  }
}

/** The bytes of a token of a byte-level vocabulary. */
export function tokenBytes(token: string): number[] {
  const bytes: number[] = [];
  for (const char of token) {
    const byte = CHAR_BYTES.get(char);
    // A token with a character outside the table is an added one: its own text.
    if (byte === undefined) return [...Buffer.from(token)];
    bytes.push(byte);
  }
  return bytes;
}

function decodeUtf8(bytes: number[]): string {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(Uint8Array.from(bytes));
}

function decodeByteTokens(tokens: string[]): string[] {
  const result: string[] = [];
  let bytes: number[] = [];
  const flush = () => {
    if (bytes.length === 0) return;
    // The Rust library judges a run of byte tokens as a whole: one invalid byte makes all of them U+FFFD.
    const valid = Buffer.from(decodeUtf8(bytes)).equals(Uint8Array.from(bytes));
    result.push(valid ? decodeUtf8(bytes) : "\ufffd".repeat(bytes.length));
    bytes = [];
  };
  for (const token of tokens) {
    const hex = /^<0x([0-9A-Fa-f]{2})>$/.exec(token)?.[1];
    if (hex !== undefined) {
      bytes.push(Number.parseInt(hex, 16));
      continue;
    }
    flush();
    result.push(token);
  }
  flush();
  return result;
}

function parseStrip(config: Json): Step {
  const content = String(config["content"] ?? "");
  const limit = (value: unknown) => (Number.isInteger(value) ? (value as number) : 0);
  const start = limit(config["start"]);
  const stop = limit(config["stop"]);
  return (tokens) =>
    tokens.map((token) => {
      let from = 0;
      let to = token.length;
      while (from < Math.min(start, token.length) && token[from] === content) from++;
      while (token.length - to < stop && to > from && token[to - 1] === content) to--;
      return token.slice(from, to);
    });
}
