/**
 * @file Responses that are there already, judged: those of a finished evaluation by another judge and by the gates of
 * this version, or those of a file. Nothing is drawn.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { openBackend } from "../backend/open.js";
import type { ComputeDtype } from "../backend/tensor.js";
import { InputError } from "../base/errors.js";
import { hashFile } from "../base/hash.js";
import { VERSION } from "../base/package.js";
import type { RejudgeConfig } from "../config/inference.js";
import { readRecords } from "../corpus/files.js";
import { agreementOf, isJudged, type JudgedSample, type JudgedTask, judgeAnswers } from "../eval/judge/judged-task.js";
import { describeJudgeInputs, isLocalJudge, openJudge } from "../eval/judge/open.js";
import { evaluateOnce, loadResults, writeEvaluation } from "../eval/run-folder.js";
import type { Json } from "../eval/task.js";
import { taskByName } from "../eval/tasks/by-name.js";
import type { RunConfig } from "../runs/run-folder.js";
import { downloadProgress } from "../terminal/download.js";
import { countProgress, type Progress } from "../terminal/progress.js";
import { loadTranscripts } from "./transcripts.js";

/** What is judged, and what its results.json says of where it comes from. */
interface Stored {
  task: JudgedTask;
  samples: JudgedSample[];
  /** The model that wrote the responses, and what it computed in; null: not known. */
  model: string | null;
  dtype: ComputeDtype;
  run: Pick<RunConfig, "settings" | "inputs" | "versions">;
  /** What each line of samples.jsonl says besides. */
  mark?: (sample: Json) => Json;
}

/** Judges the responses that `config` names into `config.out`, or finds that done; returns what results.json holds. */
export async function rejudgeInto(config: RejudgeConfig, progress: Progress): Promise<Json> {
  const stored = await loadStored(config, progress);
  const described = await describeJudgeInputs(config.judge, downloadProgress(progress));
  const run: RunConfig = {
    command: "eval",
    settings: { ...stored.run.settings, version: stored.task.version, ...described.settings },
    inputs: { ...stored.run.inputs, ...described.inputs },
    versions: stored.run.versions,
  };
  const onFound = (): void => progress.print(`${config.out} is finished`);
  return evaluateOnce(config.out, run, onFound, () => judgeStored(config, stored, run, progress));
}

async function loadStored(config: RejudgeConfig, progress: Progress): Promise<Stored> {
  const { run, responses, task, data, judge } = config;
  if ((run === null) === (responses === null))
    throw new InputError("name either the folder of a finished evaluation or --responses FILE");
  if (run !== null) {
    if (task !== null || data.length > 0)
      throw new InputError(`${task === null ? "--data" : "--task"}: only with --responses; a run has its own`);
    return loadRun(run);
  }
  if (task === null) throw new InputError("--task is missing: what do the responses answer?");
  if (judge === "base")
    throw new InputError("--judge base: nobody knows which model wrote these responses; name a judge, or none");
  return loadTranscripts({ task, data, responses: responses! }, progress);
}

/** No backend is opened for a judge that computes nothing here. */
async function judgeStored(config: RejudgeConfig, stored: Stored, run: RunConfig, progress: Progress): Promise<Json> {
  const { task, samples, model, dtype, mark } = stored;
  const backend = isLocalJudge(config.judge) ? await openBackend(config.backend, config) : null;
  try {
    const onDownload = downloadProgress(progress);
    const judge = await openJudge(config, { backend, dtype, model, print: progress.print, onDownload });
    const onProgress = countProgress(progress, task.name);
    const agreement = await agreementOf(task, judge, onProgress);
    const { results, samples: judged } = await judgeAnswers(task, samples, judge, agreement, onProgress);
    judge?.close();
    return await writeEvaluation(config.out, run, { results, samples: mark ? judged.map(mark) : judged });
  } finally {
    backend?.close();
  }
}

/** A finished evaluation of a judged task, with its answers. Throws InputError that says what is missing. */
async function loadRun(folder: string): Promise<Stored> {
  const results = join(folder, "results.json");
  const path = join(folder, "samples.jsonl");
  if (!existsSync(results) || !existsSync(path))
    throw new InputError(`${folder}: is no finished evaluation (results.json and samples.jsonl)`);
  const previous = loadResults(folder) as unknown as Stored["run"] & { task: unknown };
  const task = taskByName(String(previous.task));
  if (!isJudged(task)) throw new InputError(`${folder}: --task ${task.name} has no judge`);
  const samples: JudgedSample[] = [];
  for await (const { value, where: line } of readRecords(path)) {
    const { where, record, answer } = value as { where: string; record: unknown; answer?: unknown };
    if (answer === undefined) throw new InputError(`${line}: has no answer`);
    samples.push({ sample: task.parse(record, line), where, record, answer });
  }
  const { judge: _judge, judgeUrl: _url, ...settings } = previous.settings;
  return {
    task,
    samples,
    model: typeof settings["model"] === "string" ? settings["model"] : null,
    dtype: (settings["dtype"] ?? "bf16") as ComputeDtype,
    run: {
      settings,
      inputs: { ...previous.inputs, answers: { path, sha256: await hashFile(path) } },
      versions: { ...previous.versions, rejudgedBy: VERSION },
    },
  };
}
