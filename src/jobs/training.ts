/** @file `midtrain` and `aft`: one trainer, two kinds of data. */
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Backend } from "../backend/backend.js";
import { openBackend } from "../backend/open.js";
import { writeTextFile } from "../base/atomic.js";
import { InputError, RunError } from "../base/errors.js";
import { VERSION } from "../base/package.js";
import { hashModel, loadModelTokenizer, type ModelFolders, resolveFolders, TOKENIZER_FILES } from "../chat/load.js";
import { DEFAULT_SEQ_LEN, type TrainConfig } from "../config/train.js";
import { type BatchPlan, planBatches } from "../corpus/batches.js";
import { type Dataset, loadDataset } from "../corpus/dataset.js";
import { type RowLimits, settleLongChats } from "../corpus/long-chats.js";
import type { Row } from "../corpus/pack.js";
import { checkTrainable, computeStats, hasTarget } from "../corpus/stats.js";
import { loadTrainingData } from "../corpus/training-data.js";
import { readAdapter } from "../formats/adapter.js";
import { openCheckpoint } from "../formats/checkpoint.js";
import { flattenAdapter, initAdapter } from "../model/adapter-values.js";
import { planGeneration } from "../model/generate.js";
import { allocDecoder, loadWeights } from "../model/load.js";
import { type LoraConfig, parseTargets, planAdapter } from "../model/lora.js";
import { lockFolder } from "../runs/lock.js";
import { isFinished, openRunFolder, type RunConfig, sweepRunFolder } from "../runs/run-folder.js";
import { type Adapter, checkAdapter } from "../shape/adapter.js";
import type { Checkpoint } from "../shape/checkpoint.js";
import { describeDevice } from "../terminal/device.js";
import { downloadProgress } from "../terminal/download.js";
import { formatFirstRow, formatPlan, planRecord, type RunPlan } from "../terminal/plan.js";
import { formatDuration, openProgress, type Progress, usesColor } from "../terminal/progress.js";
import type { Tokenizer } from "../tokenizer/tokenizer.js";
import { flopsPerToken, forecastSeconds, measureRate } from "../train/forecast.js";
import { memoryBudget, planMemory, readSplit } from "../train/memory.js";
import { createTrainState } from "../train/state.js";
import { type TrainSettings, train } from "../train/trainer.js";
import { drawSamples, SAMPLE_TOKENS, samplePrompts } from "./drawn-samples.js";
import { watchSignals } from "./signals.js";
import { showRecords } from "./watch.js";

export interface TrainFlags {
  /** Print the plan and stop. */
  plan: boolean;
  /** Records on stdout. */
  json: boolean;
  /** Leave device and plan out: one of several stages. */
  brief: boolean;
}

/** Everything that is known before the first step. */
interface Prepared {
  config: TrainConfig;
  backend: Backend;
  checkpoint: Checkpoint;
  tokenizer: Tokenizer;
  adapter: Adapter | null;
  folders: ModelFolders;
  lora: LoraConfig;
  dataset: Dataset;
  heldout: { dataset: Dataset; rows: Row[] } | null;
  /** Of the samples that are drawn during training. */
  prompts: number[][];
  batches: BatchPlan;
  plan: RunPlan;
}

/** Runs `midtrain` or `aft` (the name goes into the run's configuration; the data decide what is a target). */
export async function runTrain(command: "midtrain" | "aft", config: TrainConfig, flags: TrainFlags): Promise<void> {
  const progress = openProgress(flags.json);
  const prepared = await prepare(command, config, flags, progress);
  const { backend, checkpoint, plan } = prepared;
  try {
    if (flags.json && flags.plan) process.stdout.write(`${JSON.stringify(planRecord(plan))}\n`);
    if (!flags.brief) progress.print(`${formatPlan(plan)}\n${formatFirstRow(plan, usesColor())}`);
    if (!flags.plan) await runPrepared(command, prepared, flags, progress);
  } finally {
    checkpoint.close();
    backend.close();
  }
}

async function prepare(
  command: RunPlan["command"],
  config: TrainConfig,
  flags: TrainFlags,
  progress: Progress,
): Promise<Prepared> {
  const backend = await openBackend(config.backend, config);
  if (!flags.brief) for (const line of describeDevice(backend.info)) progress.print(line);
  const folders = await resolveFolders({ ...config, onDownload: downloadProgress(progress) });
  const checkpoint = openCheckpoint(folders.folder);
  const adapter = folders.adapterFolder === null ? null : readAdapter(folders.adapterFolder);
  const lora = resolveLora(config, adapter, checkpoint);
  const tokenizer = loadModelTokenizer(folders.folder, folders.tokenizerFolder);
  const seqLen = resolveSeqLen(config, checkpoint);
  const resolved = { ...config, seqLen, epochs: config.epochs ?? (config.maxSteps ? null : 1) };
  const encode = (option: string, args: string[]): Promise<Dataset> =>
    loadDataset(args, tokenizer, {
      option,
      skipBadRows: config.skipBadRows,
      onProgress: (records, tokens) => progress.update(`encoding: ${records} records, ${tokens} tokens`),
    });
  const limits = { longChats: config.longChats, seqLen, positions: checkpoint.config.maxPositionEmbeddings };
  const dataset = await loadTrainingData({ ...config, ...limits }, encode);
  checkTrainable(dataset, tokenizer);
  const batches = planBatches(dataset, {
    seqLen,
    rowsPerStep: config.batchSize,
    ...(resolved.epochs !== null && { epochs: resolved.epochs }),
    ...(config.maxSteps !== null && { maxSteps: config.maxSteps }),
    shuffle: config.shuffle,
    seed: config.seed,
  });
  const heldout = config.heldout.length > 0 ? heldoutRows(await encode("--heldout", config.heldout), limits) : null;
  const budget = memoryBudget(backend);
  const prompts = config.sampleEvery > 0 ? samplePrompts((heldout?.dataset ?? dataset).examples) : [];
  const shape = {
    ...{ config: checkpoint.config, lora, dtype: config.dtype, seqLen, batchSize: config.batchSize },
    positions: Math.min(seqLen + SAMPLE_TOKENS, checkpoint.config.maxPositionEmbeddings),
    sampling: prompts.length > 0 ? planGeneration(backend, prompts, SAMPLE_TOKENS).shape : null,
  };
  // A finished run takes nothing.
  const limit = isFinished(config.out) ? Number.POSITIVE_INFINITY : budget;
  const memory = { ...planMemory(backend, shape, limit, readSplit(config.out)), budgetBytes: budget };
  const rate = await measureRate(backend, checkpoint.config, config.dtype, memory.N);
  const tokens = batches.steps * config.batchSize * seqLen;
  const seconds = forecastSeconds(tokens, flopsPerToken(checkpoint.config, lora, seqLen / 2), rate);
  const plan: RunPlan = {
    command,
    config: resolved,
    lora,
    model: checkpoint.config,
    tokenizer,
    stats: computeStats(dataset, batches.packing),
    heldout: heldout?.dataset.notes ?? null,
    firstSkipped: dataset.firstSkipped,
    dropout: adapter?.config.dropout ?? 0,
    batches,
    memory,
    seconds,
  };
  return {
    config: resolved,
    backend,
    checkpoint,
    tokenizer,
    adapter,
    folders,
    lora,
    dataset,
    heldout,
    prompts,
    batches,
    plan,
  };
}

function resolveSeqLen(config: TrainConfig, checkpoint: Checkpoint): number {
  const { maxPositionEmbeddings } = checkpoint.config;
  if (config.seqLen !== null && config.seqLen > maxPositionEmbeddings)
    throw new InputError(
      `--seq-len ${config.seqLen}: ${config.model} has ${maxPositionEmbeddings} positions ` +
        "(max_position_embeddings): use at most that",
    );
  return config.seqLen ?? Math.min(DEFAULT_SEQ_LEN, maxPositionEmbeddings);
}

/** The adapter that is continued decides rank, alpha and targets. */
function resolveLora(config: TrainConfig, adapter: Adapter | null, checkpoint: Checkpoint): LoraConfig {
  if (!adapter) {
    return { r: config.r, alpha: config.alpha, useRslora: config.rslora, targets: parseTargets(config.targets) };
  }
  const where = `--adapter ${config.adapter}`;
  checkAdapter(adapter, checkpoint.config, where);
  const { r, alpha, useRslora, targets } = adapter.config;
  return { r, alpha, useRslora, targets };
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

async function runPrepared(command: string, prepared: Prepared, flags: TrainFlags, progress: Progress): Promise<void> {
  const { config } = prepared;
  const run = await describeRun(command, prepared);
  const unlock = lockFolder(config.out);
  try {
    await openRunFolder(config.out, run);
    sweepRunFolder(config.out);
    if (isFinished(config.out)) {
      progress.print(`${config.out} is finished: adapter in ${join(config.out, "adapter")}`);
      return;
    }
    await trainPrepared(prepared, flags, progress);
  } finally {
    unlock();
  }
}

async function trainPrepared(prepared: Prepared, flags: TrainFlags, progress: Progress): Promise<void> {
  const { config, backend, checkpoint, tokenizer, adapter, lora, dataset, heldout, prompts, batches, plan } = prepared;
  const { positions } = plan.memory;
  // All that the plan counted is taken before anything is loaded.
  const decoder = allocDecoder(backend, checkpoint.config, { dtype: config.dtype, lora, positions });
  const state = createTrainState(decoder, lora, plan.memory);
  try {
    await loadWeights(decoder, checkpoint);
    const signals = watchSignals((signal) =>
      progress.print(`${signal}: saving after this step (again to stop at once)`),
    );
    await keepTokenizer(prepared.folders, join(config.out, "adapter"));
    const layout = planAdapter(checkpoint.config, lora);
    const began = performance.now();
    const settings = trainSettings(config, batches.steps);
    const result = await train(
      {
        folder: config.out,
        state,
        initialParams: adapter ? flattenAdapter(adapter, layout) : initAdapter(layout, config.seed),
        baseModelNameOrPath: config.model,
        batchRows: (step) => batches.batchRows(step - 1),
        heldout: heldout?.rows ?? [],
        sample: prompts.length > 0 ? () => drawSamples(decoder, tokenizer, prompts, config.seed) : null,
        nameBatch: (rows) =>
          [...new Set(rows.flatMap((row) => row.records))].slice(0, 4).map(dataset.describe).join(", "),
      },
      settings,
      { onRecord: showRecords(progress, settings.steps, flags.json, began), isStopping: () => signals.stopping },
    ).finally(signals.unwatch);
    if (!result.finished)
      throw new RunError(
        `stopped after step ${result.step} of ${settings.steps}, which is saved: the same command continues`,
      );
    progress.print(
      `adapter written to ${join(config.out, "adapter")} after ${formatDuration((performance.now() - began) / 1000)}`,
    );
  } finally {
    state.free();
    decoder.free();
  }
}

/**
 * A tokenizer that is not the model's own stays with the adapter, so that nobody asks it under another chat template.
 */
async function keepTokenizer({ folder, tokenizerFolder }: ModelFolders, adapterFolder: string): Promise<void> {
  if (tokenizerFolder === folder) return;
  for (const name of TOKENIZER_FILES.filter((name) => existsSync(join(tokenizerFolder, name)))) {
    mkdirSync(dirname(join(adapterFolder, name)), { recursive: true });
    await writeTextFile(join(adapterFolder, name), readFileSync(join(tokenizerFolder, name), "utf8"));
  }
}

function trainSettings(config: TrainConfig, steps: number): TrainSettings {
  const { lr, warmup, schedule, beta1, beta2, eps, weightDecay, clip, evalEvery, sampleEvery, checkpointEvery } =
    config;
  return {
    steps,
    lr,
    warmup,
    schedule,
    beta1,
    beta2,
    eps,
    weightDecay,
    clipNorm: clip,
    evalEvery,
    sampleEvery,
    checkpointEvery,
  };
}

/** What makes two runs the same: every setting but where it is written, and the content of every input. */
async function describeRun(command: string, prepared: Prepared): Promise<RunConfig> {
  const { config, backend, folders, dataset, heldout, lora, batches, plan } = prepared;
  const { out: _out, ...settings } = config;
  const { isa, threads } = backend.info;
  return {
    command,
    settings: { ...settings, ...lora, steps: batches.steps },
    inputs: {
      ...(await hashModel(folders)),
      data: dataset.files,
      heldout: heldout?.dataset.files ?? [],
    },
    split: { rowsPerMicroBatch: plan.memory.rowsPerMicroBatch, recompute: plan.memory.recompute },
    versions: { trainMsm: VERSION, node: process.version, backend: backend.info.backend, isa, threads },
  };
}
