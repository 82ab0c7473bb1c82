/** @file `eval rejudge`: the answers of an evaluation, judged again. */
import type { Command } from "commander";
import { type RejudgeConfig, rejudgeSchema } from "../config/inference.js";
import { parseOptions } from "../config/options.js";
import type { Json } from "../eval/task.js";
import { taskByName } from "../eval/tasks/by-name.js";
import { rejudgeInto } from "../jobs/rejudgement.js";
import { openProgress } from "../terminal/progress.js";
import { addOptions } from "./options.js";

/** Adds `rejudge` to `eval`. */
export function addRejudgeCommand(evalCommand: Command): void {
  const command = evalCommand
    .command("rejudge")
    .argument("[run]", "folder of a finished evaluation")
    .summary("judge the answers of a finished evaluation again, or responses drawn elsewhere")
    .description(
      "Judges stored answers again, by another judge and by the gates of this version, into a folder of its own. " +
        "Nothing is drawn. With --responses: the responses of a file, by the gates and judges of a task.",
    );
  addOptions(command, rejudgeSchema.omit({ run: true }))
    .option("--json", "print results.json on stdout")
    .addHelpText(
      "after",
      "\nExample:\n  train-msm eval rejudge runs/misalignment --judge openai:gpt-4.1 --judge-price 2,8 --out " +
        "runs/misalignment-gpt\n" +
        "  train-msm eval rejudge --responses mine.jsonl --task agentic-misalignment --judge none --out runs/mine",
    )
    .action(async (run: string | undefined, options: Record<string, unknown>) => {
      const { json = false, ...settings } = options;
      await runRejudge(parseOptions(rejudgeSchema, { run, ...settings }), json === true);
    });
}

async function runRejudge(config: RejudgeConfig, json: boolean): Promise<void> {
  const all = await rejudgeInto(config, openProgress(json));
  const lines = taskByName(String(all["task"])).describe(all["results"] as Json);
  process.stdout.write(`${json ? JSON.stringify(all) : lines.join("\n")}\n`);
}
