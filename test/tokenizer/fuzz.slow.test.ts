/** @file Hostile tokenizer files: 10,000 seeded cases a file; all load or end in one InputError that names the file. */

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { encodeChat } from "../../src/tokenizer/chat.js";
import { loadTokenizer, type Tokenizer } from "../../src/tokenizer/tokenizer.js";
import { temporaryFolder } from "../formats/folder.js";
import { mutateText, mutateValue, seeded, succeedsOrInputError } from "../formats/fuzz.js";
import { CHATML } from "./folder.js";

const CASES = 10_000;

// Every part that the parsers know, as small as can be.
const SMALL = {
  added_tokens: [
    { id: 8, content: "<s>", special: true },
    { id: 9, content: "<|im_end|>", special: true, lstrip: true, rstrip: true, single_word: true },
    { id: 10, content: "word", normalized: true },
  ],
  normalizer: {
    type: "Sequence",
    normalizers: [
      { type: "Prepend", prepend: "a" },
      { type: "Replace", pattern: { String: " " }, content: "b" },
      { type: "NFC" },
    ],
  },
  pre_tokenizer: {
    type: "Sequence",
    pretokenizers: [
      { type: "Split", pattern: { Regex: "\\p{N}{1,3}|a+?" }, behavior: "Isolated", invert: false },
      { type: "Digits", individual_digits: true },
      { type: "Metaspace", replacement: "b", prepend_scheme: "first", split: true },
    ],
  },
  post_processor: {
    type: "TemplateProcessing",
    single: [{ SpecialToken: { id: "<s>", type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }],
    special_tokens: { "<s>": { id: "<s>", ids: [8], tokens: ["<s>"] } },
  },
  decoder: {
    type: "Sequence",
    decoders: [
      { type: "Replace", pattern: { String: "b" }, content: " " },
      { type: "ByteFallback" },
      { type: "Fuse" },
      { type: "Strip", content: " ", start: 1, stop: 0 },
    ],
  },
  model: {
    type: "BPE",
    unk_token: "u",
    fuse_unk: true,
    byte_fallback: true,
    vocab: { u: 0, a: 1, b: 2, ab: 3, "<0x41>": 4 },
    merges: ["a b"],
  },
};
const CONFIG = {
  eos_token: "<|im_end|>",
  bos_token: { content: "<s>" },
  added_tokens_decoder: { "12": { content: "<x>", special: true } },
  chat_template: [{ name: "default", template: CHATML }],
};
const CHAT = [
  { role: "user", content: "ab<s>1 2" },
  { role: "assistant", content: "word <|im_end|> b" },
];

/** Loading names the file `path`; encoding a chat names the record. Returns whether the tokenizer could be loaded. */
function loadAndEncode(folder: string, path: string, text: string): boolean {
  let tokenizer: Tokenizer | undefined;
  const load = () => {
    tokenizer = loadTokenizer(folder);
  };
  if (!succeedsOrInputError(load, path, text)) return false;
  succeedsOrInputError(() => void encodeChat(tokenizer!, CHAT, { where: "record 1" }), "record 1", text);
  return true;
}

it("tokenizer.json", { timeout: 180_000 }, () => {
  const folder = temporaryFolder();
  const path = join(folder, "tokenizer.json");
  let loaded = 0;
  for (let seed = 0; seed < CASES; seed++) {
    const random = seeded(seed);
    const text =
      seed % 3 === 0 ? mutateText(JSON.stringify(SMALL), random) : mutateValue(SMALL, random, 1 + random.whole(3));
    writeFileSync(path, text);
    const attempt = () => {
      const tokenizer = loadTokenizer(folder);
      const ids = tokenizer.encode("ab 12 <s> word\u0000é<|im_end|>A");
      tokenizer.decode(ids);
      tokenizer.decode([0, 1, 4, 4, 999, -1]);
    };
    if (succeedsOrInputError(attempt, path, text)) loaded++;
  }
  // Both outcomes are common, or the cases would show nothing.
  expect(loaded).toBeGreaterThan(CASES / 20);
  expect(loaded).toBeLessThan(CASES / 1.2);
});

it("tokenizer_config.json", { timeout: 180_000 }, () => {
  const folder = temporaryFolder();
  writeFileSync(join(folder, "tokenizer.json"), JSON.stringify(SMALL));
  const path = join(folder, "tokenizer_config.json");
  let loaded = 0;
  for (let seed = 0; seed < CASES; seed++) {
    const random = seeded(seed);
    const text =
      seed % 3 === 0 ? mutateText(JSON.stringify(CONFIG), random) : mutateValue(CONFIG, random, 1 + random.whole(3));
    writeFileSync(path, text);
    if (loadAndEncode(folder, path, text)) loaded++;
  }
  expect(loaded).toBeGreaterThan(CASES / 20);
});

it("chat templates", { timeout: 180_000 }, () => {
  const folder = temporaryFolder();
  writeFileSync(join(folder, "tokenizer.json"), JSON.stringify(SMALL));
  writeFileSync(join(folder, "tokenizer_config.json"), JSON.stringify(CONFIG));
  const path = join(folder, "chat_template.jinja");
  const source = readFileSync(new URL("../fixtures/tokenizer/hostile.jinja", import.meta.url), "utf8");
  for (let seed = 0; seed < CASES / 4; seed++) {
    const text = mutateText(source, seeded(seed));
    writeFileSync(path, text);
    loadAndEncode(folder, path, text);
  }
});
