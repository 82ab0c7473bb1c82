/** @file `midtrain` and `aft`: one trainer, two kinds of data. */
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Backend } from "../backend/backend.js";
import { openBackend } from "../backend/open.js";
import { writeTextFile } from "../base/atomic.js";
import { RunError } from "../base/errors.js";
import { VERSION } from "../base/package.js";
import { hashModel, loadModelTokenizer, type ModelFolders, resolveFolders, TOKENIZER_FILES } from "../chat/load.js";
import type { TrainConfig } from "../config/train.js";
import { loadDataset } from "../corpus/dataset.js";
import { readAdapter } from "../formats/adapter.js";
import { openCheckpoint } from "../formats/checkpoint.js";
import { flattenAdapter, initAdapter } from "../model/adapter-values.js";
import { allocDecoder, loadWeights } from "../model/load.js";
import { planAdapter } from "../model/lora.js";
import { lockFolder } from "../runs/lock.js";
import { isFinished, openRunFolder, type RunConfig, sweepRunFolder } from "../runs/run-folder.js";
import type { Adapter } from "../shape/adapter.js";
import type { Checkpoint } from "../shape/checkpoint.js";
import { describeDevice } from "../terminal/device.js";
import { downloadProgress } from "../terminal/download.js";
import { formatFirstRow, formatPlan, planRecord } from "../terminal/plan.js";
import { formatDuration, openProgress, type Progress, usesColor } from "../terminal/progress.js";
import { drawSamples } from "../train/drawn-samples.js";
import { measureRate } from "../train/forecast.js";
import { memoryBudget, planMemory, readSplit } from "../train/memory.js";
import { forecastSteps, planTraining, type RunPlan, resolveLora, runShape } from "../train/plan.js";
import { createTrainState } from "../train/state.js";
import { type TrainSettings, train } from "../train/trainer.js";
import { watchSignals } from "./signals.js";
import { showRecords } from "./watch.js";

export interface TrainFlags {
  /** Print the plan and stop. */
  plan: boolean;
  /** Records on stdout. */
  json: boolean;
  /** Leave device and plan out: one of several stages. */
  brief: boolean;
  /** Called when the run's folder is open and known to be this run's. */
  onOpen?: () => void;
}

/** A plan with what it was made from. */
interface Prepared {
  backend: Backend;
  checkpoint: Checkpoint;
  adapter: Adapter | null;
  folders: ModelFolders;
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
  const model = checkpoint.config;
  const tokenizer = loadModelTokenizer(folders.folder, folders.tokenizerFolder);
  const subject = { model, tokenizer, lora: resolveLora(config, adapter, model) };
  const training = await planTraining(config, subject, (option, args) =>
    loadDataset(args, tokenizer, {
      option,
      skipBadRows: config.skipBadRows,
      onProgress: (records, tokens) => progress.update(`encoding: ${records} records, ${tokens} tokens`),
    }),
  );
  const budget = memoryBudget(backend);
  // A finished run takes nothing.
  const limit = isFinished(config.out) ? Number.POSITIVE_INFINITY : budget;
  const shape = runShape(backend, training);
  const memory = { ...planMemory(backend, shape, limit, readSplit(config.out)), budgetBytes: budget };
  const rate = await measureRate(backend, model, config.dtype, memory.N);
  const { seconds } = forecastSteps(training.batches.steps, training, rate);
  const plan = { ...training, command, dropout: adapter?.config.dropout ?? 0, memory, seconds };
  return { backend, checkpoint, adapter, folders, plan };
}

async function runPrepared(command: string, prepared: Prepared, flags: TrainFlags, progress: Progress): Promise<void> {
  const { config } = prepared.plan;
  const run = await describeRun(command, prepared);
  const unlock = lockFolder(config.out);
  try {
    await openRunFolder(config.out, run);
    flags.onOpen?.();
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
  const { backend, checkpoint, adapter, plan } = prepared;
  const { config, tokenizer, lora, dataset, heldout, prompts, batches } = plan;
  const { positions } = plan.memory;
  // All that the plan counted is taken before anything is loaded.
  const decoder = allocDecoder(backend, checkpoint.config, { dtype: config.dtype, lora, positions });
  const state = createTrainState(decoder, lora, plan.memory);
  try {
    await loadWeights(decoder, checkpoint);
    const signals = watchSignals((signal) =>
      progress.print(`${signal}: saving after this step (again to stop at once)`),
    );
    const layout = planAdapter(checkpoint.config, lora);
    const began = performance.now();
    const settings = trainSettings(config, batches.steps);
    const result = await train(
      {
        folder: config.out,
        state,
        initialParams: adapter ? flattenAdapter(adapter, layout) : initAdapter(layout, config.seed),
        baseModelNameOrPath: config.model,
        keepBeside: (folder) => keepTokenizer(prepared.folders, folder),
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
  const { backend, folders, plan } = prepared;
  const { config, dataset, heldout, lora, batches } = plan;
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
