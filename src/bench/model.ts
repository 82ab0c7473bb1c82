/**
 * @file What is measured: a checkpoint, or random weights of a known shape (models/shapes, the config.json of published
 * models).
 */
import { readdirSync } from "node:fs";
import { basename, join } from "node:path";
import type { Backend } from "../backend/backend.js";
import { loadJson } from "../base/json.js";
import { packagePath } from "../base/package.js";
import { openCheckpoint } from "../formats/checkpoint.js";
import { parseModelConfig } from "../formats/model-config.js";
import { type LoadedDecoder, type LoadOptions, loadDecoder } from "../model/load.js";
import type { ModelConfig } from "../shape/config.js";
import { randomDecoder } from "./random-weights.js";

const SHAPES_FOLDER = packagePath("models", "shapes");
const MAX_CONFIG_BYTES = 1_000_000;

export interface BenchModel {
  config: ModelConfig;
  load(backend: Backend, options: LoadOptions): Promise<LoadedDecoder>;
}

export function shapeNames(): string[] {
  return readdirSync(SHAPES_FOLDER)
    .map((file) => basename(file, ".json"))
    .sort();
}

/** The config.json of a known shape. */
export function shapeFile(name: string): string {
  return join(SHAPES_FOLDER, `${name}.json`);
}

/** Random weights of one of `shapeNames`. */
export function openShape(name: string): BenchModel {
  const path = shapeFile(name);
  const config = parseModelConfig(loadJson(path, MAX_CONFIG_BYTES), path);
  return { config, load: async (backend, options) => randomDecoder(backend, config, options) };
}

/** The checkpoint in `folder`. */
export function openFolder(folder: string): BenchModel {
  const checkpoint = openCheckpoint(folder);
  checkpoint.close();
  const load: BenchModel["load"] = async (backend, options) => {
    const opened = openCheckpoint(folder);
    try {
      return await loadDecoder(backend, opened, options);
    } finally {
      opened.close();
    }
  };
  return { config: checkpoint.config, load };
}
