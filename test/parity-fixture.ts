/** @file The parity fixtures (test/fixtures/parity/README.md) as tests use them. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Backend } from "../src/backend/backend.js";
import type { ComputeDtype } from "../src/backend/tensor.js";
import { decodeFloats } from "../src/base/float.js";
import type { Row } from "../src/corpus/pack.js";
import { readAdapter } from "../src/formats/adapter.js";
import { openCheckpoint } from "../src/formats/checkpoint.js";
import { openSafetensors } from "../src/formats/safetensors.js";
import type { Recompute } from "../src/model/activations.js";
import { flattenAdapter, unflattenAdapter } from "../src/model/adapter-values.js";
import { loadDecoder } from "../src/model/load.js";
import type { Adapter } from "../src/shape/adapter.js";
import { createTrainState, readFlat, type TrainState, writeParams } from "../src/train/state.js";
import type { StepSettings } from "../src/train/step.js";

export const FIXTURES = join(import.meta.dirname, "fixtures", "parity");
export const CHECKPOINTS = [
  "llama",
  "llama-odd",
  "llama3",
  "llama3-odd",
  "qwen2",
  "qwen2-odd",
  "qwen3",
  "qwen3-odd",
] as const;
export const TRAJECTORIES = ["llama-odd", "llama3", "qwen2-odd", "qwen3"] as const;

/** Tensors of a truth file, and the rows of its batch and their length. */
export interface Truth {
  floats: (name: string) => Float32Array;
  ints: (name: string) => Int32Array;
  names: string[];
  rows: number;
  seqLen: number;
}

export function readTruth(path: string): Truth {
  const file = openSafetensors(path);
  const [rows, seqLen] = file.tensors.get("input_ids")!.shape as [number, number];
  return {
    floats: (name) => decodeFloats("F32", file.read(name)),
    ints: (name) => {
      const bytes = file.read(name);
      return new Int32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
    },
    names: [...file.tensors.keys()],
    rows,
    seqLen,
  };
}

// biome-ignore lint/suspicious/noExplicitAny: a fixture's JSON, described in its README
export function loadTruth(checkpoint: string): Truth & { json: any } {
  const folder = join(FIXTURES, checkpoint);
  const json = JSON.parse(readFileSync(join(folder, "truth.json"), "utf8"));
  return { ...readTruth(join(folder, "truth.safetensors")), json };
}

/** Settings of a step that computes loss and gradients and changes nothing. */
export const STILL: StepSettings = { step: 1, lr: 0, beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0, clipNorm: 0 };

/** Rows as the trainer has them: one segment each, the target of position t is labels[t + 1]. */
export function toRows(ids: Int32Array, labels: Int32Array, count: number, seqLen: number): Row[] {
  return Array.from({ length: count }, (_, row) => {
    const begin = row * seqLen;
    const targets = new Int32Array(seqLen).fill(-100);
    targets.set(labels.subarray(begin + 1, begin + seqLen));
    return {
      ids: ids.slice(begin, begin + seqLen),
      positions: Int32Array.from({ length: seqLen }, (_, n) => n),
      starts: new Int32Array(seqLen),
      targets,
      records: [row],
      length: seqLen,
    };
  });
}

/** A train state of the fixture's checkpoint with one of its adapters, micro-batches of `rows` rows. */
export async function openFixture(
  backend: Backend,
  checkpoint: string,
  options: {
    dtype: ComputeDtype;
    rows: number;
    seqLen: number;
    adapter?: string;
    recompute?: Recompute;
    microBatches?: number;
  },
): Promise<{ state: TrainState; adapter: Adapter; free: () => void }> {
  const { dtype, rows, seqLen, adapter: name = "adapter", recompute = "none", microBatches = 1 } = options;
  const source = openCheckpoint(join(FIXTURES, checkpoint, "model"));
  const adapter = readAdapter(join(FIXTURES, checkpoint, name));
  const lora = adapter.config;
  const decoder = await loadDecoder(backend, source, { dtype, lora, positions: seqLen });
  source.close();
  const state = createTrainState(decoder, lora, { N: rows * seqLen, microBatches, recompute });
  writeParams(state, { params: flattenAdapter(adapter, state.layout) });
  const free = (): void => {
    state.free();
    decoder.free();
  };
  return { state, adapter, free };
}

/** Gradients under PEFT's names. */
export async function readGradients(state: TrainState): Promise<Map<string, Float32Array>> {
  const { tensors } = unflattenAdapter(await readFlat(state, "grads"), state.layout, state.lora, null);
  const gradients = new Map<string, Float32Array>();
  for (const [key, pair] of tensors) {
    const [layer, projection] = key.split(".") as [string, string];
    const module = ["gate", "up", "down"].includes(projection) ? "mlp" : "self_attn";
    const name = `base_model.model.model.layers.${layer}.${module}.${projection}_proj`;
    gradients.set(`${name}.lora_A.weight`, pair.A).set(`${name}.lora_B.weight`, pair.B);
  }
  return gradients;
}

/** Relative error in l2 norm. */
export function relativeError(got: ArrayLike<number>, want: ArrayLike<number>): number {
  let difference = 0;
  let norm = 0;
  if (got.length !== want.length) return Number.NaN;
  for (let i = 0; i < want.length; i++) {
    difference += (got[i]! - want[i]!) ** 2;
    norm += want[i]! ** 2;
  }
  return Math.sqrt(difference / norm);
}
