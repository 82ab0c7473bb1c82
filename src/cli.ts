#!/usr/bin/env node
/** @file The command line: one line a command, no logic. Exit codes: 0 done, 1 failed, 2 bad usage or bad input. */
import { Command, CommanderError } from "commander";
import { InputError, messageOf } from "./base/errors.js";
import { VERSION } from "./base/package.js";
import { addBenchCommand } from "./commands/bench.js";
import { addCorpusCommand } from "./commands/corpus.js";
import { addDemoCommand } from "./commands/demo.js";
import { addDoctorCommand } from "./commands/doctor.js";
import { addEvalCommand } from "./commands/eval.js";
import { addGenerateCommand } from "./commands/generate.js";
import { addMergeCommand } from "./commands/merge.js";
import { addReportCommand } from "./commands/report.js";
import { addRunCommand, addRunJobCommand } from "./commands/run.js";
import { addServeCommand } from "./commands/serve.js";
import { addSpecCommand } from "./commands/spec.js";
import { addTrainCommand } from "./commands/train.js";

const program = new Command("train-msm")
  .description(
    "Model Spec Midtraining: LoRA midtraining, alignment fine-tuning and evaluation of Qwen and Llama checkpoints",
  )
  .version(VERSION)
  .configureOutput({
    outputError: (text, write) =>
      write(
        `${text
          .trim()
          .replace(/^error:/, "train-msm:")
          .replaceAll("\n", " ")} (--help lists the options)\n`,
      ),
  })
  .exitOverride();

addDoctorCommand(program);
addDemoCommand(program);
addRunCommand(program);
addRunJobCommand(program);
addReportCommand(program);
addTrainCommand(program, "midtrain");
addTrainCommand(program, "aft");
addEvalCommand(program);
addGenerateCommand(program);
addServeCommand(program);
addMergeCommand(program);
addCorpusCommand(program);
addSpecCommand(program);
addBenchCommand(program);

watchOutput();
try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = exitCodeOf(error);
}

/**
 * Whoever read the output may have gone (`| head`): the work goes on, since what counts goes into files. Other errors
 * of writing (a full disk) are said once, and fail the command at its end.
 */
function watchOutput(): void {
  let isSaid = false;
  const onError = (error: NodeJS.ErrnoException): void => {
    if (error.code === "EPIPE" || isSaid) return;
    isSaid = true;
    process.exitCode = 1;
    process.stderr.write(`train-msm: output cannot be written: ${error.message}\n`);
  };
  process.stdout.on("error", onError);
  process.stderr.on("error", onError);
}

function exitCodeOf(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  process.stderr.write(`train-msm: ${messageOf(error)}\n`);
  if (process.env["MSM_DEBUG"] && error instanceof Error) process.stderr.write(`${error.stack}\n`);
  return error instanceof InputError ? 2 : 1;
}
