import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { writeSafetensors } from "../../src/formats/safetensors.js";
import { INDEX_FILE, LONE_SHARD, openShards, parseIndex, SINGLE_FILE } from "../../src/formats/shards.js";
import { temporaryFolder } from "./folder.js";
import { HOSTILE_JSON, mutateText, mutateValue, seeded, succeedsOrInputError } from "./fuzz.js";

const byte = (name: string) => ({ name, dtype: "U8", shape: [1], bytes: Uint8Array.of(1) });
const A = "model-00001-of-00002.safetensors";
const B = "model-00002-of-00002.safetensors";
const index = { metadata: { total_size: 2 }, weight_map: { a: A, b: B } };

async function writeShards(folder: string): Promise<void> {
  mkdirSync(folder, { recursive: true });
  await writeSafetensors(join(folder, A), [byte("a")]);
  await writeSafetensors(join(folder, B), [byte("b")]);
  writeFileSync(join(folder, INDEX_FILE), JSON.stringify(index));
}

describe("openShards", () => {
  it("opens the shards of an index, and symbolic links as the hub cache has them", async () => {
    const folder = temporaryFolder();
    await writeShards(join(folder, "real"));
    mkdirSync(join(folder, "linked"));
    for (const name of [A, B, INDEX_FILE]) symlinkSync(join("..", "real", name), join(folder, "linked", name));
    const files = openShards(join(folder, "linked"));
    expect([...files.keys()]).toEqual([A, B]);
    for (const file of files.values()) file.close();
  });

  it("opens numbered shards without an index where all are there", async () => {
    const folder = temporaryFolder();
    const lone = join(folder, "lone");
    mkdirSync(lone);
    await writeSafetensors(join(lone, LONE_SHARD), [byte("a")]);
    await writeShards(join(folder, "two"));
    rmSync(join(folder, "two", INDEX_FILE));
    for (const [name, shards] of [
      ["lone", [LONE_SHARD]],
      ["two", [A, B]],
    ] as const) {
      const files = openShards(join(folder, name));
      expect([...files.keys()]).toEqual(shards);
      for (const file of files.values()) file.close();
    }
    rmSync(join(folder, "two", A));
    expect(() => openShards(join(folder, "two"))).toThrow(`1 of 2 shards missing (${A})`);
    await writeSafetensors(join(folder, "weights.safetensors"), [byte("a")]);
    expect(() => openShards(folder)).toThrow("has weights.safetensors but no model.safetensors; if it holds all");
  });

  it("prefers the one file, as transformers does", async () => {
    const folder = temporaryFolder();
    await writeShards(folder);
    await writeSafetensors(join(folder, SINGLE_FILE), [byte("c")]);
    const files = openShards(folder);
    expect([...files.keys()]).toEqual([SINGLE_FILE]);
    files.get(SINGLE_FILE)!.close();
  });

  it("names missing shards and tensors that are not where the index says", async () => {
    const folder = temporaryFolder();
    await writeShards(folder);
    writeFileSync(join(folder, INDEX_FILE), JSON.stringify({ weight_map: { a: A, b: A } }));
    expect(() => openShards(folder)).toThrow(`tensor "b" is not in ${A}`);
    writeFileSync(join(folder, INDEX_FILE), JSON.stringify(index));
    renameSync(join(folder, B), join(folder, "elsewhere"));
    expect(() => openShards(folder)).toThrow(`1 of 2 shards missing (${B})`);
  });

  it("says how to convert what it does not read", () => {
    const folder = temporaryFolder();
    expect(() => openShards(folder)).toThrow(/has no model\.safetensors and no/);
    writeFileSync(join(folder, "pytorch_model.bin"), "");
    expect(() => openShards(folder)).toThrow(
      /has pytorch_model\.bin .*pickle files are not read; convert it once in Python: .*from_pretrained/,
    );
    writeFileSync(join(folder, "weights.gguf"), "");
    expect(() => openShards(folder)).toThrow(/gguf_file="weights\.gguf"/);
  });
});

describe("parseIndex", () => {
  it.each([
    "../x.safetensors",
    "/etc/x.safetensors",
    "a/b.safetensors",
    "a\\b.safetensors",
    "C:x.safetensors",
    "..",
    ".safetensors/../../x.safetensors",
    "x\0.safetensors",
    "model.bin",
    "",
  ])("refuses shard %j", (shard) => {
    const text = JSON.stringify({ weight_map: { a: A, b: shard } });
    expect(() => parseIndex(text, "INDEX")).toThrow(
      /^INDEX: shard ".*" is not the name of a \.safetensors file in the same folder/,
    );
  });

  it.each([
    ["[]", "must be a JSON object"],
    ["{}", "weight_map is missing"],
    ['{"weight_map":{}}', "lists no tensor"],
    ['{"weight_map":{"a":1}}', "weight_map.a is 1"],
    [`{"weight_map":{"a":"x.safetensors","a":"y.safetensors"}}`, '"a" occurs twice'],
    [
      JSON.stringify({
        weight_map: Object.fromEntries(Array.from({ length: 1001 }, (_, i) => [i, `${i}.safetensors`])),
      }),
      "1001 shards",
    ],
  ])("refuses %.60s", (text, message) => {
    expect(() => parseIndex(text, "INDEX")).toThrow(message);
  });

  it("gives 10,000 hostile indexes plain names or an InputError", () => {
    const random = seeded(13);
    let parsed = 0;
    for (let i = 0; i < 10_000; i++) {
      let text = mutateValue(index, random);
      if (random.whole(3) === 0) text = mutateText(text, random);
      if (random.whole(3) === 0)
        text = text.replace(A, () => random.pick(["../", "/", "./", "a/", "\\\\", "\\u0000", "..", "C:"]) + A);
      if (random.whole(9) === 0) text = text.replace(`"${A}"`, () => random.pick(HOSTILE_JSON));
      const attempt = () => {
        for (const shard of parseIndex(text, "INDEX").values()) {
          if (/[/\\\0]|^\.\.?$/.test(shard)) expect.fail(`${JSON.stringify(shard)} from ${text}`);
        }
      };
      if (succeedsOrInputError(attempt, "INDEX", text)) parsed++;
    }
    expect(parsed).toBeGreaterThan(500);
  });
});
