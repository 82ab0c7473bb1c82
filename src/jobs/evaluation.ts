/** @file One evaluation in a folder of its own: done once, found finished after that. */
import { join } from "node:path";
import type { Backend } from "../backend/backend.js";
import { openBackend } from "../backend/open.js";
import { hashFile } from "../base/hash.js";
import { VERSION } from "../base/package.js";
import { hashModel, type ResidentModel, residentModel, resolveFolders } from "../chat/load.js";
import { decidingSettings } from "../config/identity.js";
import { DEFAULT_ASK, type EvalConfig } from "../config/inference.js";
import type { Computing } from "../config/model.js";
import { openAnswers } from "../eval/asking/answers.js";
import { drawsOf } from "../eval/asking/settings.js";
import { evaluate } from "../eval/evaluate.js";
import { isJudged } from "../eval/judge/judged-task.js";
import { describeJudgeInputs, openJudge } from "../eval/judge/open.js";
import { evaluateOnce, writeEvaluation } from "../eval/run-folder.js";
import { loadControl, loadSamples, type TaskData } from "../eval/samples.js";
import { loadSystem } from "../eval/system.js";
import type { Json, Task } from "../eval/task.js";
import { checkTaskSettings } from "../eval/task-settings.js";
import { taskByName } from "../eval/tasks/by-name.js";
import type { RunConfig } from "../runs/run-folder.js";
import { describeDevice } from "../terminal/device.js";
import { downloadProgress } from "../terminal/download.js";
import { countProgress, type Progress } from "../terminal/progress.js";

/** What evaluations of one process share: the backend, and the model that the one before asked. */
export interface Workplace {
  /** Opens the backend at the first call. */
  open(computing: Computing, progress: Progress): Promise<{ backend: Backend; model: ResidentModel }>;
  close(): void;
}

export function openWorkplace(): Workplace {
  let opened: { backend: Backend; model: ResidentModel } | null = null;
  return {
    open: async (computing, progress) => {
      if (opened === null) {
        const backend = await openBackend(computing.backend, computing);
        for (const line of describeDevice(backend.info)) progress.print(line);
        opened = { backend, model: residentModel(backend) };
      }
      return opened;
    },
    close: () => {
      opened?.backend.close();
      opened = null;
    },
  };
}

/**
 * Evaluates into `config.out`, or finds that done; returns what results.json holds. A `workplace` that is given stays
 * open.
 */
export async function evaluateInto(config: EvalConfig, progress: Progress, workplace?: Workplace): Promise<Json> {
  const task = taskByName(config.task);
  checkTaskSettings(task, config);
  const data = await loadSamples(task, config.data, config.limit, config);
  const control = await loadControl(task, config);
  const system = config.system === null ? null : loadSystem(config.system);
  const run = await describeRun(config, task, { data, control }, progress);
  const onFound = (): void => progress.print(`${config.out} is finished`);
  return evaluateOnce(config.out, run, onFound, async () => {
    const own = workplace ?? openWorkplace();
    try {
      return await measure(config, task, { data, control, system }, run, progress, own);
    } finally {
      if (!workplace) own.close();
    }
  });
}

/** What is asked; control questions where the task has some. */
interface Questions {
  data: TaskData;
  control: TaskData | null;
  /** Put before each of them. */
  system: string | null;
}

async function measure(
  config: EvalConfig,
  task: Task,
  { data, control, system }: Questions,
  run: RunConfig,
  progress: Progress,
  workplace: Workplace,
): Promise<Json> {
  const { backend, model: resident } = await workplace.open(config, progress);
  const { backend: name, isa, threads } = backend.info;
  const versions = { ...run.versions, backend: name, isa, threads };
  const model = await resident.load(config);
  const { dtype } = config;
  const judge = isJudged(task)
    ? await openJudge(config, { backend, dtype, model: config.model, loaded: model, print: progress.print })
    : null;
  try {
    // Judges and data files may change; what the same model answers to the same prompt stays.
    const { judge: _judge, judgeUrl: _url, ...drawn } = run.settings;
    const { data: _data, judge: _hash, ...inputs } = run.inputs;
    const answers = openAnswers(join(config.out, "answers"), [drawn, inputs, name, isa]);
    const evaluation = await evaluate(task, data.samples, {
      ...model,
      settings: config,
      system,
      ...(control && { control: control.samples }),
      judge,
      answers,
      onProgress: countProgress(progress, task.name),
    });
    const all = await writeEvaluation(config.out, { ...run, versions }, evaluation);
    answers.clear();
    return all;
  } finally {
    judge?.close();
  }
}

/** What makes two evaluations the same: every setting that changes numbers, and the content of every input. */
async function describeRun(
  config: EvalConfig,
  task: Task,
  { data, control }: Pick<Questions, "data" | "control">,
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
