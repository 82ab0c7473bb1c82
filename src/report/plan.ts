/** @file The plan of a run, printed before its first step. */
import type { TrainConfig } from "../config/train.js";
import type { BatchPlan } from "../corpus/batches.js";
import type { Dataset } from "../corpus/dataset.js";
import type { ModelConfig } from "../model/config.js";
import { type LoraConfig, planAdapter } from "../model/lora.js";
import type { Tokenizer } from "../tokenizer/tokenizer.js";
import { formatBytes, type MemoryPlan } from "../train/memory.js";
import { resolveWarmup } from "../train/schedule.js";
import { formatDuration } from "./progress.js";

export interface RunPlan {
  config: TrainConfig;
  lora: LoraConfig;
  model: ModelConfig;
  tokenizer: Tokenizer;
  dataset: Dataset;
  batches: BatchPlan;
  memory: MemoryPlan;
  /** Forecast of the training itself. */
  seconds: number;
}

const number = (value: number): string => value.toLocaleString("en-US");

/** The plan as plain data, for --json. */
export function planRecord(plan: RunPlan): Record<string, unknown> {
  const { config, lora, model, dataset, batches, memory, seconds } = plan;
  return {
    type: "plan",
    records: dataset.examples.length,
    ...countTokens(dataset),
    rows: batches.packing.numRows,
    steps: batches.steps,
    stepsPerEpoch: batches.stepsPerEpoch,
    warmupSteps: resolveWarmup(config.warmup, batches.steps),
    seqLen: config.seqLen,
    batchSize: config.batchSize,
    rowsPerMicroBatch: memory.rowsPerMicroBatch,
    recompute: memory.recompute,
    trainableParameters: planAdapter(model, lora).count,
    memoryBytes: { ...memory.bytes, total: memory.totalBytes, available: memory.budgetBytes },
    forecastSeconds: Math.round(seconds),
  };
}

/** The plan for people: data, steps, adapter, memory, time. */
export function formatPlan(plan: RunPlan): string {
  const { config, lora, model, dataset, batches, memory, seconds } = plan;
  const { tokens, targetTokens } = countTokens(dataset);
  const { numRows } = batches.packing;
  const padding = 1 - tokens / (numRows * config.seqLen!);
  const { weights, adapter, activations, workspace } = memory.bytes;
  const warmup = resolveWarmup(config.warmup, batches.steps);
  const accumulation =
    memory.microBatches > 1 ? `, ${memory.microBatches} micro-batches of ${memory.rowsPerMicroBatch}` : "";
  const rounds = batches.steps / batches.stepsPerEpoch;
  const lines = [
    [
      "model",
      `${model.family}, ${model.numLayers} layers, hidden ${model.hiddenSize}, vocabulary ${number(model.vocabSize)}, ${config.dtype}`,
    ],
    [
      "data",
      `${number(dataset.examples.length)} records, ${number(tokens)} tokens, ${number(targetTokens)} of them targets`,
    ],
    ["rows", `${number(numRows)} of ${config.seqLen} tokens, ${(100 * padding).toFixed(1)} % padding`],
    ["steps", `${number(batches.steps)} of ${config.batchSize} rows${accumulation}; ${rounds.toFixed(2)} epochs`],
    [
      "rate",
      `${config.lr} ${config.schedule}, warm-up ${warmup} steps, weight decay ${config.weightDecay}, clip ${config.clip}`,
    ],
    [
      "adapter",
      `r ${lora.r}, alpha ${lora.alpha}${lora.useRslora ? " (rslora)" : ""}, ${lora.targets.join(" ")}: ${number(planAdapter(model, lora).count)} parameters`,
    ],
    [
      "memory",
      `${formatBytes(memory.totalBytes)} of ${formatBytes(memory.budgetBytes)}: weights ${formatBytes(weights)}, adapter and optimiser ` +
        `${formatBytes(adapter)}, activations ${formatBytes(activations)} (recompute: ${memory.recompute}), workspace ${formatBytes(workspace)}`,
    ],
    ["forecast", `about ${formatDuration(seconds)}`],
  ];
  return lines.map(([name, text]) => `${`${name}`.padEnd(9)}${text}`).join("\n");
}

function countTokens(dataset: Dataset): { tokens: number; targetTokens: number } {
  let [tokens, targetTokens] = [0, 0];
  for (const { ids, targets } of dataset.examples) {
    tokens += ids.length;
    // The first token of a record is never predicted.
    for (let n = 1; n < targets.length; n++) if (targets[n]! >= 0) targetTokens++;
  }
  return { tokens, targetTokens };
}
