/** @file What an experiment will take, before any of it runs: tokens, optimiser steps, memory and time of every job. */
import type { Backend } from "../../backend/backend.js";
import { InputError, placeError } from "../../base/errors.js";
import { loadJson } from "../../base/json.js";
import { loadModelTokenizer, resolveFolders } from "../../chat/load.js";
import type { EvalConfig } from "../../config/inference.js";
import type { TrainConfig } from "../../config/train.js";
import { type Dataset, loadDataset } from "../../corpus/dataset.js";
import { CHARACTERS_A_TOKEN } from "../../endpoint/cost.js";
import { loadSystem } from "../../eval/system.js";
import { readAdapter } from "../../formats/adapter.js";
import { openCheckpoint } from "../../formats/checkpoint.js";
import { parseModelConfig } from "../../formats/model-config.js";
import type { LoraConfig } from "../../model/lora.js";
import { type Adapter, checkAdapter } from "../../shape/adapter.js";
import type { ModelConfig } from "../../shape/config.js";
import type { Tokenizer } from "../../tokenizer/tokenizer.js";
import { measureRates, recordedRates } from "../../train/forecast.js";
import { memoryBudget, planMemory } from "../../train/memory.js";
import {
  forecastSteps,
  planTraining,
  type ResolvedConfig,
  resolveConfig,
  resolveLora,
  runShape,
} from "../../train/plan.js";
import { checkRates } from "../../train/schedule.js";
import type { Experiment } from "../file.js";
import type { Matrix } from "../matrix.js";
import { evaluationBytes, evaluationSeconds, isEndpoint, planEvaluation } from "./evaluation.js";
import { checkAskedTokens } from "./tokens.js";
import { type Asking, type EvaluationWork, toldAsking } from "./work.js";

/** Rows that are filled, of records of usual lengths: for sizes that were recorded, not packed. */
const PACKED_SHARE = 0.97;
const PROBE_TOKENS = 1024;
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
  const subjects = openSubjects(experiment);
  const plainSubject = await subjects(null);
  const config = plainSubject.model;
  const { recordedRate: recorded } = experiment;
  const rates = recorded
    ? recordedRates(recorded.flops, recorded.bytesPerSecond)
    : await measureRates(backend, config, PROBE_TOKENS);
  const jobs = new Map<string, JobForecast>();
  const trained = new Map<string, Trained>();
  for (const job of matrix.jobs) {
    if (job.kind !== "train") continue;
    const parent = trained.get(job.needs[0] ?? "");
    const root = parent ? parent.root : job.config.adapter;
    const subject = await subjects(root);
    const lora = parent?.lora ?? resolveLora(job.config, subject.adapter, subject.model);
    trained.set(job.id, { root, lora });
    const own = forecastTraining(experiment, { ...subject, lora }, backend, rates.many, job.config);
    const placed = own.catch((error: unknown) => Promise.reject(placeError(job.label, error)));
    jobs.set(job.id, await placed);
  }
  for (const evaluation of experiment.evaluations) {
    const own = new Set(matrix.cells.flatMap((cell) => (cell.evaluation === evaluation.name ? [cell.job] : [])));
    const { tokenizer, model } = plainSubject;
    const plain = await planEvaluation(evaluation, !experiment.recordedShape, tokenizer && { tokenizer, model });
    const { sequences } = backend.limits;
    for (const { id, needs, config: asked } of matrix.jobs.filter((job) => job.kind === "eval" && own.has(job.id))) {
      const work = toldWork(plain, asked as EvalConfig, plainSubject);
      const lora = trained.get(needs[0] ?? "")?.lora ?? (await subjects(asked.adapter)).adapter?.config ?? null;
      const seconds = await evaluationSeconds(work, evaluation.settings, config, rates, sequences);
      const bytes = evaluationBytes(work, evaluation.settings, backend, config, lora);
      jobs.set(id, { tokens: localTokens(work, evaluation.settings), steps: null, seconds, bytes, work });
    }
  }
  return { jobs, flopsPerSecond: rates.many, rateSource: recorded ? "recorded" : "measured on this machine" };
}

/** Of a stage that others go on from: the adapter that its chain began with, and the shape of its own. */
interface Trained {
  root: string | null;
  lora: LoraConfig;
}

/** `work` with the job's system message. Throws InputError where the model has no room for it. */
function toldWork(work: EvaluationWork, { system }: EvalConfig, subject: Subject): EvaluationWork {
  if (system === null) return work;
  const { tokenizer } = subject;
  const text = loadSystem(system);
  if (tokenizer) checkAskedTokens({}, text, system, { tokenizer, model: subject.model });
  const tokens = tokenizer ? tokenizer.encode(text).length : Math.ceil(text.length / CHARACTERS_A_TOKEN);
  const model = toldAsking(work.model, tokens);
  const positions = subject.model.maxPositionEmbeddings;
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

/** What a chain of stages begins with. */
interface Subject {
  model: ModelConfig;
  /** null: the model is not on this machine. */
  tokenizer: Tokenizer | null;
  adapter: Adapter | null;
  /** The data of an option, read once for all stages. */
  load: (option: string, args: string[], skipBadRows: boolean) => Promise<Dataset>;
}

/** The subject of chains that begin with an adapter, or (null) with the model as it is; each is opened once. */
function openSubjects(experiment: Experiment): (adapter: string | null) => Promise<Subject> {
  const subjects = new Map<string | null, Promise<Subject>>();
  return (adapter) => {
    const subject = subjects.get(adapter) ?? openSubject(experiment, adapter);
    subjects.set(adapter, subject);
    return subject;
  };
}

async function openSubject({ model, tokenizer, recordedShape }: Experiment, adapter: string | null): Promise<Subject> {
  if (recordedShape) {
    const config = parseModelConfig(loadJson(recordedShape, MAX_CONFIG_BYTES), recordedShape);
    const load = (): never => {
      throw new InputError("with `recordedShape` no data are read");
    };
    return { model: config, tokenizer: null, adapter: null, load };
  }
  const folders = await resolveFolders({ model, adapter, tokenizer });
  const checkpoint = openCheckpoint(folders.folder);
  checkpoint.close();
  const own = loadModelTokenizer(folders.folder, folders.tokenizerFolder);
  const datasets = new Map<string, Promise<Dataset>>();
  const load: Subject["load"] = (option, args, skipBadRows) => {
    const key = JSON.stringify([args, skipBadRows]);
    const dataset = datasets.get(key) ?? loadDataset(args, own, { option, skipBadRows });
    datasets.set(key, dataset);
    return dataset;
  };
  const begun = folders.adapterFolder === null ? null : readAdapter(folders.adapterFolder);
  if (begun) checkAdapter(begun, checkpoint.config, `--adapter ${adapter}`);
  return { model: checkpoint.config, tokenizer: own, adapter: begun, load };
}

async function forecastTraining(
  experiment: Experiment,
  { model, tokenizer, lora, load }: Subject & { lora: LoraConfig },
  backend: Backend,
  rate: number,
  train: TrainConfig,
): Promise<JobForecast> {
  const read = (option: string, args: string[]): Promise<Dataset> => load(option, args, train.skipBadRows);
  const plan = tokenizer && (await planTraining(train, { model, tokenizer, lora }, read));
  const known = plan ?? { config: resolveConfig(train, model), model, lora, prompts: [] };
  const steps = plan?.batches.steps ?? countRecordedSteps(experiment, known.config);
  checkRates(known.config, steps);
  const budget = experiment.recordedMemory ?? memoryBudget(backend);
  const { totalBytes } = planMemory(backend, runShape(backend, known), budget);
  return { ...forecastSteps(steps, known, rate), steps, bytes: totalBytes, work: null };
}

/** Steps over sizes that were recorded, not packed. */
function countRecordedSteps(experiment: Experiment, train: ResolvedConfig): number {
  const most = train.maxSteps ?? Number.POSITIVE_INFINITY;
  if (train.epochs === null) return most;
  const tokens = recordedTokens(experiment, train);
  return Math.min(most, Math.ceil((train.epochs * tokens) / (PACKED_SHARE * train.seqLen * train.batchSize)));
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
