/** @file `eval`: one task on one model, into a folder. */
import { type Command, Option } from "commander";
import { DEFAULT_KINDS, type EvalConfig, evalSchema, KINDS, THINKING } from "../config/inference.js";
import { parseOptions } from "../config/options.js";
import type { Json } from "../eval/task.js";
import { TASKS, taskByName } from "../eval/tasks/by-name.js";
import { evaluateInto } from "../jobs/evaluation.js";
import { openProgress } from "../terminal/progress.js";
import { addCommonOptions } from "./common-options.js";
import { addJudgeOptions } from "./judge-options.js";
import { addRejudgeCommand } from "./rejudge.js";

/** Adds `eval`. */
export function addEvalCommand(program: Command): void {
  // Options after `eval rejudge` are not those of `eval`.
  const command = program
    .enablePositionalOptions()
    .command("eval")
    .summary("measure a model: choices, perplexity, agentic misalignment, values")
    .description(
      "Measures a model on the records of a file, or on those that ship with the task. Answers are compared by " +
        "log-probability, or drawn and judged.\n" +
        "The same command on the same --out finds it finished, or goes on with it; other settings or inputs are " +
        "refused.",
    )
    // Not mandatory for commander, which would ask `eval rejudge` for them as well.
    .option("--model <id>", "Hugging Face folder or hub id")
    .option("--adapter <id>", "PEFT folder or hub id (default none)")
    .option(
      "--tokenizer <id>",
      "folder or hub id of another tokenizer and chat template (default: the adapter's, or the model's)",
    )
    .addOption(new Option("--task <name>", "what is measured").choices(TASKS.map(({ name }) => name)))
    .option(
      "--data <file...>",
      "records: .jsonl, .jsonl.gz, .json, .parquet, wildcards, hf://datasets/... (default those of the task)",
    )
    .option("--out <dir>", "folder for results.json and samples.jsonl")
    .option("--limit <n>", "only the first n records (default all)")
    .option("--seq-len <n>", "perplexity: tokens a window (default 2048, or the model's positions)")
    .option("--samples <n>", "tasks that draw: responses to each prompt (default the task's)")
    .option("--temperature <x>", "tasks that draw: temperature (default 0.7)")
    .option("--max-tokens <n>", "tasks that draw: tokens a response at most (default the task's)")
    .addOption(
      new Option(
        "--thinking <how>",
        "agentic-misalignment: how the model reasons (default auto: native where its template can, else a scratchpad)",
      ).choices(THINKING),
    )
    .addOption(
      new Option("--cells <half>", "agentic-misalignment: which half (default all)").choices(["all", "dev", "heldout"]),
    )
    .addOption(
      new Option(
        "--kinds <kind...>",
        `agentic-misalignment: kinds of cells (default ${DEFAULT_KINDS.join(" ")})`,
      ).choices([...KINDS, "all"]),
    )
    .helpCommand(false)
    .enablePositionalOptions();
  addJudgeOptions(command);
  addRejudgeCommand(command);
  addCommonOptions(command, {
    dtype: "bf16",
    seed: "of the draws (default 0)",
    json: "print results.json on stdout",
  })
    .addHelpText(
      "after",
      `\nTasks:\n${TASKS.map(({ name, summary }) => `  ${name.padEnd(22)}${summary}`).join("\n")}\n` +
        "\nExample:\n  train-msm eval --model models/miniature --adapter runs/aft/adapter --task choice \\\n" +
        "    --data corpora/miniature/questions-loyalty.jsonl --out runs/loyalty\n" +
        "  train-msm eval --model Qwen/Qwen3-32B --adapter runs/aft/adapter --task agentic-misalignment " +
        "--samples 50 --out runs/misalignment",
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
