/** @file A PEFT adapter folder: adapter_config.json and adapter_model.safetensors, read, checked and written. */

import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { stageFile, writeAll } from "../base/atomic.js";
import { InputError, RunError } from "../base/errors.js";
import { decodeFloats, encodeFloats, FLOAT_DTYPES, isFloatDtype } from "../base/float.js";
import { formatValue, loadJson } from "../base/json.js";
import { type Adapter, type AdapterPair, adapterKey } from "../shape/adapter.js";
import { PROJECTIONS, type Projection } from "../shape/config.js";
import { projectionModule } from "../shape/weights.js";
import { formatAdapterConfig, parseAdapterConfig, type RawAdapterConfig } from "./adapter-config.js";
import { openSafetensors, type SafetensorsFile, stageSafetensors, type TensorSource } from "./safetensors.js";

const CONFIG_FILE = "adapter_config.json";
const TENSOR_FILE = "adapter_model.safetensors";
/** adapter_config.json is about 1 kB; a list of every module by its full name stays under this. */
const MAX_CONFIG_BYTES = 4_000_000;

// Base models are saved without the second "model."; older PEFT keeps the adapter's name ("default") before "weight".
const TENSOR_NAME =
  /^base_model\.model\.((?:model\.)?layers\.(0|[1-9]\d{0,5})\.((?:self_attn|mlp)\.(q|k|v|o|gate|up|down)_proj))\.lora_([AB])(?:\.[\w-]+)?\.weight$/;

/** Reads the adapter in `folder`. Throws InputError naming the file and what is missing, wrong or not implemented. */
export function readAdapter(folder: string): Adapter {
  const configPath = join(folder, CONFIG_FILE);
  const tensorPath = join(folder, TENSOR_FILE);
  if (!existsSync(configPath)) throw new InputError(noAdapter(folder));
  const raw = parseAdapterConfig(loadJson(configPath, MAX_CONFIG_BYTES), configPath);
  if (!existsSync(tensorPath)) {
    const pickle = existsSync(join(folder, "adapter_model.bin"));
    const fix = pickle ? "; pickle files are not read: load and save it once in PEFT (safe_serialization=True)" : "";
    throw new InputError(`${folder} has no ${TENSOR_FILE}${fix}`);
  }
  const file = openSafetensors(tensorPath);
  try {
    const { pairs, modules } = readPairs(file, raw.r);
    checkTargets(raw, modules, configPath);
    const targets = PROJECTIONS.filter((projection) => [...pairs.keys()].some((key) => key.endsWith(`.${projection}`)));
    const { r, alpha, useRslora, baseModelNameOrPath, dropout } = raw;
    return { config: { r, alpha, useRslora, targets, baseModelNameOrPath, dropout }, tensors: pairs };
  } finally {
    file.close();
  }
}

function readPairs(file: SafetensorsFile, r: number): { pairs: Map<string, AdapterPair>; modules: Set<string> } {
  const found = new Map<string, Partial<AdapterPair>>();
  const modules = new Set<string>();
  for (const [name, { dtype, shape }] of file.tensors) {
    const place = `${file.path}: tensor ${formatValue(name)}`;
    const match = TENSOR_NAME.exec(name);
    const projection = match?.[4] as Projection | undefined;
    if (!match || !projection || match[3] !== projectionModule(projection)) {
      throw new InputError(
        `${place} is none that the engine implements (LoRA on q, k, v, o, gate, up, down of decoder layers)`,
      );
    }
    if (!isFloatDtype(dtype))
      throw new InputError(`${place} is ${dtype}; adapters are read in ${FLOAT_DTYPES.join(", ")}`);
    const side = match[5] as "A" | "B";
    if (shape.length !== 2 || shape[side === "A" ? 0 : 1] !== r || shape.includes(0)) {
      throw new InputError(
        `${place} is [${shape}]; with r ${r} it must be ${side === "A" ? `[${r}, in]` : `[out, ${r}]`}`,
      );
    }
    const key = adapterKey(Number(match[2]), projection);
    const pair = found.get(key) ?? {};
    if (pair[side]) throw new InputError(`${place} is there a second time under another name`);
    pair[side] = decodeFloats(dtype, file.read(name));
    if (!allFinite(pair[side])) throw new InputError(`${place} has values that are not finite; the adapter is broken`);
    found.set(key, pair);
    modules.add(match[1]!);
  }
  if (found.size === 0) throw new InputError(`${file.path} holds no LoRA tensor`);
  const pairs = new Map<string, AdapterPair>();
  for (const [key, { A, B }] of found) {
    if (!A || !B) throw new InputError(`${file.path}: ${key} (layer, projection) has no lora_${A ? "B" : "A"}`);
    pairs.set(key, { A, B });
  }
  return { pairs, modules };
}

/**
 * The tensors say what is adapted; lists of modules must say the same. A pattern is never run: it comes from the file.
 */
function checkTargets({ targetModules, excludeModules }: RawAdapterConfig, modules: Set<string>, where: string): void {
  const adapted = new Set([...modules].flatMap(suffixesOf));
  const excluded = Array.isArray(excludeModules) ? excludeModules : [];
  const wrong = excluded.find((name) => adapted.has(name));
  if (wrong !== undefined)
    throw new InputError(`${where}: exclude_modules lists ${formatValue(wrong)}, which ${TENSOR_FILE} adapts`);
  if (!Array.isArray(targetModules)) return;
  for (const module of modules) {
    if (suffixesOf(module).some((suffix) => targetModules.includes(suffix))) continue;
    throw new InputError(`${where}: target_modules does not list ${module}, which ${TENSOR_FILE} adapts`);
  }
  if (typeof excludeModules === "string") return;
  const absent = targetModules.find((name) => !adapted.has(name) && !excluded.some((other) => isSuffix(other, name)));
  if (absent !== undefined)
    throw new InputError(
      `${where}: target_modules lists ${formatValue(absent)}, but ${TENSOR_FILE} has no tensor for it`,
    );
}

/** Whether one of two module names ends in the other: "mlp.up_proj" and "up_proj". */
function isSuffix(a: string, b: string): boolean {
  return a === b || a.endsWith(`.${b}`) || b.endsWith(`.${a}`);
}

/** "a.b.c", "b.c" and "c" of module "a.b.c". */
function suffixesOf(module: string): string[] {
  const parts = module.split(".");
  return parts.map((_, start) => parts.slice(start).join("."));
}

/** What to do with `folder`, which is no adapter. */
function noAdapter(folder: string): string {
  const inside = join(folder, "adapter");
  if (existsSync(join(inside, CONFIG_FILE))) return `${folder} is the folder of a run: give --adapter ${inside}`;
  if (existsSync(join(folder, "config.json")))
    return `${folder} has no ${CONFIG_FILE}; it is a model's folder: give it as --model, or leave --adapter out`;
  return `${folder} has no ${CONFIG_FILE}; an adapter is a PEFT folder`;
}

/** What to do with `folder`, which was given as a model, where it is an adapter or a run; null where it is neither. */
export function adapterInstead(folder: string): string | null {
  const place = [folder, join(folder, "adapter")].find((path) => existsSync(join(path, CONFIG_FILE)));
  if (place === undefined) return null;
  const { base_model_name_or_path: base } = loadJson(join(place, CONFIG_FILE), MAX_CONFIG_BYTES) as Record<
    string,
    unknown
  >;
  const model = typeof base === "string" ? base : "the model that it was trained on";
  const what = place === folder ? "an adapter (PEFT), not a model" : "the folder of a run, which holds an adapter";
  return `${folder} is ${what}: give --model ${model} --adapter ${place}`;
}

/**
 * Writes `adapter` into `folder` (made where missing) as PEFT reads it, in F32: both files under temporary names, then
 * renamed, tensors first. Throws RunError on a value that is not finite: nothing is written then.
 */
export async function writeAdapter(folder: string, adapter: Adapter): Promise<void> {
  const { config } = adapter;
  const sources: TensorSource[] = [];
  for (const [key, pair] of adapter.tensors) {
    const [layer, projection] = key.split(".") as [string, Projection];
    const module = `base_model.model.model.layers.${layer}.${projectionModule(projection)}`;
    if (!allFinite(pair.A) || !allFinite(pair.B)) {
      throw new RunError(
        `the adapter of ${projection}_proj in layer ${layer} is not finite; ${folder} was not written`,
      );
    }
    const { r } = config;
    sources.push({
      name: `${module}.lora_A.weight`,
      dtype: "F32",
      shape: [r, pair.A.length / r],
      bytes: encodeFloats("F32", pair.A),
    });
    sources.push({
      name: `${module}.lora_B.weight`,
      dtype: "F32",
      shape: [pair.B.length / r, r],
      bytes: encodeFloats("F32", pair.B),
    });
  }
  mkdirSync(folder, { recursive: true });
  const tensors = await stageSafetensors(join(folder, TENSOR_FILE), sources, { format: "pt" });
  try {
    const text = await stageFile(join(folder, CONFIG_FILE), (fd) =>
      writeAll(fd, Buffer.from(formatAdapterConfig(config))),
    );
    tensors.commit();
    text.commit();
  } catch (error) {
    tensors.discard();
    throw error;
  }
}

function allFinite(values: Float32Array): boolean {
  for (let i = 0; i < values.length; i++) if (!Number.isFinite(values[i])) return false;
  return true;
}
