/** @file `eval reasons`: why the agents of stored responses did what they did. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Command } from "commander";
import { InputError } from "../base/errors.js";
import { type ReasonsConfig, reasonsSchema } from "../config/inference.js";
import { parseOptions } from "../config/options.js";
import type { JudgedBy } from "../eval/judge/describe.js";
import type { ArmReasons } from "../eval/reasons/counts.js";
import { describeReasons } from "../eval/reasons/describe.js";
import { meaningOf, REASONS, sideOf } from "../eval/reasons/list.js";
import { loadResults } from "../eval/run-folder.js";
import { agenticMisalignment } from "../eval/tasks/agentic-misalignment.js";
import { REASONS_FOLDER, responsesOf } from "../experiment/reasons.js";
import { findReasonsInto, type ReasonsOf } from "../jobs/reasons.js";
import { openProgress } from "../terminal/progress.js";
import { addOptions } from "./options.js";

/** Adds `reasons` to `eval`. */
export function addReasonsCommand(evalCommand: Command): void {
  const command = evalCommand
    .command("reasons")
    .argument("[run]", "folder of a finished evaluation of agentic-misalignment, or of an experiment with some")
    .summary("which reasons the agents give, by arm")
    .description(
      "A judge names the reasons that each stored response gives, from a fixed list, with words of the response. " +
        "What is not in its words is not counted.\n" +
        "The same command on the same --out finds it finished, or goes on with it.",
    );
  const lines = REASONS.map((reason) => `  ${reason.padEnd(22)}${sideOf(reason).padEnd(12)}${meaningOf(reason)}`);
  addOptions(command, reasonsSchema.omit({ run: true }))
    .option("--json", "print results.json on stdout")
    .addHelpText(
      "after",
      `\nReasons:\n${lines.join("\n")}\n\nExample:\n  train-msm eval reasons runs/agentic --judge openai:gpt-4.1`,
    )
    .action(async (run: string | undefined, options: Record<string, unknown>) => {
      const { json = false, ...settings } = options;
      await runReasons(parseOptions(reasonsSchema, { run, ...settings }), json === true);
    });
}

async function runReasons(config: ReasonsConfig, json: boolean): Promise<void> {
  const isExperiment = existsSync(join(config.run, "matrix.json"));
  const out = config.out ?? (isExperiment ? join(config.run, REASONS_FOLDER) : null);
  if (out === null) throw new InputError("--out is missing: a folder for results.json and samples.jsonl");
  const of = isExperiment ? responsesOf(config.run) : evaluationOf(config.run);
  const all = await findReasonsInto({ ...config, out }, of, openProgress(json));
  const lines = describeReasons(all["results"] as { arms: ArmReasons[]; judgedBy: JudgedBy });
  const next = isExperiment && config.out === null ? ["", `train-msm report ${config.run} shows them`] : [];
  process.stdout.write(`${json ? JSON.stringify(all) : [...lines, ...next].join("\n")}\n`);
}

/** One evaluation is one arm, called by its adapter. */
function evaluationOf(folder: string): ReasonsOf {
  const path = join(folder, "results.json");
  if (!existsSync(path)) throw new InputError(`${folder}: is no finished evaluation and no experiment`);
  const { task, settings } = loadResults(folder) as { task: unknown; settings: Record<string, unknown> };
  if (task !== agenticMisalignment.name)
    throw new InputError(`${folder}: holds ${task}; reasons are read in ${agenticMisalignment.name}`);
  const textOf = (key: string): string | null => (typeof settings[key] === "string" ? settings[key] : null);
  const model = textOf("model");
  const dtype = textOf("dtype") === "f32" ? "f32" : "bf16";
  const arm = textOf("adapter") ?? model ?? "responses";
  return { sources: [{ arm, seed: null, folder }], model, dtype };
}
