/** @file Runs the jobs of an experiment on this machine, one after the other; what is finished is not run again. */
import { existsSync } from "node:fs";
import { RunError } from "../../base/errors.js";
import type { Computing } from "../../config/model.js";
import { OutageError } from "../../eval/judge/judge.js";
import { isJudged } from "../../eval/judge/judged-task.js";
import { taskByName } from "../../eval/tasks/by-name.js";
import { evaluateInto, openWorkplace, type Workplace } from "../../jobs/evaluation.js";
import { runTrain } from "../../jobs/training.js";
import { formatDuration, type Progress } from "../../terminal/progress.js";
import type { Job, Matrix } from "../matrix.js";
import { isDone } from "./done.js";

export interface ExecuteOptions {
  computing: Computing;
  progress: Progress;
  /** Forecast of a job, for the ETA. */
  seconds: (job: Job) => number;
}

/**
 * Throws what the first failing job throws; what is finished stays, and the next call goes on from there. Where a
 * judge fails, the jobs that do not need it are run first: what it was not asked is left open.
 * @throws OutageError at the end, naming the first job that is left open
 */
export async function execute(matrix: Matrix, options: ExecuteOptions): Promise<void> {
  const workplace = openWorkplace();
  try {
    await executeIn(workplace, matrix, options);
  } finally {
    workplace.close();
  }
}

async function executeIn(workplace: Workplace, { jobs }: Matrix, options: ExecuteOptions): Promise<void> {
  const { progress } = options;
  const open = jobs.filter((job) => !isDone(job));
  if (open.length < jobs.length) progress.print(`${jobs.length - open.length} of ${jobs.length} jobs are finished`);
  // What the finished jobs took, against their forecast, corrects the forecast of the others.
  const spent = { seconds: 0 };
  const forecast = { seconds: 0 };
  const left: { job: Job; message: string }[] = [];
  for (const [i, job] of open.entries()) {
    if (left.some((one) => judgeOf(one.job) === judgeOf(job))) continue;
    const rest = open.slice(i).reduce((sum, other) => sum + options.seconds(other), 0);
    const factor = forecast.seconds > 0 ? spent.seconds / forecast.seconds : 1;
    const number = jobs.length - open.length + i + 1;
    progress.print(`[${number}/${jobs.length}] ${job.label}  (about ${formatDuration(rest * factor)} to go)`);
    const began = performance.now();
    try {
      // A training plans with all of the device's memory.
      if (job.kind !== "eval") workplace.close();
      await runJob(job, options.computing, progress, workplace);
    } catch (error) {
      if (!(error instanceof OutageError)) throw error;
      progress.print(`left open: ${error.message}`);
      left.push({ job, message: error.message });
    }
    spent.seconds += (performance.now() - began) / 1000;
    forecast.seconds += options.seconds(job);
  }
  if (left.length > 0) throw new OutageError(`${left[0]!.job.label}: ${left[0]!.message}`);
}

/** null: the job asks no judge. */
function judgeOf(job: Job): string | null {
  return job.kind === "eval" && isJudged(taskByName(job.config.task)) ? job.config.judge : null;
}

/** One job, in this process. */
export async function runJob(job: Job, computing: Computing, progress: Progress, workplace?: Workplace): Promise<void> {
  const missing = job.needs.length > 0 && job.config.adapter !== null && !existsSync(job.config.adapter);
  if (missing) throw new RunError(`${job.label}: the adapter that it begins with is missing: ${job.config.adapter}`);
  if (job.kind === "eval") await evaluateInto({ ...job.config, ...computing }, progress, workplace);
  else await runTrain(job.command, { ...job.config, ...computing }, { plan: false, json: false, brief: true });
}
