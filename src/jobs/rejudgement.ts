/** @file A finished evaluation judged again: by another judge, and by the gates of this version. Nothing is drawn. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { openBackend } from "../backend/open.js";
import type { ComputeDtype } from "../backend/tensor.js";
import { InputError } from "../base/errors.js";
import { hashFile } from "../base/hash.js";
import { loadJson } from "../base/json.js";
import { VERSION } from "../base/package.js";
import type { RejudgeConfig } from "../config/inference.js";
import { readRecords } from "../corpus/files.js";
import { agreementOf, isJudged, type JudgedSample, type JudgedTask, judgeAnswers } from "../eval/judge/judged-task.js";
import { describeJudgeInputs, openJudge } from "../eval/judge/open.js";
import { evaluateOnce, writeEvaluation } from "../eval/run-folder.js";
import type { Json } from "../eval/task.js";
import { taskByName } from "../eval/tasks/by-name.js";
import type { RunConfig } from "../runs/run-folder.js";
import { downloadProgress } from "../terminal/download.js";
import { countProgress, type Progress } from "../terminal/progress.js";

const MAX_RESULTS_BYTES = 100_000_000;

/** Judges the answers of `config.run` into `config.out`, or finds that done; returns what results.json holds. */
export async function rejudgeInto(config: RejudgeConfig, progress: Progress): Promise<Json> {
  const { previous, task, samples } = await loadRun(config.run);
  const onDownload = downloadProgress(progress);
  const described = await describeJudgeInputs(config.judge, onDownload);
  const { judge: _judge, judgeUrl: _url, ...settings } = previous.settings;
  const path = join(config.run, "samples.jsonl");
  const run: RunConfig = {
    command: "eval",
    settings: { ...settings, version: task.version, ...described.settings },
    inputs: { ...previous.inputs, ...described.inputs, answers: { path, sha256: await hashFile(path) } },
    versions: { ...previous.versions, rejudgedBy: VERSION },
  };
  const onFound = (): void => progress.print(`${config.out} is finished`);
  return evaluateOnce(config.out, run, onFound, () => judgeAgain(config, { previous, task, samples }, run, progress));
}

async function judgeAgain(
  config: RejudgeConfig,
  { previous, task, samples }: FinishedRun,
  run: RunConfig,
  progress: Progress,
): Promise<Json> {
  const backend = await openBackend(config.backend);
  try {
    const dtype = previous.settings["dtype"] as ComputeDtype;
    const model = String(previous.settings["model"]);
    const onDownload = downloadProgress(progress);
    const judge = await openJudge(config, { backend, dtype, model, print: progress.print, onDownload });
    const onProgress = countProgress(progress, task.name);
    const agreement = await agreementOf(task, judge, onProgress);
    const evaluation = await judgeAnswers(task, samples, judge, agreement, onProgress);
    judge?.close();
    return await writeEvaluation(config.out, run, evaluation);
  } finally {
    backend.close();
  }
}

interface FinishedRun {
  previous: Pick<RunConfig, "settings" | "inputs" | "versions">;
  task: JudgedTask;
  samples: JudgedSample[];
}

/** A finished evaluation of a judged task, with its answers. Throws InputError that says what is missing. */
async function loadRun(folder: string): Promise<FinishedRun> {
  const [results, path] = [join(folder, "results.json"), join(folder, "samples.jsonl")];
  if (!existsSync(results) || !existsSync(path))
    throw new InputError(`${folder}: is no finished evaluation (results.json and samples.jsonl)`);
  const previous = loadJson(results, MAX_RESULTS_BYTES) as FinishedRun["previous"] & { task: unknown };
  const task = taskByName(String(previous.task));
  if (!isJudged(task)) throw new InputError(`${folder}: --task ${task.name} has no judge`);
  const samples: JudgedSample[] = [];
  for await (const { value, where: line } of readRecords(path)) {
    const { where, record, answer } = value as { where: string; record: unknown; answer?: unknown };
    if (answer === undefined) throw new InputError(`${line}: has no answer`);
    samples.push({ sample: task.parse(record, line), where, record, answer });
  }
  return { previous, task, samples };
}
