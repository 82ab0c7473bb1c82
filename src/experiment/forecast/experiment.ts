/** @file What an experiment will take, before any of it runs: tokens, optimiser steps, memory and time of every job. */
import type { Backend } from "../../backend/backend.js";
import { InputError } from "../../base/errors.js";
import { loadJson, loadText } from "../../base/json.js";
import type { EvalConfig } from "../../config/inference.js";
import { DEFAULT_SEQ_LEN, type TrainConfig } from "../../config/train.js";
import { planBatches } from "../../corpus/batches.js";
import { type Dataset, loadDataset } from "../../corpus/dataset.js";
import { loadTrainingData } from "../../corpus/training-data.js";
import { CHARACTERS_A_TOKEN } from "../../endpoint/cost.js";
import { openCheckpoint } from "../../formats/checkpoint.js";
import { resolveModel } from "../../formats/hub/hub.js";
import { parseModelConfig } from "../../formats/model-config.js";
import { type LoraConfig, parseTargets } from "../../model/lora.js";
import type { ModelConfig } from "../../shape/config.js";
import { loadTokenizer, type Tokenizer } from "../../tokenizer/tokenizer.js";
import { flopsPerToken, forecastSeconds, measureRates, recordedRates } from "../../train/forecast.js";
import { memoryBudget, planMemory } from "../../train/memory.js";
import type { Experiment } from "../file.js";
import type { Matrix } from "../matrix.js";
import { evaluationBytes, evaluationSeconds, isEndpoint, planEvaluation } from "./evaluation.js";
import { type Asking, type EvaluationWork, toldAsking } from "./work.js";

/** Rows that are filled, of records of usual lengths: for sizes that were recorded, not packed. */
const PACKED_SHARE = 0.97;
const PROBE_TOKENS = 1024;
const MAX_SYSTEM_BYTES = 1_000_000;
const MAX_CONFIG_BYTES = 1_000_000;

export interface JobForecast {
  /** Trained on; of an evaluation, read and drawn at most, its local judge's included. */
  tokens: number;
  /** null: an evaluation. */
  steps: number | null;
  seconds: number;
  bytes: number;
  /** null: a training. */
  work: EvaluationWork | null;
}

export interface Forecast {
  jobs: Map<string, JobForecast>;
  /** "measured on this machine" or "recorded". */
  rateSource: string;
  flopsPerSecond: number;
}

/**
 * Forecasts every job. Data are read and packed as training will; `recorded` sizes stand in for what is not on this
 * machine.
 */
export async function forecastJobs(experiment: Experiment, matrix: Matrix, backend: Backend): Promise<Forecast> {
  const subject = await openSubject(experiment);
  const { config } = subject;
  const { recordedRate: recorded } = experiment;
  const rates = recorded
    ? recordedRates(recorded.flops, recorded.bytesPerSecond)
    : await measureRates(backend, config, PROBE_TOKENS);
  const rate = rates.many;
  const jobs = new Map<string, JobForecast>();
  for (const job of matrix.jobs)
    if (job.kind === "train") jobs.set(job.id, await forecastTraining(experiment, subject, backend, rate, job.config));
  for (const evaluation of experiment.evaluations) {
    const own = new Set(matrix.cells.flatMap((cell) => (cell.evaluation === evaluation.name ? [cell.job] : [])));
    const plain = await planEvaluation(evaluation, !experiment.recordedShape, subject.tokenizer);
    const { sequences } = backend.limits;
    for (const { id, needs, config: asked } of matrix.jobs.filter((job) => job.kind === "eval" && own.has(job.id))) {
      const parent = matrix.jobs.find((job) => job.id === needs[0]);
      const work = toldWork(plain, asked as EvalConfig, subject);
      const lora = parent?.kind === "train" ? loraOf(parent.config) : null;
      const seconds = await evaluationSeconds(work, evaluation.settings, config, rates, sequences);
      const bytes = evaluationBytes(work, evaluation.settings, backend, config, lora);
      jobs.set(id, { tokens: localTokens(work, evaluation.settings), steps: null, seconds, bytes, work });
    }
  }
  return { jobs, flopsPerSecond: rate, rateSource: recorded ? "recorded" : "measured on this machine" };
}

/** `work` with the job's system message. Throws InputError where the model has no room for it. */
function toldWork(work: EvaluationWork, { system }: EvalConfig, { tokenizer, config }: Subject): EvaluationWork {
  if (system === null) return work;
  const text = loadText(system, MAX_SYSTEM_BYTES);
  const tokens = tokenizer ? tokenizer.encode(text).length : Math.ceil(text.length / CHARACTERS_A_TOKEN);
  const model = toldAsking(work.model, tokens);
  const positions = config.maxPositionEmbeddings;
  if (model.longest + model.maxTokens > positions)
    throw new InputError(
      `${system}: as a system message of ${tokens} tokens it leaves too little of the model's ${positions} positions ` +
        `for questions and answers of up to ${work.model.longest + work.model.maxTokens}`,
    );
  return { ...work, model };
}

function localTokens({ model, judge }: EvaluationWork, settings: { judge: string }): number {
  const tokensOf = ({ read, responses, maxTokens }: Asking): number => read + responses * maxTokens;
  return tokensOf(model) + (judge && !isEndpoint(settings) ? tokensOf(judge) : 0);
}

function loraOf({ r, alpha, rslora, targets }: TrainConfig): LoraConfig {
  return { r, alpha, useRslora: rslora, targets: parseTargets(targets) };
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
  const lora = loraOf(train);
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
    work: null,
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
  const load = (_option: string, args: string[]): Promise<Dataset> => {
    const { skipBadRows } = train;
    const key = JSON.stringify([args, skipBadRows]);
    const dataset = subject.datasets.get(key) ?? loadDataset(args, subject.tokenizer!, { skipBadRows });
    subject.datasets.set(key, dataset);
    return dataset;
  };
  const dataset = await loadTrainingData({ ...train, seqLen, positions: subject.config.maxPositionEmbeddings }, load);
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
