/** @file Training steps: tokens a second, as a share of what the matrix products allow on this machine in the same run. */
import type { Backend } from "../backend/backend.js";
import type { ComputeDtype } from "../backend/tensor.js";
import type { Row } from "../corpus/pack.js";
import type { Checkpoint } from "../formats/checkpoint.js";
import { initAdapter } from "../model/adapter.js";
import { loadDecoder } from "../model/load.js";
import { type LoraConfig, planAdapter } from "../model/lora.js";
import { randomUint32 } from "../random.js";
import { planMemory } from "../train/memory.js";
import { createTrainState, writeParams } from "../train/state.js";
import { trainStep } from "../train/step.js";
import { copyBandwidth, productRates } from "./limits.js";

export interface TrainBenchOptions {
  dtype: ComputeDtype;
  r: number;
  rows: number;
  seqLen: number;
  steps: number;
}

export interface TrainBenchResult {
  tokensPerSecond: number;
  /** Of the best product of the step, measured before it. */
  productFlopsPerSecond: number;
  /** Tokens a second if the frozen products (4 operations a parameter and token) ran at that rate and nothing else took time. */
  limitTokensPerSecond: number;
  shareOfLimit: number;
  plannedBytes: number;
  peakRssBytes: number;
  /** From opening the weights to the end of the first step. */
  firstStepSeconds: number;
  copyBytesPerSecond: number;
}

const HYPER = { lr: 1e-4, beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0.01, clipNorm: 1 };

export async function benchTrain(
  backend: Backend,
  checkpoint: Checkpoint,
  options: TrainBenchOptions,
): Promise<TrainBenchResult> {
  const { dtype, r, rows, seqLen, steps } = options;
  const { config } = checkpoint;
  const lora: LoraConfig = {
    r,
    alpha: 2 * r,
    useRslora: false,
    targets: ["q", "k", "v", "o", "gate", "up", "down"],
  };
  const began = performance.now();
  const memory = planMemory(backend, { config, lora, dtype, seqLen, batchSize: rows }, Number.POSITIVE_INFINITY);
  const decoder = loadDecoder(backend, checkpoint, { dtype, lora, positions: seqLen });
  const state = createTrainState(decoder, lora, memory);
  writeParams(state, { params: initAdapter(planAdapter(config, lora), 0) });
  const batch = Array.from({ length: rows }, (_, row) => randomRow(config.vocabSize, seqLen, row));
  await trainStep(state, batch, { ...HYPER, step: 1 });
  const firstStepSeconds = (performance.now() - began) / 1000;
  const times: number[] = [];
  for (let step = 2; step < 2 + steps; step++) {
    const stepBegan = performance.now();
    await trainStep(state, batch, { ...HYPER, step });
    times.push((performance.now() - stepBegan) / 1000);
  }
  const peakRssBytes = process.resourceUsage().maxRSS * 1024;
  state.free();
  decoder.free();
  const rates = await productRates(backend, config, dtype, rows * seqLen);
  const productFlopsPerSecond = Math.max(...rates.map(({ flopsPerSecond }) => flopsPerSecond));
  const limitTokensPerSecond = productFlopsPerSecond / (4 * linearParameters(checkpoint));
  times.sort((a, b) => a - b);
  const tokensPerSecond = (rows * seqLen) / times[Math.floor(times.length / 2)]!;
  return {
    tokensPerSecond,
    productFlopsPerSecond,
    limitTokensPerSecond,
    shareOfLimit: tokensPerSecond / limitTokensPerSecond,
    plannedBytes: memory.totalBytes,
    peakRssBytes,
    firstStepSeconds,
    copyBytesPerSecond: await copyBandwidth(backend),
  };
}

/** Parameters of the matrix products, the head included, the embedding not. */
function linearParameters({ config }: Checkpoint): number {
  const { hiddenSize: D, intermediateSize: F, numHeads: H, numKvHeads: K, headDim: E, numLayers: L } = config;
  return L * (D * (H + 2 * K) * E + H * E * D + 3 * D * F) + config.vocabSize * D;
}

function randomRow(vocabSize: number, seqLen: number, row: number): Row {
  const ids = Int32Array.from({ length: seqLen }, (_, n) => randomUint32(7, row, n) % vocabSize);
  const targets = new Int32Array(seqLen).fill(-100);
  targets.set(ids.subarray(1));
  return {
    ids,
    targets,
    positions: Int32Array.from({ length: seqLen }, (_, n) => n),
    starts: new Int32Array(seqLen),
    records: [row],
    length: seqLen,
  };
}
