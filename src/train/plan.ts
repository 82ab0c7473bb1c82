/** @file What a training will do, known before its first step: the same for the commands and for an experiment. */
import type { Backend } from "../backend/backend.js";
import { InputError } from "../base/errors.js";
import { DEFAULT_SEQ_LEN, type TrainConfig } from "../config/train.js";
import { type BatchPlan, planBatches } from "../corpus/batches.js";
import type { Dataset } from "../corpus/dataset.js";
import { NO_TARGET } from "../corpus/encode.js";
import { type RowLimits, settleLongChats } from "../corpus/long-chats.js";
import type { Row } from "../corpus/pack.js";
import { checkTrainable, computeStats, type DataStats, hasTarget } from "../corpus/stats.js";
import { loadTrainingData } from "../corpus/training-data.js";
import { planGeneration } from "../model/generate.js";
import { type LoraConfig, parseTargets } from "../model/lora.js";
import { type Adapter, checkAdapter } from "../shape/adapter.js";
import type { ModelConfig } from "../shape/config.js";
import { checkTokenIds } from "../shape/token-ids.js";
import type { Tokenizer } from "../tokenizer/tokenizer.js";
import { SAMPLE_TOKENS, samplePrompts } from "./drawn-samples.js";
import { flopsPerToken, forecastSeconds } from "./forecast.js";
import type { MemoryPlan, RunShape } from "./memory.js";
import { checkRates } from "./schedule.js";

/** Settings with what they leave to the model and to each other filled in. */
export interface ResolvedConfig extends TrainConfig {
  seqLen: number;
}

/** What is trained on what: all but memory and time, which are the machine's. */
export interface TrainingPlan {
  config: ResolvedConfig;
  model: ModelConfig;
  tokenizer: Tokenizer;
  lora: LoraConfig;
  dataset: Dataset;
  heldout: { dataset: Dataset; rows: Row[] } | null;
  /** Of the samples that are drawn during training. */
  prompts: number[][];
  batches: BatchPlan;
  stats: DataStats;
}

export interface RunPlan extends TrainingPlan {
  command: "midtrain" | "aft";
  /** lora_dropout of the adapter that is continued: it goes on without. */
  dropout: number;
  memory: MemoryPlan;
  /** Forecast of the training itself. */
  seconds: number;
}

export type TrainingSubject = Pick<TrainingPlan, "model" | "tokenizer" | "lora">;

/**
 * Reads and packs the data as the training will; `load` reads the files that an option names.
 * @throws InputError naming what cannot be trained on
 */
export async function planTraining(
  config: TrainConfig,
  subject: TrainingSubject,
  load: (option: string, args: string[]) => Promise<Dataset>,
): Promise<TrainingPlan> {
  const { model, tokenizer } = subject;
  const resolved = resolveConfig(config, model);
  const { seqLen, epochs, maxSteps, batchSize, shuffle, seed, longChats } = resolved;
  const limits = { longChats, seqLen, positions: model.maxPositionEmbeddings };
  const dataset = await loadTrainingData({ ...resolved, ...limits }, load);
  checkDataset(dataset, subject);
  checkTrainable(dataset, tokenizer);
  const batches = planBatches(dataset, {
    seqLen,
    rowsPerStep: batchSize,
    shuffle,
    seed,
    ...(epochs !== null && { epochs }),
    ...(maxSteps !== null && { maxSteps }),
  });
  checkRates(resolved, batches.steps);
  const heldout = config.heldout.length > 0 ? heldoutRows(await load("--heldout", config.heldout), limits) : null;
  if (heldout) checkDataset(heldout.dataset, subject);
  const prompts = config.sampleEvery > 0 ? samplePrompts((heldout?.dataset ?? dataset).examples) : [];
  const stats = computeStats(dataset, batches.packing);
  return { ...subject, config: resolved, dataset, heldout, prompts, batches, stats };
}

/** Row length and epochs where the settings leave them open. Throws InputError where the model has fewer positions. */
export function resolveConfig(config: TrainConfig, { maxPositionEmbeddings }: ModelConfig): ResolvedConfig {
  if (config.seqLen !== null && config.seqLen > maxPositionEmbeddings)
    throw new InputError(
      `--seq-len ${config.seqLen}: ${config.model} has ${maxPositionEmbeddings} positions ` +
        "(max_position_embeddings): use at most that",
    );
  return {
    ...config,
    seqLen: config.seqLen ?? Math.min(DEFAULT_SEQ_LEN, maxPositionEmbeddings),
    epochs: config.epochs ?? (config.maxSteps === null ? 1 : null),
  };
}

/** Rank, alpha and targets: those of the adapter that is continued, where there is one. Throws InputError. */
export function resolveLora(config: TrainConfig, adapter: Adapter | null, model: ModelConfig): LoraConfig {
  if (!adapter) {
    return { r: config.r, alpha: config.alpha, useRslora: config.rslora, targets: parseTargets(config.targets) };
  }
  const where = `--adapter ${config.adapter}`;
  checkAdapter(adapter, model, where);
  const { r, alpha, useRslora, targets } = adapter.config;
  return { r, alpha, useRslora, targets };
}

/** What of the data the kernels will read: ids and targets that are rows of the embedding. */
function checkDataset({ examples, describe }: Dataset, { model, tokenizer }: TrainingSubject): void {
  const textOf = (id: number): string | undefined => tokenizer.tokenText(id);
  for (const [i, { ids, targets }] of examples.entries()) {
    checkTokenIds(ids, model.vocabSize, describe(i), textOf);
    if (targets === ids) continue;
    const given = targets.filter((target) => target !== NO_TARGET);
    checkTokenIds(given, model.vocabSize, `${describe(i)}, a label`, textOf);
  }
}

function heldoutRows(all: Dataset, limits: RowLimits): { dataset: Dataset; rows: Row[] } {
  const dataset = settleLongChats(all, limits);
  const { seqLen } = limits;
  if (!hasTarget(dataset.examples))
    throw new InputError(
      `--heldout ${dataset.files.map(({ path }) => path).join(", ")}: no token is a target, so it has no loss`,
    );
  const { packing, batchRows } = planBatches(dataset, { seqLen, rowsPerStep: 1, epochs: 1, shuffle: false, seed: 0 });
  return { dataset, rows: Array.from({ length: packing.numRows }, (_, row) => batchRows(row)[0]!) };
}

/** What decides the memory of a run; `prompts` are those of its samples. */
export function runShape(
  backend: Backend,
  { config, model, lora, prompts }: Pick<TrainingPlan, "config" | "model" | "lora" | "prompts">,
): RunShape {
  const { dtype, seqLen, batchSize } = config;
  return {
    config: model,
    lora,
    dtype,
    seqLen,
    batchSize,
    positions: Math.min(seqLen + SAMPLE_TOKENS, model.maxPositionEmbeddings),
    sampling: prompts.length > 0 ? planGeneration(backend, prompts, SAMPLE_TOKENS).shape : null,
  };
}

/** Tokens of `steps` steps with full rows, and about how long they take at `rate` operations a second. */
export function forecastSteps(
  steps: number,
  { config, model, lora }: Pick<TrainingPlan, "config" | "model" | "lora">,
  rate: number,
): { tokens: number; seconds: number } {
  const tokens = steps * config.batchSize * config.seqLen;
  return { tokens, seconds: forecastSeconds(tokens, flopsPerToken(model, lora, config.seqLen / 2), rate) };
}
