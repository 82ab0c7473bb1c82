/** @file A model ready to be asked: checkpoint, tokenizer, adapter, by folder or hub id. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Backend } from "../backend/backend.js";
import type { ComputeDtype } from "../backend/tensor.js";
import { fileVersion, hashFile } from "../base/hash.js";
import { readAdapter } from "../formats/adapter.js";
import { openCheckpoint } from "../formats/checkpoint.js";
import type { HubProgress } from "../formats/hub/download.js";
import { resolveAdapter, resolveModel, resolveTokenizer } from "../formats/hub/hub.js";
import { type LoadedDecoder, loadDecoder } from "../model/load.js";
import { adapterLora, loadAdapter } from "../model/load-adapter.js";
import type { Decoder } from "../model/weights.js";
import { loadTokenizer, type Tokenizer } from "../tokenizer/tokenizer.js";

/** Longer contexts than this need `positions`: RoPE's tables are made for all of them. */
export const DEFAULT_POSITIONS = 32_768;

export interface ModelRequest {
  /** Hugging Face folder or hub id. */
  model: string;
  /** PEFT folder or hub id; null: the model as it is. */
  adapter: string | null;
  /** Folder or hub id of another tokenizer and chat template; null: the adapter's, or the model's. */
  tokenizer?: string | null;
  dtype: ComputeDtype;
  /** Longest sequence; default: what the model was made for, at most 32,768. */
  positions?: number;
  onDownload?: HubProgress;
}

export interface LoadedModel {
  /** Local folders. */
  folder: string;
  adapterFolder: string | null;
  tokenizer: Tokenizer;
  decoder: Decoder;
  free: () => void;
}

/** Loads model and adapter onto `backend`. Throws InputError naming what is missing, wrong or not implemented. */
export async function loadModel(backend: Backend, request: ModelRequest): Promise<LoadedModel> {
  return residentModel(backend).load(request);
}

/** A model that stays on the device from one request to the next. */
export interface ResidentModel {
  /**
   * As `loadModel`. Where weights, dtype, LoRA shape and positions are those of the request before, only the adapter's
   * values are written, and the model of that request is gone.
   */
  load(request: ModelRequest): Promise<LoadedModel>;
  free(): void;
}

export function residentModel(backend: Backend): ResidentModel {
  let resident: { key: string; decoder: LoadedDecoder } | null = null;
  const free = (): void => {
    resident?.decoder.free();
    resident = null;
  };
  const load = async (request: ModelRequest): Promise<LoadedModel> => {
    const { folder, adapterFolder, tokenizerFolder } = await resolveFolders(request);
    const checkpoint = openCheckpoint(folder);
    try {
      const { config, shards } = checkpoint;
      const adapter = adapterFolder === null ? null : readAdapter(adapterFolder);
      const lora = adapter && adapterLora(adapter, config, `--adapter ${request.adapter}`);
      const tokenizer = loadModelTokenizer(folder, tokenizerFolder);
      const positions = request.positions ?? Math.min(config.maxPositionEmbeddings, DEFAULT_POSITIONS);
      const shape = { dtype: request.dtype, lora, positions };
      const files = ["config.json", ...shards.map(({ file }) => file)];
      const key = JSON.stringify([...files.map((file) => fileVersion(join(folder, file))), shape]);
      if (resident?.key !== key) {
        free();
        resident = { key, decoder: await loadDecoder(backend, checkpoint, shape) };
      }
      const { decoder } = resident;
      if (adapter) loadAdapter(decoder, adapter);
      return { folder, adapterFolder, tokenizer, decoder, free };
    } finally {
      checkpoint.close();
    }
  };
  return { load, free };
}

export interface ModelFolders {
  folder: string;
  adapterFolder: string | null;
  tokenizerFolder: string;
}

/**
 * Where model, adapter and tokenizer are. The tokenizer beside the adapter is taken where there is one: an adapter that
 * was trained on chats of a base model brings the chat template that it knows, and under another one it answers at
 * random.
 */
export async function resolveFolders(
  request: Pick<ModelRequest, "model" | "adapter" | "tokenizer" | "onDownload">,
): Promise<ModelFolders> {
  const { model, adapter, tokenizer = null, onDownload } = request;
  const folder = await resolveModel(model, onDownload);
  const adapterFolder = adapter === null ? null : await resolveAdapter(adapter, onDownload);
  if (tokenizer !== null)
    return { folder, adapterFolder, tokenizerFolder: await resolveTokenizer(tokenizer, onDownload) };
  const isBesideAdapter = adapterFolder !== null && existsSync(join(adapterFolder, "tokenizer.json"));
  return { folder, adapterFolder, tokenizerFolder: isBesideAdapter ? adapterFolder : folder };
}

export function loadModelTokenizer(folder: string, tokenizerFolder: string): Tokenizer {
  const own = loadTokenizer(tokenizerFolder);
  if (tokenizerFolder === folder) return own;
  // The model's generation_config.json and config.json are not beside an adapter.
  return { ...own, stopIds: [...new Set([...own.stopIds, ...loadTokenizer(folder).stopIds])] };
}

export const TOKENIZER_FILES = [
  "tokenizer.json",
  "tokenizer_config.json",
  "chat_template.jinja",
  "additional_chat_templates/tool_use.jinja",
  "special_tokens_map.json",
  "generation_config.json",
];

/**
 * SHA-256 of every file of model, adapter and tokenizer that decides what is computed, by name; null where there is
 * none of its own.
 */
export async function hashModel({ folder, adapterFolder, tokenizerFolder }: ModelFolders): Promise<{
  model: Record<string, string>;
  adapter: Record<string, string> | null;
  tokenizer: Record<string, string> | null;
}> {
  const checkpoint = openCheckpoint(folder);
  checkpoint.close();
  const modelFiles = ["config.json", ...TOKENIZER_FILES, ...checkpoint.shards.map(({ file }) => file)];
  const adapterFiles = ["adapter_config.json", "adapter_model.safetensors", ...TOKENIZER_FILES];
  const isKnown = tokenizerFolder === folder || tokenizerFolder === adapterFolder;
  return {
    model: await hashFiles(folder, modelFiles),
    adapter: adapterFolder === null ? null : await hashFiles(adapterFolder, adapterFiles),
    tokenizer: isKnown ? null : await hashFiles(tokenizerFolder, TOKENIZER_FILES),
  };
}

async function hashFiles(folder: string, files: readonly string[]): Promise<Record<string, string>> {
  const hashes: Record<string, string> = {};
  for (const file of files) if (existsSync(join(folder, file))) hashes[file] = await hashFile(join(folder, file));
  return hashes;
}
