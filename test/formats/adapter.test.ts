import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { decodeFloats } from "../../src/base/float.js";
import { readAdapter, writeAdapter } from "../../src/formats/adapter.js";
import { openSafetensors, type TensorSource, writeSafetensors } from "../../src/formats/safetensors.js";
import { type Adapter, adapterKey, checkAdapter } from "../../src/shape/adapter.js";
import { PROJECTIONS, type Projection } from "../../src/shape/config.js";
import { projectionShape } from "../../src/shape/weights.js";
import { smallModelConfig, temporaryFolder } from "./folder.js";

const config = smallModelConfig("llama");
const fixture = (name: string) => fileURLToPath(new URL(`../fixtures/${name}`, import.meta.url));

function makeAdapter(targets: Projection[] = [...PROJECTIONS]): Adapter {
  const r = 3;
  const tensors: Adapter["tensors"] = new Map();
  for (let layer = 0; layer < config.numLayers; layer++) {
    for (const projection of targets) {
      const [rows, columns] = projectionShape(config, projection);
      const A = new Float32Array(r * columns).map((_, i) => Math.sin(i + layer));
      const B = new Float32Array(rows * r).map((_, i) => Math.cos(i + layer));
      tensors.set(adapterKey(layer, projection), { A, B });
    }
  }
  return { config: { r, alpha: 6, useRslora: false, targets, baseModelNameOrPath: "owner/name", dropout: 0 }, tensors };
}

/** An adapter folder whose tensors are changed. */
async function changedAdapter(change: (tensors: TensorSource[]) => TensorSource[]): Promise<string> {
  const folder = temporaryFolder();
  await writeAdapter(folder, makeAdapter());
  const path = join(folder, "adapter_model.safetensors");
  const file = openSafetensors(path);
  const tensors = [...file.tensors].map(([name, { dtype, shape }]) => ({ name, dtype, shape, bytes: file.read(name) }));
  file.close();
  await writeSafetensors(path, change(tensors));
  return folder;
}

describe("writeAdapter", () => {
  it("writes what readAdapter reads", async () => {
    const folder = temporaryFolder();
    const adapter = makeAdapter();
    await writeAdapter(join(folder, "new", "adapter"), adapter);
    expect(readAdapter(join(folder, "new", "adapter"))).toEqual(adapter);
    expect(readdirSync(join(folder, "new", "adapter")).sort()).toEqual([
      "adapter_config.json",
      "adapter_model.safetensors",
    ]);
  });

  it("never writes a value that is not finite, and keeps the last good adapter", async () => {
    const folder = temporaryFolder();
    await writeAdapter(folder, makeAdapter());
    const before = readFileSync(join(folder, "adapter_model.safetensors"));
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY]) {
      const broken = makeAdapter();
      broken.tensors.get("1.down")!.B[5] = value;
      await expect(writeAdapter(folder, broken)).rejects.toThrow(
        /down_proj in layer 1 is not finite; .* was not written/,
      );
    }
    expect(readFileSync(join(folder, "adapter_model.safetensors")).equals(before)).toBe(true);
    expect(readdirSync(folder)).toHaveLength(2);
  });
});

describe("readAdapter", () => {
  it("reads what PEFT wrote", () => {
    const folder = fixture("peft-adapter");
    const adapter = readAdapter(folder);
    expect(adapter.config).toEqual({
      r: 2,
      alpha: 6,
      useRslora: true,
      targets: ["q", "v", "down"],
      baseModelNameOrPath: null,
      dropout: 0.05,
    });
    expect([...adapter.tensors.keys()].sort()).toEqual(["0.down", "0.q", "0.v", "1.down", "1.q", "1.v"]);
    const file = openSafetensors(join(folder, "adapter_model.safetensors"));
    const stored = decodeFloats("F32", file.read("base_model.model.model.layers.1.mlp.down_proj.lora_B.weight"));
    expect(adapter.tensors.get("1.down")!.B).toEqual(stored);
    file.close();
    checkAdapter(adapter, config, folder);
  });

  it("reads BF16, the adapter's name in the keys, and a pattern, which it never runs", () => {
    const adapter = readAdapter(fixture("peft-default"));
    const exact = readAdapter(fixture("peft-adapter"));
    expect(adapter.config).toEqual(exact.config);
    for (const [key, { A }] of exact.tensors) {
      const rounded = adapter.tensors.get(key)!.A;
      for (let i = 0; i < A.length; i++)
        expect(Math.abs(rounded[i]! - A[i]!)).toBeLessThanOrEqual(Math.abs(A[i]!) / 256);
    }
  });

  it.each([
    [
      "full names",
      (name: string) => `model.layers.0.self_attn.${name}`,
      /target_modules does not list model\.layers\.0\.mlp\.down_proj/,
    ],
    ["too few", () => "q_proj", /does not list/],
    [
      "too many",
      (name: string) => [name, "lm_head"],
      /lists "lm_head", but adapter_model\.safetensors has no tensor for it/,
    ],
  ])("checks target_modules against the tensors: %s", async (_, rename, message) => {
    const folder = temporaryFolder();
    await writeAdapter(folder, makeAdapter());
    const path = join(folder, "adapter_config.json");
    const json = JSON.parse(readFileSync(path, "utf8"));
    json.target_modules = json.target_modules.flatMap(rename);
    writeFileSync(path, JSON.stringify(json));
    expect(() => readAdapter(folder)).toThrow(message);
    for (const pattern of ["all-linear", "(a+)+$", null]) {
      writeFileSync(path, JSON.stringify({ ...json, target_modules: pattern }));
      expect(readAdapter(folder).config.targets).toEqual(PROJECTIONS);
    }
  });

  it.each<[string, (tensors: TensorSource[]) => TensorSource[], RegExp]>([
    ["no B", (tensors) => tensors.slice(1), /has no lora_[AB]/],
    [
      "dora",
      (t) => [...t, { ...t[0]!, name: "base_model.model.model.layers.0.self_attn.q_proj.lora_magnitude_vector" }],
      /lora_magnitude_vector" is none that the engine implements/,
    ],
    ["a head", (t) => [...t, { ...t[0]!, name: "base_model.model.lm_head.lora_A.weight" }], /lm_head/],
    [
      "an embedding",
      (t) => [...t, { ...t[0]!, name: "base_model.model.model.embed_tokens.lora_embedding_A" }],
      /embed_tokens/,
    ],
    ["mlp.q_proj", (t) => t.map((x) => ({ ...x, name: x.name.replace("self_attn.q", "mlp.q") })), /mlp\.q_proj/],
    ["twice", (t) => [...t, { ...t[0]!, name: t[0]!.name.replace(/\.weight$/, ".default.weight") }], /a second time/],
    [
      "another rank",
      (t) => t.map((x) => (x.name.includes("lora_A") ? { ...x, shape: [...x.shape].reverse() } : x)),
      /with r 3 it must be \[3, in\]/,
    ],
    ["I32", (t) => t.map((x) => ({ ...x, dtype: "I32" })), /is I32; adapters are read in F32, F16, BF16/],
    [
      "NaN",
      (t) => t.map((x) => ({ ...x, bytes: new Uint8Array((x.bytes as Uint8Array).byteLength).fill(255) })),
      /not finite/,
    ],
    ["empty", () => [], /holds no LoRA tensor/],
  ])("refuses tensors: %s", async (_, change, message) => {
    const folder = await changedAdapter(change);
    expect(() => readAdapter(folder)).toThrow(message);
    expect(() => readAdapter(folder)).toThrow(folder);
  });

  it("exclude_modules may say what the tensors say, and nothing else", async () => {
    const folder = temporaryFolder();
    await writeAdapter(folder, makeAdapter(["q", "k"]));
    const path = join(folder, "adapter_config.json");
    const written = JSON.parse(readFileSync(path, "utf8"));
    const withFields = (fields: object) => {
      writeFileSync(path, JSON.stringify({ ...written, ...fields }));
      return readAdapter(folder).config.targets;
    };
    const all = ["q_proj", "k_proj", "v_proj"];
    expect(withFields({ exclude_modules: ["v_proj", "lm_head"] })).toEqual(["q", "k"]);
    expect(withFields({ target_modules: all, exclude_modules: ["v_proj"] })).toEqual(["q", "k"]);
    expect(withFields({ target_modules: all, exclude_modules: ["self_attn.v_proj"] })).toEqual(["q", "k"]);
    expect(withFields({ target_modules: all, exclude_modules: ".*v_proj" })).toEqual(["q", "k"]);
    expect(() => withFields({ exclude_modules: ["k_proj"] })).toThrow('exclude_modules lists "k_proj", which');
    expect(() => withFields({ target_modules: all, exclude_modules: ["o_proj"] })).toThrow(
      'target_modules lists "v_proj", but adapter_model.safetensors has no tensor',
    );
  });

  it("names missing files, and pickle", async () => {
    const folder = temporaryFolder();
    expect(() => readAdapter(folder)).toThrow("has no adapter_config.json");
    writeFileSync(
      join(folder, "adapter_config.json"),
      readFileSync(join(fixture("peft-adapter"), "adapter_config.json")),
    );
    expect(() => readAdapter(folder)).toThrow("has no adapter_model.safetensors");
    writeFileSync(join(folder, "adapter_model.bin"), "");
    expect(() => readAdapter(folder)).toThrow("pickle files are not read");
  });
});

describe("checkAdapter", () => {
  it("passes a whole adapter, of a few projections too", () => {
    checkAdapter(makeAdapter(), config, "adapter");
    checkAdapter(makeAdapter(["k"]), config, "adapter");
  });

  it("refuses another model's, and some layers only", () => {
    const other = { ...config, numKvHeads: 2 };
    expect(() => checkAdapter(makeAdapter(), other, "DIR")).toThrow(
      /^DIR: k_proj of layer 0 adapts a \[8, 16\] weight, the model's is \[16, 16\]/,
    );
    expect(() => checkAdapter(makeAdapter(), { ...config, numLayers: 3 }, "DIR")).toThrow(
      /q_proj of layer 2 has no tensors/,
    );
    expect(() => checkAdapter(makeAdapter(), { ...config, numLayers: 1 }, "DIR")).toThrow(/layers past the model's 1/);
    const partial = makeAdapter();
    partial.tensors.delete("1.up");
    expect(() => checkAdapter(partial, config, "DIR")).toThrow(/up_proj of layer 1 has no tensors/);
  });
});
