/** @file Text to token ids and back, exactly as the Rust `tokenizers` library does it. */

import { createSplitter, escapeRegExp, type Section, type Splitter } from "./added.js";
import { parseBpe } from "./bpe.js";
import { BYTE_CHARS, parseDecoder, tokenBytes } from "./decode.js";
import type { AddedToken, TokenizerFiles } from "./files.js";
import { parseNormalizer } from "./normalize.js";
import { parsePostProcessor, type Surround } from "./post.js";
import { parseWordSplitter } from "./words.js";

interface EncodeOptions {
  /** Add what the tokenizer's post-processor adds (Llama 3's BOS). Default true, as in transformers. */
  addSpecialTokens?: boolean;
  /**
   * Read the text of special tokens as these tokens (default, as in transformers); false: it is text like any other.
   */
  parseSpecialTokens?: boolean;
  /** A character to leave out after added tokens have been looked for (chat.ts breaks texts with it). */
  ignore?: string | undefined;
}

/** Ids of a text, and for each cut (a place in the text) the index of the first token with text behind it. */
interface CutIds {
  ids: number[];
  indices: number[];
}

/** Text <-> ids, without chat templates. */
export interface Codec {
  encode(text: string, options?: EncodeOptions): number[];
  /** As `encode` without the post-processor's tokens; `cuts` ascend. */
  encodeWithCuts(text: string, cuts: readonly number[], ignore?: string): CutIds;
  /** The text as it is: clean_up_tokenization_spaces of tokenizer_config.json would change it, and is not applied. */
  decode(ids: ArrayLike<number>, options?: { skipSpecialTokens?: boolean }): string;
  /** Highest token id plus one. */
  vocabSize: number;
  tokenId(token: string): number | undefined;
  /** The token as the vocabulary writes it. */
  tokenText(id: number): string | undefined;
  /** What the token adds to a text, in UTF-8, of which it may be a part of a character; empty for an unknown id. */
  tokenBytes(id: number): Uint8Array;
  specialIds: ReadonlySet<number>;
  /** What the post-processor puts around a text. */
  surround: Surround;
  /** Texts of the special tokens, the longest first. */
  specialTexts: readonly string[];
  /** Texts of the other added tokens. */
  ordinaryAddedTexts: readonly string[];
  /** Whether `text` holds the text of a special token. */
  hasSpecialText(text: string): boolean;
}

/**
 * Most words of a text have been seen before: their ids are kept, up to this many words of up to so many characters.
 */
const CACHE_WORDS = 1 << 17;
const CACHE_WORD_CHARS = 48;

/** Builds the codec; whatever of tokenizer.json cannot be honoured exactly is refused by name. */
export function createCodec(files: TokenizerFiles): Codec {
  const { json, path, addedTokens } = files;
  const { vocab, encodeWord } = parseBpe(json["model"], path);
  const normalize = parseNormalizer(json["normalizer"], path);
  const words = parseWordSplitter(json["pre_tokenizer"], path);
  const surround = parsePostProcessor(json["post_processor"], path);
  const decodeTokens = parseDecoder(json["decoder"], path);

  const texts: (string | undefined)[] = [];
  for (const [token, id] of vocab) texts[id] = token;
  // The Rust library (0.23) decodes a token that it looks for in normalised text to its normalised form.
  for (const token of addedTokens) texts[token.id] = token.normalized ? normalize(token.content) : token.content;
  const addedIds = new Map(addedTokens.map((token) => [token.content, token.id]));
  const specialContents = new Set(files.specialTokens.values());
  const special = addedTokens.filter((token) => token.special || specialContents.has(token.content));
  const specialIds = new Set(special.map((token) => token.id));

  // Without special tokens the pattern must match nothing.
  const specialPattern = new RegExp(special.map(({ content }) => escapeRegExp(content)).join("|") || "(?!)");
  const splitters = createSplitters(addedTokens, normalize);
  const ordinary = addedTokens.filter((token) => !specialIds.has(token.id));
  const ordinarySplitters = createSplitters(ordinary, normalize);
  const wordIds = cached(words.byteLevel ? (word) => encodeWord(byteChars(word)) : encodeWord);

  const encodeSection = ({ text, token }: Section, first: boolean, options: EncodeOptions, out: number[]): void => {
    if (token !== undefined) {
      out.push(token.id);
      return;
    }
    const splitter = options.parseSpecialTokens === false ? ordinarySplitters : splitters;
    for (const [i, part] of splitter.normalized(normalize(text)).entries()) {
      if (part.token !== undefined) {
        out.push(part.token.id);
        continue;
      }
      const plain = options.ignore === undefined ? part.text : part.text.replaceAll(options.ignore, "");
      for (const word of words.split(plain, first && i === 0)) for (const id of wordIds(word)) out.push(id);
    }
  };

  const encode = (text: string, options: EncodeOptions = {}): number[] => {
    const around = options.addSpecialTokens !== false;
    const out = around ? [...surround.before] : [];
    const sections = (options.parseSpecialTokens === false ? ordinarySplitters : splitters).raw(text);
    for (const [i, section] of sections.entries()) encodeSection(section, i === 0, options, out);
    if (around) out.push(...surround.after);
    return out;
  };

  const encodeWithCuts = (text: string, cuts: readonly number[], ignore?: string): CutIds => {
    const options = { ignore };
    const out: number[] = [];
    const indices: number[] = [];
    let from = 0;
    for (const [i, section] of splitters.raw(text).entries()) {
      const start = out.length;
      encodeSection(section, i === 0, options, out);
      const to = from + section.text.length;
      for (let cut = cuts[indices.length]; cut !== undefined && cut <= to; cut = cuts[indices.length]) {
        const head: number[] = [];
        if (cut > from && cut < to) encodeSection({ text: section.text.slice(0, cut - from) }, i === 0, options, head);
        indices.push(cut === to ? out.length : start + firstBeyond(out.slice(start), head));
      }
      from = to;
    }
    return { ids: out, indices };
  };

  /** Index of the first of `all` that does not belong to `head` alone, `head` being the ids of the text up to a cut. */
  const firstBeyond = (all: number[], head: number[]): number => {
    let index = 0;
    while (index < head.length && head[index] === all[index]) index++;
    if (index === head.length) return index;
    // A token lies across the cut, or the text before it is split differently when more text follows.
    const length = decode(head).length;
    while (index < all.length && decode(all.slice(0, index + 1)).length <= length) index++;
    return index;
  };

  const decode = (tokens: ArrayLike<number>, options: { skipSpecialTokens?: boolean } = {}): string => {
    const kept: string[] = [];
    for (let i = 0; i < tokens.length; i++) {
      const id = tokens[i]!;
      if (options.skipSpecialTokens && specialIds.has(id)) continue;
      const token = texts[id];
      if (token !== undefined) kept.push(token);
    }
    return decodeTokens(kept);
  };

  return {
    encode,
    encodeWithCuts,
    decode,
    vocabSize: texts.length,
    tokenId: (token) => addedIds.get(token) ?? vocab.get(token),
    tokenText: (id) => texts[id],
    tokenBytes: (id) => (words.byteLevel ? Uint8Array.from(tokenBytes(texts[id] ?? "")) : plainBytes(texts[id] ?? "")),
    specialIds,
    surround,
    hasSpecialText: (text) => specialPattern.test(text),
    specialTexts: special.map((token) => token.content).sort((a, b) => b.length - a.length),
    ordinaryAddedTexts: ordinary.map((token) => token.content),
  };
}

/** Of vocabularies that write a space as "\u2581" and a byte as "<0xE2>". */
function plainBytes(token: string): Uint8Array {
  const byte = /^<0x([0-9A-Fa-f]{2})>$/.exec(token)?.[1];
  return byte === undefined ? Buffer.from(token.replaceAll("\u2581", " ")) : Uint8Array.of(Number.parseInt(byte, 16));
}

/** `raw` finds tokens in the text as it is, `normalized` those that are looked for after normalisation. */
function createSplitters(
  tokens: AddedToken[],
  normalize: (text: string) => string,
): Record<"raw" | "normalized", Splitter> {
  const raw = tokens.filter((token) => !token.normalized);
  const rest = tokens.filter((token) => token.normalized);
  return {
    raw: createSplitter(
      raw,
      raw.map((token) => token.content),
    ),
    normalized: createSplitter(
      rest,
      rest.map((token) => normalize(token.content)),
    ),
  };
}

function byteChars(word: string): string {
  let chars = "";
  for (const byte of Buffer.from(word)) chars += BYTE_CHARS[byte];
  return chars;
}

function cached(encodeWord: (word: string) => number[]): (word: string) => number[] {
  const cache = new Map<string, number[]>();
  return (word) => {
    const known = cache.get(word);
    if (known !== undefined) return known;
    const ids = encodeWord(word);
    if (word.length > CACHE_WORD_CHARS) return ids;
    if (cache.size >= CACHE_WORDS) cache.clear();
    // A copy of the word: a slice would keep the whole text that it was cut from in memory.
    cache.set(Buffer.from(word, "utf16le").toString("utf16le"), ids);
    return ids;
  };
}
