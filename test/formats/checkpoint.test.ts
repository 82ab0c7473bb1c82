import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { decodeFloats } from "../../src/base/float.js";
import { openCheckpoint } from "../../src/formats/checkpoint.js";
import { type TensorSource, writeSafetensors } from "../../src/formats/safetensors.js";
import { EMBED, HEAD } from "../../src/shape/weights.js";
import { sharedModel } from "../shared.js";
import { smallConfig, smallModelConfig, smallTensors, temporaryFolder, writeCheckpoint } from "./folder.js";

const llama = smallConfig("llama");
const tensors = () => smallTensors(smallModelConfig("llama"));
const without = (...names: string[]) => tensors().filter(({ name }) => !names.includes(name));

/** Writes and opens a checkpoint; returns the first value of embedding and head, and the tie. */
async function tieOf(config: Record<string, unknown>, stored: TensorSource[], metadata: Record<string, string> = {}) {
  const folder = temporaryFolder();
  await writeCheckpoint(folder, config, stored, metadata);
  const checkpoint = openCheckpoint(folder);
  const first = (name: string) => {
    const target = new Uint8Array(4);
    checkpoint.readInto(checkpoint.weights.get(name)!, target, 0, 4);
    return decodeFloats("F32", target)[0];
  };
  const tie = { embed: first(EMBED), head: first(HEAD), tied: checkpoint.config.tieWordEmbeddings };
  checkpoint.close();
  return tie;
}

describe("openCheckpoint", () => {
  it.each(["llama", "qwen2", "qwen3"] as const)("finds every weight of %s", async (family) => {
    const folder = temporaryFolder();
    const config = smallModelConfig(family);
    const stored = smallTensors(config);
    await writeCheckpoint(folder, smallConfig(family), stored, { format: "pt" });
    const checkpoint = openCheckpoint(folder);
    expect(checkpoint.config).toEqual(config);
    expect([...checkpoint.weights.keys()]).toEqual(stored.map(({ name }) => name));
    for (const { name, shape, bytes } of stored) {
      const weight = checkpoint.weights.get(name)!;
      expect(weight).toMatchObject({ name, shape, dtype: "F32", file: "model.safetensors" });
      const target = new Uint8Array(weight.byteLength);
      checkpoint.readInto(weight, target);
      expect(target).toEqual(bytes);
    }
    expect(checkpoint.shards).toEqual([
      { file: "model.safetensors", tensors: expect.any(Array), metadata: { format: "pt" } },
    ]);
    expect(checkpoint.shards[0]!.tensors).toHaveLength(stored.length);
    expect(checkpoint.weights.has("model.layers.1.self_attn.q_proj.bias")).toBe(family === "qwen2");
    expect(checkpoint.weights.has("model.layers.1.self_attn.q_norm.weight")).toBe(family === "qwen3");
    checkpoint.close();
  });

  it("reads shards", async () => {
    const folder = temporaryFolder();
    const files = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
    const all = tensors();
    const weightMap = Object.fromEntries(all.map(({ name }, i) => [name, files[i % 2]!]));
    for (const file of files)
      await writeSafetensors(
        join(folder, file),
        all.filter(({ name }) => weightMap[name] === file),
      );
    writeFileSync(join(folder, "model.safetensors.index.json"), JSON.stringify({ weight_map: weightMap }));
    writeFileSync(join(folder, "config.json"), JSON.stringify(llama));
    const checkpoint = openCheckpoint(folder);
    expect(checkpoint.shards.map(({ file }) => file)).toEqual(files);
    for (const [name, { file }] of checkpoint.weights) expect(file).toBe(weightMap[name]);
    checkpoint.close();
    await writeSafetensors(join(folder, files[0]!), all);
    expect(() => openCheckpoint(folder)).toThrow(/is in both model-00001-of-00002\.safetensors and model-00002/);
  });

  it("reads names without the prefix, as base models are saved", async () => {
    const folder = temporaryFolder();
    const bare = without(HEAD).map((tensor) => ({ ...tensor, name: tensor.name.replace(/^model\./, "") }));
    await writeCheckpoint(folder, { ...llama, tie_word_embeddings: true, architectures: ["LlamaModel"] }, bare);
    const checkpoint = openCheckpoint(folder);
    expect(checkpoint.weights.get("model.layers.0.mlp.up_proj.weight")!.name).toBe("layers.0.mlp.up_proj.weight");
    checkpoint.close();
    await writeCheckpoint(folder, llama, [...tensors(), { ...tensors()[0]!, name: "embed_tokens.weight" }]);
    expect(() => openCheckpoint(folder)).toThrow(/embed_tokens\.weight and .*embed_tokens\.weight are the same weight/);
  });

  it("tolerates rotary buffers, which RoPE recomputes", async () => {
    const folder = temporaryFolder();
    const extra = {
      name: "model.layers.0.self_attn.rotary_emb.inv_freq",
      dtype: "F32",
      shape: [4],
      bytes: new Uint8Array(16),
    };
    await writeCheckpoint(folder, llama, [...tensors(), extra]);
    const checkpoint = openCheckpoint(folder);
    expect(checkpoint.tensors.has(extra.name)).toBe(true);
    expect(checkpoint.weights.has(extra.name)).toBe(false);
    checkpoint.close();
  });
});

describe("tied embeddings", () => {
  const tiedConfig = { ...llama, tie_word_embeddings: true };
  const headValue = tensors().length - 1;

  it("no lm_head", async () => {
    expect(await tieOf(tiedConfig, without(HEAD))).toEqual({ embed: 0, head: 0, tied: true });
  });

  it("no embed_tokens", async () => {
    expect(await tieOf(tiedConfig, without(EMBED))).toEqual({ embed: headValue, head: headValue, tied: true });
  });

  it("tie in the metadata only", async () => {
    expect(await tieOf(llama, without(EMBED), { format: "pt", [EMBED]: HEAD })).toEqual({
      embed: headValue,
      head: headValue,
      tied: true,
    });
    expect(await tieOf(llama, without(HEAD), { [HEAD]: EMBED })).toEqual({ embed: 0, head: 0, tied: true });
  });

  it("both stored and equal", async () => {
    const equal = tensors();
    equal.at(-1)!.bytes = equal[0]!.bytes;
    expect(await tieOf(tiedConfig, equal)).toEqual({ embed: 0, head: 0, tied: true });
  });

  it("both stored and different: not tied, as in transformers 5", async () => {
    expect(await tieOf(tiedConfig, tensors())).toEqual({ embed: 0, head: headValue, tied: false });
  });

  it("untied", async () => {
    expect(await tieOf(llama, tensors())).toEqual({ embed: 0, head: headValue, tied: false });
  });

  it("refuses an untied model without one of them", async () => {
    await expect(tieOf(llama, without(HEAD))).rejects.toThrow(
      /there is no lm_head\.weight, and config\.json has tie_word_embeddings false/,
    );
    await expect(tieOf(llama, without(EMBED))).rejects.toThrow(/there is no model\.embed_tokens\.weight/);
    await expect(tieOf(tiedConfig, without(EMBED, HEAD))).rejects.toThrow(
      /embed_tokens\.weight is missing; lm_head\.weight is missing/,
    );
  });
});

describe("refusals", () => {
  it.each<[string, () => TensorSource[], RegExp]>([
    ["missing", () => without("model.norm.weight"), /do not fit config\.json: model\.norm\.weight is missing$/],
    ["many missing", () => [tensors()[0]!, tensors().at(-1)!], /is missing; and \d+ more$/],
    [
      "another shape",
      () => tensors().map((t) => (t.shape.length === 2 && t.name.includes("up") ? { ...t, shape: [16, 24] } : t)),
      /up_proj\.weight is \[16,24\], config\.json makes it \[24,16\]/,
    ],
    [
      "another dtype",
      () => tensors().map((t) => (t.name.includes("norm") ? { ...t, dtype: "I32" } : t)),
      /is I32 \(the engine reads F32, F16, BF16\)/,
    ],
    [
      "quantised",
      () => [
        ...tensors(),
        { name: "model.layers.0.mlp.up_proj.weight_scale", dtype: "F32", shape: [1], bytes: new Uint8Array(4) },
      ],
      /weight_scale" is not a weight of llama \(quantised/,
    ],
    [
      "another layer",
      () => [
        ...tensors(),
        { name: "model.layers.2.mlp.up_proj.weight", dtype: "F32", shape: [1], bytes: new Uint8Array(4) },
      ],
      /layers\.2\.mlp\.up_proj\.weight" is not a weight/,
    ],
  ])("%s", async (_, stored, message) => {
    const folder = temporaryFolder();
    await writeCheckpoint(folder, llama, stored());
    expect(() => openCheckpoint(folder)).toThrow(message);
    expect(() => openCheckpoint(folder)).toThrow(folder);
  });

  it("no folder, no config", () => {
    const folder = temporaryFolder();
    expect(() => openCheckpoint(join(folder, "none"))).toThrow("is not a folder");
    writeFileSync(join(folder, "file"), "");
    expect(() => openCheckpoint(join(folder, "file", "x"))).toThrow("is not a folder");
    expect(() => openCheckpoint("a\0b")).toThrow("is not a folder");
    expect(() => openCheckpoint(folder)).toThrow("has no config.json");
    mkdirSync(join(folder, "config.json"));
    expect(() => openCheckpoint(folder)).toThrow("config.json is not a plain file");
  });
});

it.each([
  ["stories260k", "model.embed_tokens.weight"],
  ["tinystories-656k", "lm_head.weight"],
])("opens %s", (name, stored) => {
  const folder = sharedModel(name);
  if (!folder) return;
  const checkpoint = openCheckpoint(folder);
  expect(checkpoint.config.tieWordEmbeddings).toBe(true);
  expect(checkpoint.weights.get(EMBED)!.name).toBe(stored);
  expect(checkpoint.weights.get(HEAD)!.name).toBe(stored);
  checkpoint.close();
});

it("says what to do with a folder of GGUF", () => {
  const folder = sharedModel("smollm2-135m-instruct");
  if (folder) expect(() => openCheckpoint(folder)).toThrow(/has weights\.gguf but no model\.safetensors; convert it/);
});
