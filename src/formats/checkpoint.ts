/**
 * @file A Hugging Face checkpoint folder: config.json and safetensors, one file or shards, every weight found and its
 * shape checked.
 */

import { existsSync } from "node:fs";
import { join } from "node:path";
import { InputError } from "../base/errors.js";
import { statOf } from "../base/file.js";
import { FLOAT_DTYPES, isFloatDtype } from "../base/float.js";
import { formatValue, loadJson } from "../base/json.js";
import type { Checkpoint, StoredTensor, Weight } from "../shape/checkpoint.js";
import type { ModelConfig } from "../shape/config.js";
import { canonicalName, EMBED, HEAD, isKnownExtra, isTiedByMetadata, neededWeights } from "../shape/weights.js";
import { adapterInstead } from "./adapter.js";
import { parseModelConfig } from "./model-config.js";
import type { SafetensorsFile } from "./safetensors.js";
import { openShards } from "./shards.js";

/** config.json is about 1 kB; some carry long label maps. */
const MAX_CONFIG_BYTES = 16_000_000;
/** A broken checkpoint can lack thousands of tensors; the first few say why. */
const MAX_FAULTS_SHOWN = 6;

/**
 * Opens the checkpoint in `folder`. Throws InputError naming the file and what is missing, wrong or not implemented;
 * reads headers only.
 */
export function openCheckpoint(folder: string): Checkpoint {
  if (!statOf(folder)?.isDirectory()) throw new InputError(`${folder} is not a folder`);
  const configPath = join(folder, "config.json");
  if (!existsSync(configPath))
    throw new InputError(
      adapterInstead(folder) ?? `${folder} has no config.json; a checkpoint is a Hugging Face model folder`,
    );
  const config = parseModelConfig(loadJson(configPath, MAX_CONFIG_BYTES), configPath);
  const files = openShards(folder);
  const close = () => {
    for (const file of files.values()) file.close();
  };
  try {
    const tensors = listTensors(files, folder);
    const byCanonicalName = indexByCanonicalName(tensors, folder);
    const tied = resolveTie(config, byCanonicalName, files, folder);
    const resolved = { ...config, tieWordEmbeddings: tied };
    const weights = resolveWeights(resolved, byCanonicalName, folder);
    const shards = [...files].map(([file, { tensors, metadata }]) => ({
      file,
      tensors: [...tensors.keys()],
      metadata,
    }));
    const readInto: Checkpoint["readInto"] = (tensor, target, byteOffset, byteLength) =>
      files.get(tensor.file)!.readInto(tensor.name, target, byteOffset, byteLength);
    const readIntoAsync: Checkpoint["readIntoAsync"] = (tensor, target, byteOffset, byteLength) =>
      files.get(tensor.file)!.readIntoAsync(tensor.name, target, byteOffset, byteLength);
    return { folder, config: resolved, tensors, weights, shards, readInto, readIntoAsync, close };
  } catch (error) {
    close();
    throw error;
  }
}

function listTensors(files: Map<string, SafetensorsFile>, folder: string): Map<string, StoredTensor> {
  const tensors = new Map<string, StoredTensor>();
  for (const [file, { tensors: entries }] of files) {
    for (const [name, { dtype, shape, byteLength }] of entries) {
      const other = tensors.get(name);
      if (other) throw new InputError(`${folder}: tensor ${name} is in both ${other.file} and ${file}`);
      tensors.set(name, { name, dtype, shape, byteLength, file });
    }
  }
  return tensors;
}

function indexByCanonicalName(tensors: Map<string, StoredTensor>, folder: string): Map<string, StoredTensor> {
  const index = new Map<string, StoredTensor>();
  for (const tensor of tensors.values()) {
    if (isKnownExtra(tensor.name)) continue;
    const name = canonicalName(tensor.name);
    const other = index.get(name);
    if (other) throw new InputError(`${folder}: tensors ${other.name} and ${tensor.name} are the same weight`);
    index.set(name, tensor);
  }
  return index;
}

/** Completes `index` so that embedding and head are both there, and says whether they are one. */
function resolveTie(
  config: ModelConfig,
  index: Map<string, StoredTensor>,
  files: Map<string, SafetensorsFile>,
  folder: string,
): boolean {
  const embed = index.get(EMBED);
  const head = index.get(HEAD);
  if (embed && head) {
    // transformers 5 ties two stored tensors only where they are equal, and warns that the config is wrong where they
    // are not.
    if (!config.tieWordEmbeddings || !areEqual(embed, head, files)) return false;
    index.set(HEAD, embed);
    return true;
  }
  const only = embed ?? head;
  if (!only) return false; // listed as missing later
  if (!config.tieWordEmbeddings && ![...files.values()].some((file) => isTiedByMetadata(file.metadata))) {
    throw new InputError(
      `${folder}: there is no ${embed ? HEAD : EMBED}, and config.json has tie_word_embeddings false; ` +
        "set it to true if the model shares its embedding, otherwise download the checkpoint again",
    );
  }
  index.set(EMBED, only);
  index.set(HEAD, only);
  return true;
}

function areEqual(a: StoredTensor, b: StoredTensor, files: Map<string, SafetensorsFile>): boolean {
  if (a.dtype !== b.dtype || a.byteLength !== b.byteLength) return false;
  const PIECE_BYTES = 1 << 22;
  const pieces = [new Uint8Array(PIECE_BYTES), new Uint8Array(PIECE_BYTES)] as const;
  for (let at = 0; at < a.byteLength; at += PIECE_BYTES) {
    const length = Math.min(PIECE_BYTES, a.byteLength - at);
    files.get(a.file)!.readInto(a.name, pieces[0], at, length);
    files.get(b.file)!.readInto(b.name, pieces[1], at, length);
    if (Buffer.compare(pieces[0].subarray(0, length), pieces[1].subarray(0, length)) !== 0) return false;
  }
  return true;
}

function resolveWeights(config: ModelConfig, index: Map<string, StoredTensor>, folder: string): Map<string, Weight> {
  const weights = new Map<string, Weight>();
  const faults: string[] = [];
  for (const [name, shape] of neededWeights(config)) {
    const tensor = index.get(name);
    if (!tensor) faults.push(`${name} is missing`);
    else if (!isFloatDtype(tensor.dtype))
      faults.push(`${tensor.name} is ${tensor.dtype} (the engine reads ${FLOAT_DTYPES.join(", ")})`);
    else if (tensor.shape.join() !== shape.join())
      faults.push(`${tensor.name} is [${tensor.shape}], config.json makes it [${shape}]`);
    else weights.set(name, { ...tensor, dtype: tensor.dtype });
  }
  const needed = new Set([...neededWeights(config)].map(([name]) => name));
  for (const [name, tensor] of index) {
    if (!needed.has(name))
      faults.push(
        `${formatValue(tensor.name)} is not a weight of ${config.family} (quantised, or another architecture?)`,
      );
  }
  if (faults.length > 0) {
    const more = faults.length > MAX_FAULTS_SHOWN ? `; and ${faults.length - MAX_FAULTS_SHOWN} more` : "";
    throw new InputError(
      `${folder}: the tensors do not fit config.json: ${faults.slice(0, MAX_FAULTS_SHOWN).join("; ")}${more}`,
    );
  }
  return weights;
}
