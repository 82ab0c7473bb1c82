/** @file `eval`: one task on one model, into a folder. */
import type { Command } from "commander";
import { type EvalConfig, evalSchema } from "../config/inference.js";
import { parseOptions } from "../config/options.js";
import { describeEvaluation } from "../eval/evaluate.js";
import type { Json } from "../eval/task.js";
import { TASKS, taskByName } from "../eval/tasks/by-name.js";
import { evaluateInto } from "../jobs/evaluation.js";
import { checkLogFolder, writeInspectLog } from "../report/inspect-log.js";
import { openProgress } from "../terminal/progress.js";
import { addOptions, LOG_DIR } from "./options.js";
import { addReasonsCommand } from "./reasons.js";
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
    .helpCommand(false)
    .enablePositionalOptions();
  addRejudgeCommand(command);
  addReasonsCommand(command);
  addOptions(command, evalSchema)
    .option("--json", "print results.json on stdout")
    .option(...LOG_DIR)
    .addHelpText(
      "after",
      `\nTasks:\n${TASKS.map(({ name, summary }) => `  ${name.padEnd(22)}${summary}`).join("\n")}\n` +
        "\nExample:\n  train-msm eval --model models/miniature --adapter runs/aft/adapter --task choice \\\n" +
        "    --data corpora/miniature/questions-loyalty.jsonl --out runs/loyalty\n" +
        "  train-msm eval --model Qwen/Qwen3-32B --adapter runs/aft/adapter --task agentic-misalignment " +
        "--samples 50 --out runs/misalignment",
    )
    .action(async (options: Record<string, unknown>) => {
      const { json = false, logDir, ...settings } = options;
      await runEval({
        ...parseOptions(evalSchema, settings),
        json: json === true,
        logDir: logDir as string | undefined,
      });
    });
}

/** Runs `eval`; results go to `out`, to stdout with `json`, and to Inspect's log in `logDir`. */
async function runEval({
  json,
  logDir,
  ...config
}: EvalConfig & { json: boolean; logDir: string | undefined }): Promise<void> {
  if (logDir !== undefined) checkLogFolder(logDir);
  const all = await evaluateInto(config, openProgress(json));
  if (logDir !== undefined) await writeInspectLog(config.out, logDir);
  if (json) process.stdout.write(`${JSON.stringify(all)}\n`);
  else process.stdout.write(`${describeEvaluation(taskByName(config.task), all["results"] as Json).join("\n")}\n`);
}
