/**
 * @file The safetensors files of a checkpoint folder: `model.safetensors`, or the shards that
 * `model.safetensors.index.json` lists.
 */

import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { InputError } from "../base/errors.js";
import { checkJson, checkJsonKeys, formatValue, loadText, parseJson } from "../base/json.js";
import { openSafetensors, type SafetensorsFile } from "./safetensors.js";

export const SINGLE_FILE = "model.safetensors";
/** What some tools write for a checkpoint of one file, without an index. */
export const LONE_SHARD = "model-00001-of-00001.safetensors";
export const INDEX_FILE = "model.safetensors.index.json";

/** The index of a 10,000-tensor checkpoint is about 1 MB. */
const MAX_INDEX_BYTES = 100_000_000;
/** Every shard stays open; the largest published checkpoints have under 200. */
const MAX_SHARDS = 1000;

const indexSchema = z.looseObject(
  { weight_map: z.record(z.string(), z.string("must be the name of a shard"), "must map tensors to shards") },
  "must be a JSON object",
);

/**
 * The shard of each tensor that the index `text` of file `where` lists. Throws InputError, also on a name that leaves
 * the folder.
 */
export function parseIndex(text: string, where: string): Map<string, string> {
  checkJsonKeys(text, 64, where);
  const { weight_map } = checkJson(indexSchema, parseJson(text, where), where);
  const shards = new Set(Object.values(weight_map));
  for (const shard of shards) {
    // A plain name: no folder, no parent, no drive, no NUL.
    if (!/^[^/\\:\0]+\.safetensors$/.test(shard)) {
      throw new InputError(
        `${where}: shard ${formatValue(shard)} is not the name of a .safetensors file in the same folder`,
      );
    }
  }
  if (shards.size === 0) throw new InputError(`${where}: weight_map lists no tensor`);
  if (shards.size > MAX_SHARDS)
    throw new InputError(`${where}: ${shards.size} shards; at most ${MAX_SHARDS} are opened`);
  return new Map(Object.entries(weight_map));
}

/**
 * Opens every safetensors file of the checkpoint `folder`, by file name. Throws InputError naming missing shards or
 * what to convert.
 */
export function openShards(folder: string): Map<string, SafetensorsFile> {
  const files = new Map<string, SafetensorsFile>();
  if (existsSync(join(folder, SINGLE_FILE))) {
    return files.set(SINGLE_FILE, openSafetensors(join(folder, SINGLE_FILE)));
  }
  const indexPath = join(folder, INDEX_FILE);
  // Shards that are all there need no index: every weight is looked for by its name, and missed.
  const index = existsSync(indexPath) ? parseIndex(loadText(indexPath, MAX_INDEX_BYTES), indexPath) : null;
  const names = index === null ? numberedShards(folder) : [...new Set(index.values())].sort();
  if (names.length === 0) throw new InputError(noSafetensors(folder));
  const missing = names.filter((name) => !existsSync(join(folder, name)));
  if (missing.length > 0) {
    const listed = missing.slice(0, 6).join(", ") + (missing.length > 6 ? `, and ${missing.length - 6} more` : "");
    throw new InputError(
      `${folder}: ${missing.length} of ${names.length} shards missing (${listed}); download them again`,
    );
  }
  try {
    for (const name of names) files.set(name, openSafetensors(join(folder, name)));
    for (const [tensor, shard] of index ?? []) {
      if (files.get(shard)!.tensors.has(tensor)) continue;
      throw new InputError(`${indexPath}: tensor ${formatValue(tensor)} is not in ${shard}; download both again`);
    }
    return files;
  } catch (error) {
    for (const file of files.values()) file.close();
    throw error;
  }
}

/** The names of all shards of which the folder has one, "model-00001-of-00003.safetensors". */
function numberedShards(folder: string): string[] {
  const totals = readdirSync(folder).flatMap((name) => /^model-\d{5}-of-(\d{5})\.safetensors$/.exec(name)?.[1] ?? []);
  const total = totals[0];
  if (total === undefined || Number(total) > MAX_SHARDS) return [];
  return Array.from(
    { length: Number(total) },
    (_, i) => `model-${String(i + 1).padStart(5, "0")}-of-${total}.safetensors`,
  );
}

function noSafetensors(folder: string): string {
  const present = readdirSync(folder);
  const convert = (load: string) =>
    `convert it once in Python: AutoModelForCausalLM.from_pretrained(${load}).save_pretrained("OUT")`;
  const gguf = present.find((name) => name.endsWith(".gguf"));
  if (gguf) return `${folder} has ${gguf} but no ${SINGLE_FILE}; ${convert(`"${folder}", gguf_file="${gguf}"`)}`;
  const pickle = present.find((name) => /\.(bin|pt|pth)$/.test(name));
  if (pickle)
    return `${folder} has ${pickle} but no ${SINGLE_FILE}, and pickle files are not read; ${convert(`"${folder}"`)}`;
  const other = present.find((name) => name.endsWith(".safetensors") && !name.startsWith("adapter_"));
  if (other) return `${folder} has ${other} but no ${SINGLE_FILE}; if it holds all weights, name it ${SINGLE_FILE}`;
  return `${folder} has no ${SINGLE_FILE} and no ${INDEX_FILE}`;
}
