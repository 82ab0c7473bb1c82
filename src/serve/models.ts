/** @file What is served: a base, and adapters that come and go. */
import { basename } from "node:path";
import type { Backend } from "../backend/backend.js";
import type { ComputeDtype } from "../backend/tensor.js";
import { InputError } from "../base/errors.js";
import { loadModelTokenizer, resolveFolders } from "../chat/load.js";
import { readAdapter } from "../formats/adapter.js";
import { openCheckpoint } from "../formats/checkpoint.js";
import type { HubProgress } from "../formats/hub/download.js";
import { type Engine, openEngine } from "../model/engine.js";
import { type LoadedDecoder, loadDecoder } from "../model/load.js";
import { openServedAdapter, type ServedAdapter } from "../model/served-adapter.js";
import { renderChat } from "../tokenizer/chat.js";
import type { Tokenizer } from "../tokenizer/tokenizer.js";
import { ApiError } from "./errors.js";
import { planServing, type ServingPlan } from "./plan.js";

export interface ServedModel {
  name: string;
  /** Null: the base. */
  adapter: ServedAdapter | null;
  /** What it was loaded from. */
  root: string;
  tokenizer: Tokenizer;
  tokenizerFolder: string;
  /** Whether the chat template knows reasoning as a part of its own. */
  marksReasoning: boolean;
  /** Seconds since 1970. */
  created: number;
}

export interface Models {
  engine: Engine;
  plan: ServingPlan;
  list(): ServedModel[];
  base(): ServedModel;
  /** Throws ApiError 404 where no model has this name. */
  get(name: string): ServedModel;
  /** Throws ApiError where the name is taken, or InputError where the adapter is missing or does not fit. */
  loadAdapter(name: string, source: string): Promise<ServedModel>;
  /** What is under way with it goes on. Throws ApiError 404. */
  unloadAdapter(name: string): void;
  /** Ends what runs and frees all memory. */
  close(): Promise<void>;
}

export interface ServingRequest {
  model: string;
  /** Null: the model's folder or id. */
  name: string | null;
  tokenizer: string | null;
  dtype: ComputeDtype;
  /** Null: what the model was made for, as far as the memory allows. */
  maxModelLen: number | null;
  /** Null: the backend's. */
  concurrency: number | null;
  /** What weights and cache may take together. */
  memoryBytes: number;
  onDownload?: HubProgress;
}

/** Loads the base and opens the engine. Throws InputError. */
export async function openModels(backend: Backend, request: ServingRequest): Promise<Models> {
  const { model, tokenizer, onDownload } = request;
  const download = onDownload ? { onDownload } : {};
  const { folder, tokenizerFolder } = await resolveFolders({ model, tokenizer, adapter: null, ...download });
  const { decoder, plan } = await openBase(backend, folder, request);
  const engine = openEngine(decoder, plan.shape);
  const served = new Map<string, ServedModel>();
  const loading = new Set<string>();
  let loaded = 0;
  const add = (name: string, root: string, adapter: ServedAdapter | null, from: string): ServedModel => {
    const known = [...served.values()].find((one) => one.tokenizerFolder === from)?.tokenizer;
    const own = known ?? loadModelTokenizer(folder, from);
    const created = Math.floor(Date.now() / 1000);
    const one = {
      name,
      root,
      adapter,
      tokenizer: own,
      tokenizerFolder: from,
      marksReasoning: marksReasoning(own),
      created,
    };
    served.set(name, one);
    return one;
  };
  const baseName = request.name ?? (model.startsWith("/") || model.startsWith(".") ? basename(folder) : model);
  const base = add(baseName, folder, null, tokenizerFolder);
  const get = (name: string): ServedModel => {
    const one = served.get(name);
    if (one) return one;
    const message = `the model ${JSON.stringify(name.slice(0, 200))} is not served; /v1/models lists those that are`;
    throw new ApiError(404, message, { param: "model", code: "model_not_found" });
  };

  return {
    engine,
    plan,
    get,
    list: () => [...served.values()],
    base: () => base,
    async loadAdapter(name, source) {
      const taken = { param: "lora_name", code: "lora_name_taken" };
      if (served.has(name) || loading.has(name)) throw new ApiError(400, `a model ${name} is served already`, taken);
      loading.add(name);
      try {
        const folders = await resolveFolders({ model, adapter: source, tokenizer, ...download });
        const key = `adapter ${++loaded}`;
        const where = `adapter ${name}`;
        const options = { key, where, maxTokens: plan.shape.maxTokens };
        const adapter = openServedAdapter(decoder, readAdapter(folders.adapterFolder!), options);
        try {
          return add(name, source, adapter, folders.tokenizerFolder);
        } catch (error) {
          engine.release(adapter);
          throw error;
        }
      } finally {
        loading.delete(name);
      }
    },
    unloadAdapter(name) {
      const { adapter } = get(name);
      if (!adapter) throw new ApiError(400, `${name} is the base`, { param: "lora_name" });
      served.delete(name);
      engine.release(adapter);
    },
    async close() {
      for (const { adapter } of served.values()) if (adapter) engine.release(adapter);
      await engine.close();
      decoder.free();
    },
  };
}

async function openBase(
  backend: Backend,
  folder: string,
  request: ServingRequest,
): Promise<{ decoder: LoadedDecoder; plan: ServingPlan }> {
  const checkpoint = openCheckpoint(folder);
  try {
    const { dtype } = request;
    const plan = planServing(backend, checkpoint.config, request);
    const decoder = await loadDecoder(backend, checkpoint, { dtype, lora: null, positions: plan.maxModelLen });
    return { decoder, plan };
  } finally {
    checkpoint.close();
  }
}

/** Whether the template writes an assistant's `reasoning_content`, or has a switch for thinking. */
function marksReasoning(tokenizer: Tokenizer): boolean {
  if (!tokenizer.chatTemplate) return false;
  const ask = [{ role: "user", content: "a" }];
  const texts = [true, false].map((on) => tryRender(tokenizer, ask, { enable_thinking: on }));
  const answer = { role: "assistant", content: "b", reasoning_content: "thought4reasoning" };
  return texts[0] !== texts[1] || tryRender(tokenizer, [...ask, answer], {})?.includes("thought4reasoning") === true;
}

function tryRender(
  tokenizer: Tokenizer,
  messages: { role: string; content: string }[],
  templateOptions: object,
): string | null {
  try {
    const options = { templateOptions: { ...templateOptions } };
    return renderChat(tokenizer, messages, { ...options, addGenerationPrompt: messages.length === 1 });
  } catch (error) {
    if (error instanceof InputError) return null;
    throw error;
  }
}
