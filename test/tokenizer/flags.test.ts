/** @file Added tokens whose flags differ between tokenizer.json and tokenizer_config.json, against transformers. */

import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { BYTES, byteTokenizer } from "./folder.js";

interface Flags {
  texts: string[];
  tokens: string[];
  cases: { flags: Record<string, boolean>; ids: number[][] }[];
}
const { texts, tokens, cases } = JSON.parse(
  readFileSync(new URL("../fixtures/tokenizer/flags.json", import.meta.url), "utf8"),
) as Flags;
const listed = (JSON.parse(readFileSync(BYTES, "utf8")) as { added_tokens: { id: number; content: string }[] })
  .added_tokens;

it.each(cases)("$flags", ({ flags, ids }) => {
  const entries = listed.filter(({ content }) => tokens.includes(content));
  const decoder = Object.fromEntries(entries.map(({ id, content }) => [id, { content, ...flags }]));
  const tokenizer = byteTokenizer({ added_tokens_decoder: decoder });
  expect(texts.map((text) => tokenizer.encode(text))).toEqual(ids);
});
