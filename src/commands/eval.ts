/** @file `eval`: one task on one model, into a folder. */
import { type Command, Option } from "commander";
import { openBackend } from "../backend/open.js";
import { type EvalConfig, evalSchema } from "../config/inference.js";
import { parseOptions } from "../config/options.js";
import { evaluate } from "../eval/evaluate.js";
import { hashModel, loadModel, resolveFolders } from "../eval/load-model.js";
import { finishedEvaluation, writeEvaluation } from "../eval/run-folder.js";
import { loadSamples, type TaskData } from "../eval/samples.js";
import type { Json, Task } from "../eval/task.js";
import { TASKS, taskByName } from "../eval/tasks.js";
import { describeDevice } from "../report/device.js";
import { formatDuration, openProgress, type Progress } from "../report/progress.js";
import type { RunConfig } from "../train/run-folder.js";
import { VERSION } from "../version.js";
import { addCommonOptions } from "./common-options.js";
import { downloadProgress } from "./download.js";

/** Adds `eval`. */
export function addEvalCommand(program: Command): void {
  const command = program
    .command("eval")
    .summary("measure a model: forced choice, multiple choice, perplexity")
    .description(
      "Measures a model on the records of a file. Answers are compared by log-probability: nothing is sampled.\n" +
        "The same command on the same --out finds it finished; other settings or inputs are refused.",
    )
    .requiredOption("--model <id>", "Hugging Face folder or hub id")
    .option("--adapter <id>", "PEFT folder or hub id (default none)")
    .addOption(
      new Option("--task <name>", "what is measured").choices(TASKS.map(({ name }) => name)).makeOptionMandatory(),
    )
    .requiredOption("--data <file...>", "records: .jsonl, .jsonl.gz, .json, .parquet, wildcards, hf://datasets/...")
    .requiredOption("--out <dir>", "folder for results.json and samples.jsonl")
    .option("--limit <n>", "only the first n records (default all)")
    .option("--seq-len <n>", "perplexity: tokens a window (default 2048, or the model's positions)");
  addCommonOptions(command, {
    dtype: "bf16",
    seed: "recorded; these tasks draw nothing at random (default 0)",
    json: "print results.json on stdout",
  })
    .addHelpText(
      "after",
      `\nTasks:\n${TASKS.map(({ name, summary }) => `  ${name.padEnd(18)}${summary}`).join("\n")}\n` +
        "\nExample:\n  train-msm eval --model models/miniature --adapter runs/aft/adapter --task choice \\\n" +
        "    --data corpora/miniature/questions-loyalty.jsonl --out runs/loyalty",
    )
    .action(async (options: Record<string, unknown>) => {
      const { json = false, ...settings } = options;
      await runEval({ ...parseOptions(evalSchema, settings), json: json === true });
    });
}

/** Runs `eval`; results go to `out`, and to stdout with `json`. */
async function runEval({ json, ...config }: EvalConfig & { json: boolean }): Promise<void> {
  const all = await evaluateInto(config, openProgress(json));
  if (json) process.stdout.write(`${JSON.stringify(all)}\n`);
  else
    process.stdout.write(
      `${taskByName(config.task)
        .describe(all["results"] as Json)
        .join("\n")}\n`,
    );
}

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
