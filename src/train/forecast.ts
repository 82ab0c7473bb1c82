/** @file How long a run will take: operations over a rate measured on this machine. */
import { allocTensor, type Backend } from "../backend/backend.js";
import type { ComputeDtype } from "../backend/tensor.js";
import { type LoraConfig, planAdapter } from "../model/lora.js";
import type { ModelConfig } from "../shape/config.js";

/** Long enough to see past the first call's set-up. */
const PROBE_SECONDS = 0.3;
/** What a decode step reaches of the rate of its products, attention, logits and sampling included (bench/results). */
const DECODE_EFFICIENCY = 0.35;
/** What a step reaches of the rate of its largest product, all else included (bench/results). */
const STEP_EFFICIENCY = 0.6;

/**
 * Operations of one token's forward and backward: 2 P forward and 2 P for the gradient of the input over the frozen
 * matrices and the head, 6 for each adapter parameter, and causal attention (half of 4 s H E forward, 2.5 times that
 * backward), s tokens of context.
 */
export function flopsPerToken(config: ModelConfig, lora: LoraConfig, contextTokens: number): number {
  const { numHeads: H, headDim: E, numLayers: L } = config;
  const attention = L * 2 * contextTokens * H * E;
  return 4 * frozenParameters(config) + 6 * planAdapter(config, lora).count + 3.5 * attention;
}

/** Of the matrices that a token is multiplied with, the head included. */
function frozenParameters(config: ModelConfig): number {
  const { hiddenSize: D, intermediateSize: F, numHeads: H, numKvHeads: K, headDim: E, numLayers: L } = config;
  return L * (D * (H + 2 * K) * E + H * E * D + 3 * D * F) + config.vocabSize * D;
}

/** Operations a second of products. */
export interface Rates {
  /** Of many rows: training and prefill. */
  many: number;
  /** Of so few rows: the weights have to be read, however few. */
  at(rows: number): Promise<number>;
}

/** Those of a machine by its operations and bytes a second: a bf16 weight is two bytes, and two operations a row. */
export function recordedRates(flops: number, bytesPerSecond: number): Rates {
  return { many: flops, at: async (rows) => Math.min(flops, rows * bytesPerSecond) };
}

/** Those of this machine; each is measured once. */
export async function measureRates(backend: Backend, config: ModelConfig, rows: number): Promise<Rates> {
  const measured = new Map<number, Promise<number>>();
  const at = (N: number): Promise<number> => {
    const rate = measured.get(N) ?? measureRate(backend, config, "bf16", N);
    measured.set(N, rate);
    return rate;
  };
  return { many: await at(rows), at };
}

/**
 * Seconds of running `tokens` tokens forward, each with `contextTokens` before it: 2 P and 4 s H E operations a token.
 * The adapter's share is left out.
 */
export function prefillSeconds(tokens: number, contextTokens: number, config: ModelConfig, rate: number): number {
  const { numHeads: H, headDim: E, numLayers: L } = config;
  return (tokens * (2 * frozenParameters(config) + L * 4 * contextTokens * H * E)) / (rate * STEP_EFFICIENCY);
}

/**
 * Seconds of drawing `tokens` tokens, each with `contextTokens` before it: the products at the rate of as many rows as
 * are drawn together, and the keys and values of the context (bf16, 4 s K E bytes a layer) at the bytes a second that a
 * product of one row reads.
 */
export function decodeSeconds(
  tokens: number,
  contextTokens: number,
  config: ModelConfig,
  rate: number,
  bytesPerSecond: number,
): number {
  const { numKvHeads: K, headDim: E, numLayers: L } = config;
  const cacheBytes = L * 4 * contextTokens * K * E;
  return (tokens * ((2 * frozenParameters(config)) / rate + cacheBytes / bytesPerSecond)) / DECODE_EFFICIENCY;
}

/** Operations a second of the model's MLP product, measured. */
export async function measureRate(
  backend: Backend,
  config: ModelConfig,
  dtype: ComputeDtype,
  N: number,
): Promise<number> {
  const { hiddenSize: D, intermediateSize: F } = config;
  const x = allocTensor(backend, dtype, N, D);
  const w = allocTensor(backend, dtype, F, D);
  const y = allocTensor(backend, dtype, N, F);
  for (const tensor of [x, w]) backend.ops.clear(tensor);
  backend.ops.matmul({ out: y, a: x, b: w, transB: true });
  await backend.sync();
  let calls = 0;
  const began = performance.now();
  let seconds = 0;
  while (seconds < PROBE_SECONDS) {
    backend.ops.matmul({ out: y, a: x, b: w, transB: true });
    await backend.sync();
    calls++;
    seconds = (performance.now() - began) / 1000;
  }
  for (const { buffer } of [x, w, y]) backend.free(buffer);
  return (calls * 2 * N * D * F) / seconds;
}

/** Seconds of `tokens` tokens of training, about. */
export function forecastSeconds(tokens: number, flops: number, rate: number): number {
  return (tokens * flops) / (rate * STEP_EFFICIENCY);
}
