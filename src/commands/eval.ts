/** @file `eval`: one task on one model, into a folder. */
import { type Command, Option } from "commander";
import { type EvalConfig, evalSchema } from "../config/inference.js";
import { parseOptions } from "../config/options.js";
import type { Json } from "../eval/task.js";
import { TASKS, taskByName } from "../eval/tasks.js";
import { openProgress } from "../report/progress.js";
import { evaluateInto } from "../stages/eval.js";
import { addCommonOptions } from "./common-options.js";

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
