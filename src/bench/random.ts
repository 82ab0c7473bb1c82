/** @file Random values and random checkpoints for measurements. */
import { type Backend, writeTensor } from "../backend/backend.js";
import type { Tensor } from "../backend/tensor.js";
import type { Checkpoint, Weight } from "../formats/checkpoint.js";
import type { ModelConfig } from "../formats/decoder-config.js";
import { neededWeights } from "../formats/weights.js";
import { randomUint32 } from "../random.js";

/** Bits of bf16 values, uniform in +-0.03 or so, the same pattern again and again: cheap, and no zeros or denormals. */
function bf16Pattern(): Uint16Array {
  const pattern = new Uint16Array(1 << 16);
  for (let i = 0; i < pattern.length; i++) {
    const bits = randomUint32(1, 0, i);
    pattern[i] = ((bits & 1) << 15) | ((118 + ((bits >>> 1) & 3)) << 7) | ((bits >>> 8) & 0x7f);
  }
  return pattern;
}

const PATTERN = bf16Pattern();

/** Fills a bf16 or f32 tensor without gaps. */
export function fillRandom(backend: Backend, tensor: Tensor): void {
  const count = tensor.rows * tensor.cols;
  if (tensor.dtype === "bf16") {
    const bits = new Uint16Array(count);
    for (let i = 0; i < count; i++) bits[i] = PATTERN[i & 0xffff]!;
    writeTensor(backend, tensor, bits);
  } else {
    const bits = new Uint32Array(count);
    for (let i = 0; i < count; i++) bits[i] = PATTERN[i & 0xffff]! << 16;
    writeTensor(backend, tensor, bits);
  }
}

/** A checkpoint of random BF16 weights that is never on disk: a model's speed does not depend on its values. */
export function randomCheckpoint(config: ModelConfig): Checkpoint {
  const weights = new Map<string, Weight>();
  for (const [name, shape] of neededWeights(config)) {
    const byteLength = 2 * shape.reduce((product, size) => product * size, 1);
    weights.set(name, { name, dtype: "BF16", shape, byteLength, file: "" });
  }
  const patternBytes = new Uint8Array(PATTERN.buffer);
  return {
    folder: "random weights",
    config,
    tensors: weights,
    weights,
    shards: [],
    readInto(_tensor, target) {
      for (let at = 0; at < target.length; at += patternBytes.length)
        target.set(patternBytes.subarray(0, Math.min(patternBytes.length, target.length - at)), at);
    },
    close() {},
  };
}

/** The shape of SmolLM2-135M, the standard subject of the CPU benchmarks. */
export const SMOLLM2_135M: ModelConfig = {
  family: "llama",
  vocabSize: 49152,
  hiddenSize: 576,
  intermediateSize: 1536,
  numLayers: 30,
  numHeads: 9,
  numKvHeads: 3,
  headDim: 64,
  maxPositionEmbeddings: 8192,
  rmsNormEps: 1e-5,
  ropeTheta: 100000,
  ropeScaling: null,
  qkvBias: false,
  qkNorm: false,
  tieWordEmbeddings: true,
};
