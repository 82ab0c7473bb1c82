/** @file Which tokens end what, cuts, long texts, and files that are refused. */

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { loadTokenizer } from "../../src/tokenizer/tokenizer.js";
import { temporaryFolder } from "../formats/folder.js";
import { BYTES, byteTokenizer, CHATML, writeTokenizer } from "./folder.js";

const bytes = JSON.parse(readFileSync(BYTES, "utf8")) as Record<string, unknown>;

/** A folder whose tokenizer.json has some fields replaced. */
function folderWith(fields: Record<string, unknown>): string {
  const folder = temporaryFolder();
  writeFileSync(join(folder, "tokenizer.json"), JSON.stringify({ ...bytes, ...fields }));
  return folder;
}

describe("the tokens that end documents, turns and generation", () => {
  const named = (config: Record<string, unknown>, generation?: unknown) => {
    const folder = temporaryFolder();
    writeTokenizer(folder, config);
    if (generation !== undefined) writeFileSync(join(folder, "generation_config.json"), JSON.stringify(generation));
    const { bosId, endOfTextId, endOfTurnId, stopIds, tokenText } = loadTokenizer(folder);
    const text = (id: number | undefined) => (id === undefined ? undefined : tokenText(id));
    return {
      bos: text(bosId),
      endOfText: text(endOfTextId),
      endOfTurn: text(endOfTurnId),
      stops: stopIds.map(text).sort(),
    };
  };

  it.each([
    [
      "a base model",
      { eos_token: "</s>", bos_token: "<s>" },
      { bos: "<s>", endOfText: "</s>", endOfTurn: undefined, stops: ["</s>"] },
    ],
    [
      "chat-tuned: eos_token ends turns",
      { eos_token: "<|im_end|>", chat_template: CHATML },
      { bos: undefined, endOfText: "<|endoftext|>", endOfTurn: "<|im_end|>", stops: ["<|endoftext|>", "<|im_end|>"] },
    ],
    [
      "eos_token as an object",
      { eos_token: { content: "<|end_of_text|>" }, chat_template: CHATML },
      {
        bos: undefined,
        endOfText: "<|end_of_text|>",
        endOfTurn: "<|im_end|>",
        stops: ["<|end_of_text|>", "<|im_end|>"],
      },
    ],
    [
      "nothing named",
      {},
      { bos: undefined, endOfText: "<|endoftext|>", endOfTurn: undefined, stops: ["<|endoftext|>"] },
    ],
  ])("%s", (_, config, expected) => expect(named(config)).toEqual(expected));

  it("eos ids of generation_config.json stop generation", () => {
    const id = byteTokenizer().tokenId("<|eom_id|>")!;
    expect(named({ eos_token: "</s>" }, { eos_token_id: [id] }).stops).toEqual(["</s>", "<|eom_id|>"]);
  });
});

describe("encodeWithCuts", () => {
  it("finds the first token with text behind each cut, whatever tokens lie across it", () => {
    const tokenizer = byteTokenizer();
    const text = "in the end<|im_end|>then an answer is given...";
    const { ids, indices } = tokenizer.encodeWithCuts(
      text,
      Array.from({ length: text.length + 1 }, (_, i) => i),
    );
    expect(ids).toEqual(tokenizer.encode(text));
    let end = 0;
    const ends = ids.map((id) => (end += tokenizer.decode([id]).length));
    // A cut inside the text of a special token counts to the token after it.
    const expected = Array.from({ length: text.length + 1 }, (_, cut) => ends.filter((to) => to <= cut).length);
    for (const [cut, index] of indices.entries())
      if (cut <= 10 || cut >= 20) expect([cut, index]).toEqual([cut, expected[cut]]);
  });
});

it("takes time in proportion to the text: words of 100,000 characters, spaces, special tokens", () => {
  const tokenizer = byteTokenizer();
  const before = performance.now();
  for (const text of ["a", "in", " ", " \n", "é", "<|im_end|>", "<|im_end"]) {
    const long = text.repeat(100_000 / text.length);
    expect(tokenizer.decode(tokenizer.encode(long)) === long).toBe(true);
  }
  expect(performance.now() - before).toBeLessThan(20_000);
});

describe("tokenizer files that cannot be honoured are refused by name", () => {
  const model = bytes["model"] as Record<string, unknown>;
  it.each([
    ["unigram", { model: { type: "Unigram", vocab: [] } }, /model type "Unigram" is not supported/],
    ["dropout", { model: { ...model, dropout: 0.1 } }, /model\.dropout is not supported/],
    ["suffix", { model: { ...model, end_of_word_suffix: "</w>" } }, /model\.end_of_word_suffix is not supported/],
    ["id", { model: { ...model, vocab: { a: -1 } } }, /model\.vocab\["a"\] = -1 is no token id/],
    ["huge id", { model: { ...model, vocab: { a: 4e9 } } }, /is no token id/],
    ["merge", { model: { ...model, merges: ["a zz"] } }, /model\.merges\[0\] = "a zz" is not a pair of the vocabulary/],
    ["normalizer", { normalizer: { type: "Precompiled" } }, /normalizer "Precompiled" is not supported/],
    [
      "pre-tokenizer",
      { pre_tokenizer: { type: "BertPreTokenizer" } },
      /pre_tokenizer "BertPreTokenizer" is not supported/,
    ],
    [
      "split behaviour",
      { pre_tokenizer: { type: "Split", behavior: "Contiguous", pattern: { String: "a" } } },
      /behavior "Contiguous" is not supported/,
    ],
    ["pattern", { pre_tokenizer: { type: "Split", behavior: "Isolated", pattern: { Regex: "(" } } }, /pattern "\("/],
    ["decoder", { decoder: { type: "CTC" } }, /decoder "CTC" is not supported/],
    ["post-processor", { post_processor: { type: "X" } }, /post_processor "X" is not supported/],
    ["added tokens", { added_tokens: [{ id: 1 }] }, /added_tokens\[0\]: content must be a text/],
  ])("%s", (_, fields, why) => {
    expect(() => loadTokenizer(folderWith(fields))).toThrow(why);
    expect(() => loadTokenizer(folderWith(fields))).toThrow(/tokenizer\.json/);
  });

  it("missing and broken files", () => {
    const folder = temporaryFolder();
    expect(() => loadTokenizer(folder)).toThrow(/tokenizer\.json: no such file/);
    writeFileSync(join(folder, "tokenizer.json"), "{");
    expect(() => loadTokenizer(folder)).toThrow(/tokenizer\.json is not valid JSON/);
    writeTokenizer(folder, { chat_template: 5 });
    expect(() => loadTokenizer(folder)).toThrow(/tokenizer_config\.json: chat_template must be a text/);
    writeTokenizer(folder, { chat_template: "{% for" });
    expect(() => loadTokenizer(folder)).toThrow(/tokenizer_config\.json: chat template/);
  });
});
