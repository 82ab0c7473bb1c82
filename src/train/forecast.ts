/** @file How long a run will take: operations over a rate measured on this machine. */
import { allocTensor, type Backend } from "../backend/backend.js";
import type { ComputeDtype } from "../backend/tensor.js";
import type { ModelConfig } from "../formats/decoder-config.js";
import { type LoraConfig, planAdapter } from "../model/lora.js";

/** Long enough to see past the first call's set-up. */
const PROBE_SECONDS = 0.3;
/** What a step reaches of the rate of its largest product, all else included (bench/results). */
const STEP_EFFICIENCY = 0.6;

/**
 * Operations of one token's forward and backward: 2 P forward and 2 P for the gradient of the input over the frozen matrices and the head, 6 for each
 * adapter parameter, and causal attention (half of 4 s H E forward, 2.5 times that backward), s tokens of context.
 */
export function flopsPerToken(config: ModelConfig, lora: LoraConfig, contextTokens: number): number {
  const { hiddenSize: D, intermediateSize: F, numHeads: H, numKvHeads: K, headDim: E, numLayers: L } = config;
  const frozen = L * (D * (H + 2 * K) * E + H * E * D + 3 * D * F) + config.vocabSize * D;
  const attention = L * 2 * contextTokens * H * E;
  return 4 * frozen + 6 * planAdapter(config, lora).count + 3.5 * attention;
}

/** Operations a second of the model's MLP product, measured. */
export async function measureRate(
  backend: Backend,
  config: ModelConfig,
  dtype: ComputeDtype,
  N: number,
): Promise<number> {
  const { hiddenSize: D, intermediateSize: F } = config;
  const [x, w, y] = [
    allocTensor(backend, dtype, N, D),
    allocTensor(backend, dtype, F, D),
    allocTensor(backend, dtype, N, F),
  ];
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
