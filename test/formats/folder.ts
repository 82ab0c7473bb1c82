/** @file Temporary folders and small checkpoints for the tests of formats. */

import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { encodeFloats } from "../../src/base/float.js";
import { parseModelConfig } from "../../src/formats/model-config.js";
import { type TensorSource, writeSafetensors } from "../../src/formats/safetensors.js";
import type { ModelConfig } from "../../src/shape/config.js";
import { neededWeights } from "../../src/shape/weights.js";

/** A fresh folder that goes when the test ends; in memory where `parent` is `memoryFolder()`. */
export function temporaryFolder(parent = tmpdir()): string {
  const folder = mkdtempSync(join(parent, "msm-formats-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/**
 * Where thousands of small writes cost no disk, if this system has such a place: a busy disk takes milliseconds for
 * each.
 */
export function memoryFolder(): string {
  return existsSync("/dev/shm") ? "/dev/shm" : tmpdir();
}

/** config.json of a small model; override any field. */
export function smallConfig(
  family: "llama" | "qwen2" | "qwen3",
  fields: Record<string, unknown> = {},
): Record<string, unknown> {
  return {
    architectures: [{ llama: "LlamaForCausalLM", qwen2: "Qwen2ForCausalLM", qwen3: "Qwen3ForCausalLM" }[family]],
    model_type: family,
    hidden_size: 16,
    intermediate_size: 24,
    num_hidden_layers: 2,
    num_attention_heads: 2,
    num_key_value_heads: 1,
    head_dim: 8,
    vocab_size: 32,
    max_position_embeddings: 64,
    rms_norm_eps: 1e-5,
    rope_theta: 10000,
    hidden_act: "silu",
    tie_word_embeddings: false,
    ...fields,
  };
}

/** The ModelConfig of `smallConfig`. */
export function smallModelConfig(
  family: "llama" | "qwen2" | "qwen3",
  fields: Record<string, unknown> = {},
): ModelConfig {
  return parseModelConfig(smallConfig(family, fields), "config.json");
}

/** Every weight of the model, the first value of each telling them apart. */
export function smallTensors(config: ModelConfig): TensorSource[] {
  return [...neededWeights(config)].map(([name, shape], i) => {
    const values = new Float32Array(shape.reduce((a, b) => a * b)).fill(0.5);
    values[0] = i;
    return { name, dtype: "F32", shape, bytes: encodeFloats("F32", values) };
  });
}

/** Writes a one-file checkpoint. */
export async function writeCheckpoint(
  folder: string,
  config: Record<string, unknown>,
  tensors: TensorSource[],
  metadata: Record<string, string> = {},
): Promise<void> {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "config.json"), JSON.stringify(config));
  await writeSafetensors(join(folder, "model.safetensors"), tensors, metadata);
}
