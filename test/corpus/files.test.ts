/** @file Data files: which are read, in which order, and the records in them. */

import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { loadDataset } from "../../src/corpus/dataset.js";
import { openDataFiles, readRecords } from "../../src/corpus/files.js";
import { readLines } from "../../src/corpus/lines.js";
import type { RawRecord } from "../../src/corpus/records.js";
import { temporaryFolder } from "../formats/folder.js";
import { byteTokenizer, CHATML } from "../tokenizer/folder.js";

const FIXTURES = fileURLToPath(new URL("../fixtures/corpus/", import.meta.url));

async function all(path: string): Promise<RawRecord[]> {
  const records: RawRecord[] = [];
  for await (const record of readRecords(path)) records.push(record);
  return records;
}

function file(name: string, content: string | Uint8Array): string {
  const path = join(temporaryFolder(), name);
  writeFileSync(path, content);
  return path;
}

describe("--data arguments", () => {
  const folderWith = (...names: string[]) => {
    const folder = temporaryFolder();
    for (const name of names) writeFileSync(join(folder, name), "{}\n");
    return folder;
  };
  const open = async (args: string[], resolve?: (url: string) => Promise<string[]>) =>
    (await openDataFiles(args, resolve && { resolve })).map(({ path }) => path);

  it("are files in the order given, wildcards sorted, and data sets of the hub", async () => {
    const folder = folderWith("b.jsonl", "a.jsonl", "c.parquet", "x.txt");
    const at = (name: string) => join(folder, name);
    expect(await open([at("b.jsonl"), at("a.jsonl")])).toEqual([at("b.jsonl"), at("a.jsonl")]);
    expect(await open([`${folder}/*.jsonl`])).toEqual([at("a.jsonl"), at("b.jsonl")]);
    expect(await open([`${folder}/{c,a}.*`])).toEqual([at("a.jsonl"), at("c.parquet")]);
    expect(
      await open(["hf://datasets/o/n"], async (url) => (url === "hf://datasets/o/n" ? [at("a.jsonl")] : [])),
    ).toEqual([at("a.jsonl")]);
  });

  it("come with their SHA-256", async () => {
    const path = file("a.jsonl", '{"text":"a"}\n');
    const sha256 = createHash("sha256").update(readFileSync(path)).digest("hex");
    expect(await openDataFiles([path])).toEqual([{ path, sha256 }]);
  });

  it("match below folders whatever is in their names", async () => {
    const folder = folderWith("a.jsonl");
    const odd = join(folder, "data (1) [x]");
    mkdirSync(odd);
    writeFileSync(join(odd, "b.jsonl"), "{}\n");
    expect(await open([`${odd}/*.jsonl`])).toEqual([join(odd, "b.jsonl")]);
    expect(await open([`${folder}/**/*.jsonl`])).toEqual([join(folder, "a.jsonl"), join(odd, "b.jsonl")]);
  });

  it("that name nothing readable are refused", async () => {
    const folder = folderWith("a.csv");
    await expect(open([join(folder, "b.jsonl")])).rejects.toThrow(/--data .*b\.jsonl: no such file/);
    await expect(open([`${folder}/*.jsonl`])).rejects.toThrow("matches no file");
    await expect(open([folder])).rejects.toThrow("is a folder");
    await expect(open([join(folder, "a.csv")])).rejects.toThrow("unknown kind of file");
  });
});

describe("readRecords", () => {
  const lines = '{"text":"a"}\n\n  \r\n{"text":"ü 你"}\r\n{"text":"last"}';
  const expected = [
    [1, { text: "a" }],
    [4, { text: "ü 你" }],
    [5, { text: "last" }],
  ];

  it("reads JSONL, plain and gzipped, also with a byte-order mark", async () => {
    for (const [name, content] of [
      ["a.jsonl", lines],
      ["b.jsonl", `\ufeff${lines}`],
      ["c.jsonl.gz", gzipSync(lines)],
    ] as const) {
      expect((await all(file(name, content))).map(({ line, value }) => [line, value])).toEqual(expected);
    }
  });

  it("finds lines wherever the stream is cut", async () => {
    const bytes = Buffer.from(lines);
    for (let size = 1; size < 9; size++) {
      const chunks = Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) =>
        bytes.subarray(i * size, (i + 1) * size),
      );
      const found: unknown[] = [];
      for await (const { text, line } of readLines(
        (async function* () {
          yield* chunks;
        })(),
        "f",
      ))
        found.push([line, JSON.parse(text)]);
      expect(found).toEqual(expected);
    }
  });

  it("reads a list in .json", async () => {
    expect((await all(file("a.json", '[{"text":"a"},5]'))).map(({ where }) => where.replace(/.*\//, ""))).toEqual([
      "a.json record 1",
      "a.json record 2",
    ]);
    await expect(all(file("a.json", "{}"))).rejects.toThrow("must hold a list of records");
    expect(await all(file("b.json", '\ufeff[{"text":"a"}]'))).toHaveLength(1);
    await expect(all(file("c.json", Buffer.from('["caf\xe9"]', "latin1")))).rejects.toThrow("cannot be read as UTF-8");
    await expect(all(file("d.json", '{"text":"a"}\n{"text":"b"}\n'))).rejects.toThrow(
      "one record a line: name it .jsonl",
    );
  });

  it("leaves out the fields that only other rows of a Parquet file have, at every depth", async () => {
    const records = await all(join(FIXTURES, "tools.parquet"));
    const calls = records.map(({ value }) => (value as { messages: object[] }).messages[1]);
    expect(calls).toEqual([
      { role: "assistant", tool_calls: [{ function: { name: "weather", arguments: { city: "Rome" } } }] },
      { role: "assistant", tool_calls: [{ function: { name: "roll", arguments: { n: 3 } } }] },
    ]);
  });

  it.each(["none", "snappy", "gzip", "zstd", "brotli", "lz4"])("reads Parquet, %s", async (codec) => {
    const records = await all(join(FIXTURES, `documents-${codec}.parquet`));
    expect(records).toHaveLength(50);
    expect(records[34]!.value).toMatchObject({ text: `Document 34: naïve 你好 ${"again ".repeat(6)}` });
    expect(records[34]!.value).not.toHaveProperty("domain");
    expect(records[34]!.where).toMatch(/parquet row 35$/);
  });

  it.each([
    ["bad JSON", "a.jsonl", '{"text":"a"}\n{"text":\n', /a\.jsonl line 2 is not valid JSON/],
    [
      "bad UTF-8",
      "a.jsonl",
      Buffer.concat([Buffer.from("{}\n"), Buffer.from([0xff, 0x0a])]),
      /a\.jsonl line 2: not valid UTF-8/,
    ],
    ["bad gzip", "a.jsonl.gz", "no gzip", /a\.jsonl\.gz: cannot be read: /],
    [
      "gzip that ends early",
      "a.jsonl.gz",
      gzipSync('{"text":"a"}\n'.repeat(99)).subarray(0, 40),
      /a\.jsonl\.gz: cannot be read after line/,
    ],
    ["no Parquet", "a.parquet", "PAR1 but no more", /a\.parquet: not readable as Parquet/],
    ["empty Parquet", "a.parquet", "", /a\.parquet: not readable as Parquet/],
  ])("names file and place: %s", async (_, name, content, why) => {
    await expect(all(file(name, content))).rejects.toThrow(why);
  });
});

describe("loadDataset", () => {
  const tokenizer = byteTokenizer({ chat_template: CHATML, eos_token: "<|im_end|>" });

  it("encodes all records of all files and knows where they are", async () => {
    const path = file("a.jsonl", '{"text":"a"}\n\n{"prompt":"b","completion":"c"}\n');
    const data = await loadDataset([path, join(FIXTURES, "chats.parquet"), join(FIXTURES, "rows.parquet")], tokenizer);
    expect(data.examples.map(({ kind }) => kind)).toEqual([
      "document",
      "completion",
      ...Array(20).fill("chat"),
      ...Array(10).fill("row"),
    ]);
    expect(data.describe(1)).toBe(`${path} line 3`);
    expect(tokenizer.decode(data.examples[5]!.ids)).toBe(
      "<|im_start|>user\nq3<|im_end|>\n<|im_start|>assistant\na3<|im_end|>\n",
    );
    expect([...data.examples.at(-1)!.targets]).toEqual([-100, 10, 11]);
  });

  it("names the record that is wrong", async () => {
    const path = file("a.jsonl", '{"text":"a"}\n{"messages":[{"role":"user","content":"a"}]}\n');
    await expect(loadDataset([path], tokenizer)).rejects.toThrow(`${path} line 2: no message of role assistant`);
    await expect(loadDataset([file("e.jsonl", "\n")], tokenizer)).rejects.toThrow("no records");
  });

  it("a .txt or .md file is one document, as it stands", async () => {
    const spec = "# Spec\n\nBe kind.\n";
    const data = await loadDataset([file("spec.md", spec), file("b.txt", "\ufeffa\nb")], tokenizer);
    expect(data.examples.map(({ ids }) => tokenizer.decode(ids))).toEqual([
      `${spec}<|endoftext|>`,
      "a\nb<|endoftext|>",
    ]);
    await expect(loadDataset([file("c.md", " \n")], tokenizer)).rejects.toThrow("c.md: is empty");
  });

  it("bad rows end it, or are left out and counted", async () => {
    const bad = ['{"text":', '{"txt":"a"}', '{"messages":[{"role":"user","content":"a"}]}', '{"input_ids":[-1]}'];
    const lines = ['{"text":"a"}', ...bad, '{"text":"b"}'];
    const path = file("bad.jsonl", lines.join("\n"));
    await expect(loadDataset([path], tokenizer)).rejects.toThrow(`${path} line 2 is not valid JSON`);
    const data = await loadDataset([path], tokenizer, { skipBadRows: true });
    expect(data.examples.map(({ line }) => line)).toEqual([1, 6]);
    expect(data.notes.skippedRows).toBe(4);
    expect(data.firstSkipped).toContain(`${path} line 2 is not valid JSON`);
    const bytes = Buffer.concat([Buffer.from('{"text":"\xff"}\n', "latin1"), Buffer.from('{"text":"a"}\n')]);
    const broken = file("utf8.jsonl", bytes);
    expect((await loadDataset([broken], tokenizer, { skipBadRows: true })).notes.skippedRows).toBe(1);
    await expect(loadDataset([file("all.jsonl", bad.join("\n"))], tokenizer, { skipBadRows: true })).rejects.toThrow(
      /no records: all 4 rows are bad; the first: .*line 1 is not valid JSON/,
    );
  });
});
