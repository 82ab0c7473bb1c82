/** @file Whether a job's folder holds its result. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { isFinished } from "../../runs/run-folder.js";
import type { Job } from "../matrix.js";

export function isDone(job: Job): boolean {
  return job.kind === "train" ? isFinished(job.config.out) : existsSync(join(job.config.out, "results.json"));
}
