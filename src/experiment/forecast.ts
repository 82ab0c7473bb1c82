/** @file What an experiment will take, before any of it runs: tokens, optimiser steps, memory and time of every job. */
import type { Backend } from "../backend/backend.js";
import { DEFAULT_SEQ_LEN, type TrainConfig } from "../config/train.js";
import { planBatches } from "../corpus/batches.js";
import { type Dataset, drawRecords, joinDatasets, loadDataset } from "../corpus/dataset.js";
import { InputError } from "../errors.js";
import { openCheckpoint } from "../formats/checkpoint.js";
import type { ModelConfig } from "../formats/decoder-config.js";
import { resolveModel } from "../formats/hub.js";
import { loadJson } from "../formats/json.js";
import { parseModelConfig } from "../formats/model-config.js";
import { type LoraConfig, parseTargets } from "../model/lora.js";
import { loadTokenizer, type Tokenizer } from "../tokenizer/tokenizer.js";
import { flopsPerToken, forecastSeconds, measureRate } from "../train/forecast.js";
import { memoryBudget, planMemory } from "../train/memory.js";
import type { Matrix } from "./matrix.js";
import type { Experiment } from "./schema.js";

/** Rows that are filled, of records of usual lengths: for sizes that were recorded, not packed. */
const PACKED_SHARE = 0.97;
const PROBE_TOKENS = 1024;
const MAX_CONFIG_BYTES = 1_000_000;

export interface JobForecast {
  tokens: number;
  /** null: an evaluation. */
  steps: number | null;
  seconds: number;
  bytes: number;
}

export interface Forecast {
  jobs: Map<string, JobForecast>;
  /** "measured on this machine" or "recorded". */
  rateSource: string;
  flopsPerSecond: number;
}

/** Forecasts every job. Data are read and packed as training will; `recorded` sizes stand in for what is not on this machine. */
export async function forecastJobs(experiment: Experiment, matrix: Matrix, backend: Backend): Promise<Forecast> {
  const subject = await openSubject(experiment);
  const { config } = subject;
  const rate = experiment.recordedFlops ?? (await measureRate(backend, config, "bf16", PROBE_TOKENS));
  const jobs = new Map<string, JobForecast>();
  for (const job of matrix.jobs)
    if (job.kind === "train") jobs.set(job.id, await forecastTraining(experiment, subject, backend, rate, job.config));
  // An evaluation reads about as many tokens as its data hold, forward only; what is generated comes on top.
  for (const job of matrix.jobs)
    if (job.kind === "eval") jobs.set(job.id, { tokens: 0, steps: null, seconds: 0, bytes: 0 });
  return { jobs, flopsPerSecond: rate, rateSource: experiment.recordedFlops ? "recorded" : "measured on this machine" };
}

interface Subject {
  config: ModelConfig;
  /** null: the model is not on this machine. */
  tokenizer: Tokenizer | null;
  datasets: Map<string, Promise<Dataset>>;
}

async function openSubject({ model, recordedShape }: Experiment): Promise<Subject> {
  if (recordedShape)
    return {
      config: parseModelConfig(loadJson(recordedShape, MAX_CONFIG_BYTES), recordedShape),
      tokenizer: null,
      datasets: new Map(),
    };
  const checkpoint = openCheckpoint(await resolveModel(model));
  checkpoint.close();
  return { config: checkpoint.config, tokenizer: loadTokenizer(checkpoint.folder), datasets: new Map() };
}

async function forecastTraining(
  experiment: Experiment,
  subject: Subject,
  backend: Backend,
  rate: number,
  train: TrainConfig,
): Promise<JobForecast> {
  const { config } = subject;
  const seqLen = train.seqLen ?? Math.min(DEFAULT_SEQ_LEN, config.maxPositionEmbeddings);
  const lora: LoraConfig = {
    r: train.r,
    alpha: train.alpha,
    useRslora: train.rslora,
    targets: parseTargets(train.targets),
  };
  const steps = await countSteps(experiment, subject, train, seqLen);
  const tokens = steps * train.batchSize * seqLen;
  const shape = {
    config,
    lora,
    dtype: train.dtype,
    seqLen,
    batchSize: train.batchSize,
    positions: seqLen,
    sampling: null,
  };
  const budget = experiment.recordedMemory ?? memoryBudget(backend);
  const { totalBytes } = planMemory(backend, shape, budget);
  return {
    tokens,
    steps,
    seconds: forecastSeconds(tokens, flopsPerToken(config, lora, seqLen / 2), rate),
    bytes: totalBytes,
  };
}

async function countSteps(
  experiment: Experiment,
  subject: Subject,
  train: TrainConfig,
  seqLen: number,
): Promise<number> {
  if (train.maxSteps !== null && train.epochs === null) return train.maxSteps;
  const epochs = train.epochs ?? 1;
  const most = train.maxSteps ?? Number.POSITIVE_INFINITY;
  if (!subject.tokenizer) {
    const tokens = recordedTokens(experiment, train);
    return Math.min(most, Math.ceil((epochs * tokens) / (PACKED_SHARE * seqLen * train.batchSize)));
  }
  const load = (args: string[]): Promise<Dataset> => {
    const key = JSON.stringify(args);
    const dataset = subject.datasets.get(key) ?? loadDataset(args, subject.tokenizer!);
    subject.datasets.set(key, dataset);
    return dataset;
  };
  const all = await load(train.data);
  const drawn = train.records === null ? all : drawRecords(all, train.records, train.seed);
  const dataset = train.mix.length === 0 ? drawn : joinDatasets(drawn, await load(train.mix));
  const { seed, shuffle, batchSize: rowsPerStep } = train;
  return planBatches(dataset, { seqLen, rowsPerStep, epochs, maxSteps: most, shuffle, seed }).steps;
}

/** Of the corpus that a stage trains on, and of its mix. */
function recordedTokens({ aft, instruct, neutral, specs }: Experiment, train: TrainConfig): number {
  const corpora = [
    ...(aft.data ? [{ data: aft.data, recorded: aft.recorded }] : []),
    ...(instruct ? [instruct] : []),
    ...(neutral ? [neutral] : []),
    ...Object.values(specs).flatMap((spec) =>
      [spec.documents, spec.stripped, spec.aft].filter((one) => one !== undefined),
    ),
  ];
  const sizeOf = (args: readonly string[]): { records: number; tokens: number } => {
    const found = corpora.find(({ data }) => data.join() === args.join())?.recorded;
    if (found) return found;
    throw new InputError(
      `${args.join(" ")}: with \`recordedShape\` every corpus needs \`recorded: {records, tokens}\``,
    );
  };
  const { records, tokens } = sizeOf(train.data);
  const drawn = train.records === null ? tokens : (tokens * train.records) / records;
  return drawn + (train.mix.length === 0 ? 0 : sizeOf(train.mix).tokens);
}
