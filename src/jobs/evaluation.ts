/** @file One evaluation in a folder of its own: done once, found finished after that. */
import { join } from "node:path";
import { openBackend } from "../backend/open.js";
import { hashFile } from "../base/hash.js";
import { loadText } from "../base/json.js";
import { VERSION } from "../base/package.js";
import { hashModel, loadModel, resolveFolders } from "../chat/load.js";
import { decidingSettings } from "../config/identity.js";
import { DEFAULT_ASK, type EvalConfig } from "../config/inference.js";
import { openAnswers } from "../eval/asking/answers.js";
import { drawsOf } from "../eval/asking/settings.js";
import { evaluate } from "../eval/evaluate.js";
import { isJudged } from "../eval/judge/judged-task.js";
import { describeJudgeInputs, openJudge } from "../eval/judge/open.js";
import { evaluateOnce, writeEvaluation } from "../eval/run-folder.js";
import { loadControl, loadSamples, type TaskData } from "../eval/samples.js";
import type { Json, Task } from "../eval/task.js";
import { checkTaskSettings } from "../eval/task-settings.js";
import { taskByName } from "../eval/tasks/by-name.js";
import type { RunConfig } from "../runs/run-folder.js";
import { describeDevice } from "../terminal/device.js";
import { downloadProgress } from "../terminal/download.js";
import { countProgress, type Progress } from "../terminal/progress.js";

/** Of a text that is put before every question. */
const MAX_SYSTEM_BYTES = 1_000_000;

/** Evaluates into `config.out`, or finds that done; returns what results.json holds. */
export async function evaluateInto(config: EvalConfig, progress: Progress): Promise<Json> {
  const task = taskByName(config.task);
  checkTaskSettings(task, config);
  const data = await loadSamples(task, config.data, config.limit, config);
  const control = await loadControl(task, config);
  const run = await describeRun(config, task, { data, control }, progress);
  const onFound = (): void => progress.print(`${config.out} is finished`);
  return evaluateOnce(config.out, run, onFound, () => measure(config, task, { data, control }, run, progress));
}

/** What is asked; control questions where the task has some. */
interface Questions {
  data: TaskData;
  control: TaskData | null;
}

async function measure(
  config: EvalConfig,
  task: Task,
  { data, control }: Questions,
  run: RunConfig,
  progress: Progress,
): Promise<Json> {
  const backend = await openBackend(config.backend, config);
  try {
    for (const line of describeDevice(backend.info)) progress.print(line);
    const { backend: name, isa, threads } = backend.info;
    const versions = { ...run.versions, backend: name, isa, threads };
    const model = await loadModel(backend, config);
    const { dtype } = config;
    const judge = isJudged(task)
      ? await openJudge(config, { backend, dtype, model: config.model, loaded: model, print: progress.print })
      : null;
    // Judges and data files may change; what the same model answers to the same prompt stays.
    const { judge: _judge, judgeUrl: _url, ...drawn } = run.settings;
    const { data: _data, judge: _hash, ...inputs } = run.inputs;
    const answers = openAnswers(join(config.out, "answers"), [drawn, inputs, name, isa]);
    const evaluation = await evaluate(task, data.samples, {
      ...model,
      settings: config,
      system: config.system === null ? null : loadText(config.system, MAX_SYSTEM_BYTES).trim(),
      ...(control && { control: control.samples }),
      judge,
      answers,
      onProgress: countProgress(progress, task.name),
    });
    judge?.close();
    model.free();
    const all = await writeEvaluation(config.out, { ...run, versions }, evaluation);
    answers.clear();
    return all;
  } finally {
    backend.close();
  }
}

/** What makes two evaluations the same: every setting that changes numbers, and the content of every input. */
async function describeRun(
  config: EvalConfig,
  task: Task,
  { data, control }: Questions,
  progress: Progress,
): Promise<RunConfig> {
  const onDownload = downloadProgress(progress);
  const folders = await resolveFolders({ ...config, onDownload });
  const { model, adapter, tokenizer } = config;
  const {
    samples,
    temperature,
    maxTokens,
    thinking,
    cells,
    kinds,
    suite,
    actions,
    judge: _judge,
    ask,
    ...shared
  } = decidingSettings(config);
  const draws = drawsOf(task, config)
    ? { samples, temperature, maxTokens, thinking, cells, kinds, suite, actions }
    : {};
  const judge = isJudged(task) ? await describeJudgeInputs(config.judge, onDownload) : null;
  const asked = {
    ...(config.system !== null && { system: await hashFile(config.system) }),
    ...(control && { control: control.files }),
  };
  return {
    command: "eval",
    settings: {
      version: task.version,
      model,
      adapter,
      tokenizer,
      ...shared,
      ...draws,
      ...(task.asks && { ask: ask ?? DEFAULT_ASK }),
      ...(config.system !== null && { system: config.system }),
      ...judge?.settings,
    },
    inputs: { ...(await hashModel(folders)), data: data.files, ...asked, ...judge?.inputs },
    versions: { trainMsm: VERSION, node: process.version },
  };
}
