/** @file Everything that an experiment's report shows, gathered from the folders of its jobs. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Job, Matrix } from "./matrix.js";
import { readMeasurements } from "./outcomes.js";
import { type Results, summarize } from "./results.js";
import type { Experiment } from "./schema.js";

/** Points of a training curve that are kept. */
const CURVE_POINTS = 200;

interface TrainingCurve {
  job: string;
  label: string;
  steps: number;
  tokens: number;
  seconds: number;
  /** [step, loss] */
  points: [number, number][];
}

/** results.json. */
export interface ExperimentRecord extends Results {
  experiment: Experiment;
  matrix: Matrix;
  training: TrainingCurve[];
  /** Settings, hashes and versions of each job, as its folder has them. */
  jobs: { id: string; label: string; folder: string; config: unknown }[];
}

/** Reads what the jobs of the matrix wrote. Throws RunError where one is not finished. */
export async function gatherResults(experiment: Experiment, matrix: Matrix): Promise<ExperimentRecord> {
  const measured = await readMeasurements(experiment, matrix);
  return {
    experiment,
    ...summarize(experiment, matrix, measured),
    training: matrix.jobs.filter(({ kind }) => kind === "train").map(readCurve),
    jobs: matrix.jobs.map((job) => ({ id: job.id, label: job.label, folder: job.folder, config: readConfig(job) })),
    matrix,
  };
}

function readConfig(job: Job): unknown {
  const path = join(job.config.out, job.kind === "train" ? "config.json" : "results.json");
  const { settings, inputs, versions } = JSON.parse(readFileSync(path, "utf8")) as Record<string, unknown>;
  return { settings, inputs, versions };
}

function readCurve(job: Job): TrainingCurve {
  const path = join(job.config.out, "log.jsonl");
  const lines = existsSync(path) ? readFileSync(path, "utf8").trimEnd().split("\n") : [];
  const steps = lines
    .map(
      (line) =>
        JSON.parse(line) as { type: string; step: number; loss: number; tokens: number; tokensPerSecond: number },
    )
    .filter(({ type }) => type === "step");
  const every = Math.ceil(steps.length / CURVE_POINTS);
  return {
    job: job.id,
    label: job.label,
    steps: steps.length,
    tokens: steps.reduce((sum, { tokens }) => sum + tokens, 0),
    seconds: steps.reduce((sum, { tokens, tokensPerSecond }) => sum + tokens / tokensPerSecond, 0),
    points: steps.filter((_, i) => i % every === 0 || i === steps.length - 1).map(({ step, loss }) => [step, loss]),
  };
}
