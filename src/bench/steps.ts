/**
 * @file Training steps: tokens a second, as a share of what the matrix products allow on this machine in the same run.
 */
import type { Backend } from "../backend/backend.js";
import type { ComputeDtype } from "../backend/tensor.js";
import { randomUint32 } from "../base/random.js";
import type { Row } from "../corpus/pack.js";
import { initAdapter } from "../model/adapter-values.js";
import { type LoraConfig, planAdapter } from "../model/lora.js";
import type { ModelConfig } from "../shape/config.js";
import { type MemoryPlan, memoryBudget, planMemory } from "../train/memory.js";
import { createTrainState, type TrainState, writeParams } from "../train/state.js";
import { type StepResult, trainStep } from "../train/step.js";
import { copyBandwidth, productRates } from "./limits.js";
import type { BenchModel } from "./model.js";

export interface TrainBenchOptions {
  dtype: ComputeDtype;
  r: number;
  rows: number;
  seqLen: number;
  steps: number;
}

export interface TrainBenchResult {
  tokensPerSecond: number;
  /** Of the best product of the step, measured after it. */
  productFlopsPerSecond: number;
  /**
   * Tokens a second if the frozen products (4 operations a parameter and token) ran at that rate and nothing else took
   * time.
   */
  limitTokensPerSecond: number;
  shareOfLimit: number;
  plan: MemoryPlan;
  peakRssBytes: number;
  /** From asking for the weights to the end of the first step. */
  firstStepSeconds: number;
  copyBytesPerSecond: number;
}

const HYPER = { lr: 1e-4, beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0.01, clipNorm: 1 };
/** The first runs everything as it is, the second records it. */
const WARMUP_STEPS = 2;

export async function benchTrain(
  backend: Backend,
  model: BenchModel,
  options: TrainBenchOptions,
): Promise<TrainBenchResult> {
  const { dtype, r, rows, seqLen, steps } = options;
  const { config } = model;
  const lora: LoraConfig = {
    r,
    alpha: 2 * r,
    useRslora: false,
    targets: ["q", "k", "v", "o", "gate", "up", "down"],
  };
  const began = performance.now();
  const shape = { config, lora, dtype, seqLen, batchSize: rows, positions: seqLen, sampling: null };
  const plan = planMemory(backend, shape, memoryBudget(backend));
  const decoder = await model.load(backend, { dtype, lora, positions: seqLen });
  const state = createTrainState(decoder, lora, plan);
  writeParams(state, { params: initAdapter(planAdapter(config, lora), 0) });
  const batch = Array.from({ length: rows }, (_, row) => randomRow(config.vocabSize, seqLen, row));
  await trainStep(state, batch, { ...HYPER, step: 1 });
  const firstStepSeconds = (performance.now() - began) / 1000;
  const times = await stepTimes(state, batch, steps);
  const peakRssBytes = process.resourceUsage().maxRSS * 1024;
  state.free();
  decoder.free();
  const rates = await productRates(backend, config, dtype, rows * seqLen);
  const productFlopsPerSecond = Math.max(...rates.map(({ flopsPerSecond }) => flopsPerSecond));
  const limitTokensPerSecond = productFlopsPerSecond / (4 * linearParameters(config));
  times.sort((a, b) => a - b);
  const tokensPerSecond = (rows * seqLen) / times[Math.floor(times.length / 2)]!;
  return {
    tokensPerSecond,
    productFlopsPerSecond,
    limitTokensPerSecond,
    shareOfLimit: tokensPerSecond / limitTokensPerSecond,
    plan,
    peakRssBytes,
    firstStepSeconds,
    copyBytesPerSecond: await copyBandwidth(backend),
  };
}

/**
 * Seconds of each of `steps` steps after the first, each enqueued before the one before it has ended, as the trainer
 * does on a GPU.
 */
async function stepTimes(state: TrainState, batch: Row[], steps: number): Promise<number[]> {
  const start = (step: number): Promise<StepResult> => trainStep(state, batch, { ...HYPER, step: 1 + step });
  const times: number[] = [];
  let running = start(1);
  let began = performance.now();
  for (let step = 1; step < WARMUP_STEPS + steps; step++) {
    const next = start(step + 1);
    await running;
    const ended = performance.now();
    if (step >= WARMUP_STEPS) times.push((ended - began) / 1000);
    began = ended;
    running = next;
  }
  await running;
  return times;
}

/** Parameters of the matrix products, the head included, the embedding not. */
function linearParameters(config: ModelConfig): number {
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
