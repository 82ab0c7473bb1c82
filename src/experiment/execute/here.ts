/** @file Runs the jobs of an experiment on this machine, one after the other; what is finished is not run again. */
import { existsSync } from "node:fs";
import type { BackendName } from "../../backend/open.js";
import { RunError } from "../../base/errors.js";
import { evaluateInto } from "../../jobs/evaluation.js";
import { runTrain } from "../../jobs/training.js";
import { formatDuration, type Progress } from "../../terminal/progress.js";
import type { Job, Matrix } from "../matrix.js";
import { isDone } from "./done.js";

export interface ExecuteOptions {
  backend: BackendName;
  progress: Progress;
  /** Forecast of a job, for the ETA. */
  seconds: (job: Job) => number;
}

/** Throws what the first failing job throws; what is finished stays, and the next call goes on from there. */
export async function execute({ jobs }: Matrix, options: ExecuteOptions): Promise<void> {
  const { progress } = options;
  const open = jobs.filter((job) => !isDone(job));
  if (open.length < jobs.length) progress.print(`${jobs.length - open.length} of ${jobs.length} jobs are finished`);
  // What the finished jobs took, against their forecast, corrects the forecast of the others.
  const [spent, forecast] = [{ seconds: 0 }, { seconds: 0 }];
  for (const [i, job] of open.entries()) {
    const rest = open.slice(i).reduce((sum, other) => sum + options.seconds(other), 0);
    const factor = forecast.seconds > 0 ? spent.seconds / forecast.seconds : 1;
    progress.print(
      `[${jobs.length - open.length + i + 1}/${jobs.length}] ${job.label}  (about ` +
        `${formatDuration(rest * factor)} to go)`,
    );
    const began = performance.now();
    await runJob(job, options.backend, progress);
    spent.seconds += (performance.now() - began) / 1000;
    forecast.seconds += options.seconds(job);
  }
}

/** One job, in this process. */
export async function runJob(job: Job, backend: BackendName, progress: Progress): Promise<void> {
  const missing = job.needs.length > 0 && job.config.adapter !== null && !existsSync(job.config.adapter);
  if (missing) throw new RunError(`${job.label}: the adapter that it begins with is missing: ${job.config.adapter}`);
  if (job.kind === "eval") await evaluateInto({ ...job.config, backend }, progress);
  else await runTrain(job.command, { ...job.config, backend }, { plan: false, json: false, brief: true });
}
