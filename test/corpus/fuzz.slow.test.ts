/**
 * @file Hostile data files: 10,000 seeded cases a parser; all are read or end in one InputError that names file and
 * place.
 */

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { expect, it } from "vitest";
import { InputError } from "../../src/base/errors.js";
import { encodeRecord, NO_NOTES } from "../../src/corpus/encode.js";
import { readRecords } from "../../src/corpus/files.js";
import { parseRecord } from "../../src/corpus/records.js";
import { temporaryFolder } from "../formats/folder.js";
import { mutateText, mutateValue, seeded } from "../formats/fuzz.js";
import { byteTokenizer, CHATML } from "../tokenizer/folder.js";

const CASES = 10_000;
const tokenizer = byteTokenizer({ chat_template: CHATML, eos_token: "<|im_end|>" });

const RECORDS = [
  { text: "a text<|im_end|>", source: "s", domain: "d" },
  {
    messages: [
      { role: "user", content: "q" },
      { role: "assistant", content: [{ type: "text", text: "a" }] },
    ],
    tools: [{ name: "f" }],
    chat_template_kwargs: { x: 1 },
  },
  { prompt: "p", completion: "c" },
  {
    prompt: [{ role: "user", content: "q" }],
    completion: [{ role: "assistant", content: "a", tool_calls: [{ function: { name: "f", arguments: {} } }] }],
  },
  { input_ids: [1, 2, 3], labels: [-100, 2, 3] },
];

/** Whether all records could be read and encoded; anything but one InputError that names the file fails the test. */
async function readable(path: string): Promise<boolean> {
  try {
    for await (const { value, where } of readRecords(path)) {
      const notes = { ...NO_NOTES };
      const { ids, targets } = encodeRecord(parseRecord(value, where), tokenizer, where, notes);
      expect(targets.length).toBe(ids.length);
    }
    return true;
  } catch (error) {
    if (!(error instanceof InputError))
      throw new Error(`${readFileSync(path).subarray(0, 500)} threw ${(error as Error).stack}`);
    if (!error.message.startsWith(path) || /\p{Cc}/u.test(error.message) || error.message.length > 1500) {
      expect.fail(`an unclear message: ${JSON.stringify(error.message)}`);
    }
    return false;
  }
}

async function fuzz(path: string, cases: number, content: (seed: number) => string | Uint8Array): Promise<void> {
  let read = 0;
  for (let seed = 0; seed < cases; seed++) {
    writeFileSync(path, content(seed));
    if (await readable(path)) read++;
  }
  expect(read).toBeGreaterThan(0);
  expect(read).toBeLessThan(cases);
}

function jsonl(seed: number): string {
  const random = seeded(seed);
  const lines = Array.from({ length: 1 + random.whole(3) }, () => {
    const record = random.pick(RECORDS);
    return random.whole(2) ? mutateValue(record, random) : JSON.stringify(record);
  });
  const text = lines.join(random.pick(["\n", "\r\n", "\n\n"]));
  return random.whole(2) ? mutateText(text, random) : text;
}

it("JSONL", { timeout: 180_000 }, () => fuzz(join(temporaryFolder(), "a.jsonl"), CASES, jsonl));

it("JSON", () =>
  fuzz(join(temporaryFolder(), "a.json"), CASES / 10, (seed) => `[${jsonl(seed).replaceAll("\n", ",")}]`));

/** `bytes` with some changed, cut out or doubled. */
function damaged(bytes: Uint8Array, seed: number): Uint8Array {
  const random = seeded(seed);
  let result = Buffer.from(bytes);
  for (let edits = random.whole(4); edits > 0 && result.length > 0; edits--) {
    const at = random.whole(result.length);
    const kind = random.whole(4);
    if (kind <= 1) result[at] = random.pick([0, 1, 0x7f, 0x80, 0xff, random.whole(256)]);
    else if (kind === 2) result = result.subarray(0, at);
    else result = Buffer.concat([result.subarray(0, at), result.subarray(Math.max(0, at - random.whole(9)))]);
  }
  return result;
}

it("gzipped JSONL", () =>
  fuzz(join(temporaryFolder(), "a.jsonl.gz"), CASES / 10, (seed) => damaged(gzipSync(jsonl(seed)), seed)));

const parquet = ["documents-snappy", "documents-none", "documents-zstd", "documents-gzip", "chats", "rows"].map(
  (name) => readFileSync(new URL(`../fixtures/corpus/${name}.parquet`, import.meta.url)),
);
it("Parquet", { timeout: 180_000 }, () =>
  fuzz(join(temporaryFolder(), "a.parquet"), CASES, (seed) => damaged(parquet[seed % parquet.length]!, seed)),
);
