/** @file One evaluation in a folder of its own: done once, found finished after that. */
import { openBackend } from "../backend/open.js";
import type { EvalConfig } from "../config/inference.js";
import { evaluate } from "../eval/evaluate.js";
import { hashModel, loadModel, resolveFolders } from "../eval/load-model.js";
import { finishedEvaluation, writeEvaluation } from "../eval/run-folder.js";
import { loadSamples, type TaskData } from "../eval/samples.js";
import type { Json, Task } from "../eval/task.js";
import { taskByName } from "../eval/tasks.js";
import { describeDevice } from "../report/device.js";
import { downloadProgress } from "../report/download.js";
import { formatDuration, type Progress } from "../report/progress.js";
import type { RunConfig } from "../train/run-folder.js";
import { VERSION } from "../version.js";

/** Evaluates into `config.out`, or finds that done; returns what results.json holds. */
export async function evaluateInto(config: EvalConfig, progress: Progress): Promise<Json> {
  const task = taskByName(config.task);
  const data = await loadSamples(task, config.data, config.limit);
  const run = await describeRun(config, task, data, progress);
  const finished = finishedEvaluation(config.out, run);
  if (finished) progress.print(`${config.out} is finished`);
  return finished ?? (await measure(config, task, data, run, progress));
}

async function measure(
  config: EvalConfig,
  task: Task,
  data: TaskData,
  run: RunConfig,
  progress: Progress,
): Promise<Json> {
  const backend = openBackend(config.backend);
  try {
    for (const line of describeDevice(backend.info)) progress.print(line);
    const { backend: name, isa, threads, onednn } = backend.info;
    const versions = { ...run.versions, backend: name, isa, threads, onednn };
    const model = await loadModel(backend, config);
    const began = performance.now();
    const evaluation = await evaluate(task, data.samples, {
      ...model,
      settings: config,
      onProgress: (done, total) => progress.update(progressLine(task.name, began, done, total), done === total),
    });
    model.free();
    return await writeEvaluation(config.out, { ...run, versions }, evaluation);
  } finally {
    backend.close();
  }
}

function progressLine(name: string, began: number, done: number, total: number): string {
  const perItem = (performance.now() - began) / 1000 / done;
  return `${name}: ${done}/${total}  ${(1 / perItem).toFixed(1)}/s  ETA ${formatDuration(perItem * (total - done))}`;
}

/** What makes two evaluations the same: every setting that changes numbers, and the content of every input. */
async function describeRun(config: EvalConfig, task: Task, data: TaskData, progress: Progress): Promise<RunConfig> {
  const { folder, adapterFolder } = await resolveFolders({ ...config, onDownload: downloadProgress(progress) });
  const { model, adapter, dtype, limit, seqLen, seed } = config;
  return {
    command: "eval",
    settings: { task: task.name, version: task.version, model, adapter, dtype, limit, seqLen, seed },
    inputs: { ...(await hashModel(folder, adapterFolder)), data: data.files },
    versions: { trainMsm: VERSION, node: process.version },
  };
}
