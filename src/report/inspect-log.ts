/**
 * @file An evaluation as a log of Inspect (inspect_ai), in its JSON form (EvalLog of `inspect log schema`): one sample
 * for each of ours, with what was asked and answered as messages and what came of it as scores.
 */
import { createHash } from "node:crypto";
import { existsSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { writeTextFile } from "../base/atomic.js";
import { InputError, messageOf } from "../base/errors.js";
import { makeFolder } from "../base/file.js";
import { readRecords } from "../corpus/files.js";
import { loadResults } from "../eval/run-folder.js";
import type { Json, Task } from "../eval/task.js";
import { taskByName } from "../eval/tasks/by-name.js";
import type { Matrix } from "../experiment/matrix.js";
import { decidedValue } from "../experiment/outcomes.js";

/** What samples.jsonl holds of a sample. */
interface StoredSample {
  where: string;
  record: Json;
  score: unknown;
  /** Of judged tasks. */
  answer?: unknown;
}

/** Makes the folder. Throws InputError where it cannot be: before anything is measured. */
export function checkLogFolder(folder: string): void {
  try {
    makeFolder(folder);
  } catch (error) {
    throw new InputError(`--log-dir ${folder}: cannot be made (${messageOf(error)}); name another`);
  }
}

/**
 * Writes the finished evaluation in `evaluation` as one file in `folder`, in place of the one before; nothing where it
 * is not finished. `labels`: what of an experiment it is (arm, seed), shown with the log.
 */
export async function writeInspectLog(evaluation: string, folder: string, labels: Json = {}): Promise<void> {
  const path = join(evaluation, "results.json");
  if (!existsSync(path)) return;
  const results = loadResults(evaluation);
  const samples: StoredSample[] = [];
  for await (const { value } of readRecords(join(evaluation, "samples.jsonl"))) samples.push(value as StoredSample);
  const created = statSync(path)
    .mtime.toISOString()
    .replace(/\.\d+Z$/, "+00:00");
  const log = inspectLog(results, samples, created, labels);
  // Inspect's names: when, what, which; ":" is no letter of a file's name everywhere.
  const name = `${created.replaceAll(":", "-")}_${results["task"]}_${log.eval.eval_id}.json`;
  await writeTextFile(join(folder, name), `${JSON.stringify(log)}\n`);
}

/** The finished evaluations of an experiment, each arm and seed by itself. */
export async function writeInspectLogs({ jobs, cells }: Matrix, folder: string): Promise<void> {
  for (const { arm, seed, sweep, evaluation, job: id } of cells) {
    const { config } = jobs.find((one) => one.id === id)!;
    await writeInspectLog(config.out, folder, { arm, seed, evaluation, ...(sweep && { [sweep.name]: sweep.value }) });
  }
}

/** `results` and `samples` as they are stored; `created`: ISO 8601. The same evaluation has the same ids. */
function inspectLog(results: Json, samples: readonly StoredSample[], created: string, labels: Json) {
  const task = taskByName(String(results["task"]));
  const settings = results["settings"] as Json;
  const model = modelName(settings, labels);
  const id = (of: unknown): string => createHash("sha256").update(JSON.stringify(of)).digest("hex").slice(0, 22);
  const run = [results["inputs"], settings];
  const all = samples.map((sample, i) => inspectSample(task, sample, i + 1, model, labels));
  return {
    version: 2,
    status: "success",
    invalidated: false,
    tags: [],
    metadata: labels,
    eval: {
      eval_id: id([run, labels, created]),
      run_id: id([run, labels]),
      task_id: id([task.name, settings]),
      created,
      task: task.name,
      task_version: task.version,
      task_attribs: {},
      task_args: settings,
      task_args_passed: {},
      dataset: {
        name: datasetName(results["inputs"] as Json) ?? task.name,
        samples: samples.length,
        sample_ids: all.map((sample) => sample.id),
        shuffled: false,
      },
      model,
      model_generate_config: {},
      model_args: {},
      config: {},
      packages: { "train-msm": String((results["versions"] as Json)["trainMsm"]) },
      metadata: { ...labels, inputs: results["inputs"], versions: results["versions"] },
    },
    plan: { name: "plan", steps: [], config: {} },
    results: {
      total_samples: samples.length,
      completed_samples: samples.length,
      scores: meanScores(task, all),
      // Rates with their intervals, as results.json has them.
      metadata: { results: results["results"] },
    },
    stats: { started_at: "", completed_at: created, model_usage: {}, role_usage: {}, connection_limit_history: [] },
    samples: all,
  };
}

type InspectSample = ReturnType<typeof inspectSample>;

function inspectSample(
  task: Task,
  { where, record, score, answer }: StoredSample,
  id: number,
  model: string,
  of: Json,
) {
  const shown = task.show?.(record, score, answer) ?? [];
  const asked = shown[0]?.prompt ?? Object.values(record).find((value) => typeof value === "string") ?? "";
  const [first, ...others] = shown.map(({ response }) => ({ role: "assistant" as const, content: response, model }));
  const choices = [record["item1"], record["item2"]].filter((item) => typeof item === "string");
  const scores = Object.entries(task.outcomes(score)).flatMap(([name, outcome]) => {
    const value = decidedValue(outcome);
    if (value === null) return [];
    return [[name, { value, answer: shown[0]?.verdict ?? null, explanation: task.legend[name] ?? null, history: [] }]];
  });
  return {
    id,
    epoch: 1,
    input: String(asked),
    ...(choices.length === 2 && { choices }),
    target: String(record["liked_item"] ?? record["answer_matching_behavior"] ?? record["answer"] ?? ""),
    // Of several answers to one prompt, each stands with its prompt.
    messages: [
      { role: "user" as const, content: String(asked) },
      ...(first ? [first] : []),
      ...others.flatMap((message, i) => [{ role: "user" as const, content: shown[i + 1]!.prompt }, message]),
    ],
    output: {
      model,
      choices: first ? [{ message: first, stop_reason: "unknown" as const }] : [],
      completion: first?.content ?? "",
    },
    scores: Object.fromEntries(scores) as Record<string, { value: number }>,
    metadata: { ...of, where, record, verdicts: shown.map(({ verdict }) => verdict) },
    store: {},
    events: [],
    model_usage: {},
    role_usage: {},
    attachments: {},
  };
}

/** Of every outcome, its mean over the samples that have one. */
function meanScores(task: Task, samples: readonly InspectSample[]) {
  return Object.keys(task.legend).flatMap((name) => {
    const values = samples.flatMap(({ scores }) => scores[name]?.value ?? []);
    if (values.length === 0) return [];
    const value = values.reduce((sum, one) => sum + one, 0) / values.length;
    const counted = { scored_samples: values.length, unscored_samples: samples.length - values.length };
    return [
      { name, scorer: task.name, params: {}, ...counted, metrics: { mean: { name: "mean", value, params: {} } } },
    ];
  });
}

/** "SmolLM2-135M", "SmolLM2-135M:runs/aft/adapter", in an experiment "SmolLM2-135M:aft". */
function modelName({ model, adapter }: Json, { arm }: Json): string {
  const base = String(model);
  const name = existsSync(base) ? basename(base) : base;
  const which = arm ?? adapter;
  return typeof which === "string" ? `${name}:${which}` : name;
}

function datasetName({ data }: Json): string | null {
  const [first] = Array.isArray(data) ? (data as { path?: unknown }[]) : [];
  return typeof first?.path === "string" ? basename(first.path) : null;
}
