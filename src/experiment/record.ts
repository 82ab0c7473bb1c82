/** @file Everything that an experiment's report shows, gathered from the folders of its jobs. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Counts } from "../eval/counts.js";
import type { JudgedBy } from "../eval/judge/describe.js";
import { type LogRecord, readLog } from "../runs/run-folder.js";
import { type Achieved, countAchieved } from "../train/achieved.js";
import type { StageUpdate } from "./adapters.js";
import type { Experiment } from "./file.js";
import { type ArmHealth, healthOf } from "./health.js";
import type { Job, Matrix } from "./matrix.js";
import { type Measurements, readMeasurements } from "./outcomes.js";
import { withoutMachinePaths } from "./portable.js";
import type { ReasonsRecord } from "./reasons.js";
import { type Results, summarize } from "./results.js";

/** Points of a training curve that are kept. */
const CURVE_POINTS = 200;

interface TrainingCurve extends Achieved {
  job: string;
  label: string;
  steps: number;
  /** Norm of the adapter's change; null: of a run that did not record it. */
  changeNorm: number | null;
  tokens: number;
  seconds: number;
  /** [step, loss] */
  points: [number, number][];
}

type StepRecord = LogRecord & { step: number; loss: number; tokens: number; tokensPerSecond: number };

/** Who judged an evaluation, over all its jobs. */
interface JudgeRecord extends JudgedBy {
  evaluation: string;
  /** What an endpoint was sent and took; null where nothing is counted. */
  usage: Record<string, number | null> | null;
}

interface JobRecord {
  id: string;
  label: string;
  folder: string;
  config: unknown;
  /** Of an evaluation, what it asked for and what came of it; absent where that was not recorded. */
  counts?: Counts;
}

/** results.json. */
export interface ExperimentRecord extends Results {
  experiment: Experiment;
  matrix: Matrix;
  training: TrainingCurve[];
  judges: JudgeRecord[];
  /** Absent in records that were written before it was measured. */
  health?: ArmHealth[];
  /** What training changed in the weights; absent in records that were written before it was measured. */
  updates?: StageUpdate[];
  /** Absent where no judge was asked for them. */
  reasons?: ReasonsRecord;
  /** Settings, hashes and versions of each job, as its folder has them. */
  jobs: JobRecord[];
}

/** Reads what the jobs of the matrix wrote. Throws RunError where one is not finished. */
export async function gatherResults(experiment: Experiment, matrix: Matrix): Promise<ExperimentRecord> {
  return recordOf(experiment, matrix, await readMeasurements(experiment, matrix));
}

/** The record of what was measured; no path of this machine is in it. */
export function recordOf(experiment: Experiment, matrix: Matrix, measured: readonly Measurements[]): ExperimentRecord {
  return withoutMachinePaths({
    experiment,
    ...summarize(experiment, matrix, measured),
    judges: experiment.evaluations.flatMap(({ name }, i) =>
      readJudge(name, experiment.evaluations.slice(0, i), matrix),
    ),
    health: healthOf(experiment, matrix, (job) => readJobFile(job)["results"]),
    training: matrix.jobs.filter(({ kind }) => kind === "train").map(readCurve),
    jobs: matrix.jobs.map(recordJob),
    matrix,
  });
}

/**
 * The judge is the same for all arms, and so is its agreement with the labelled set; counts are summed. Nothing where
 * one of `before` looks at the same answers.
 */
function readJudge(evaluation: string, before: readonly { name: string }[], matrix: Matrix): JudgeRecord[] {
  const jobsOf = (name: string): string[] =>
    matrix.cells.flatMap((cell) => (cell.evaluation === name ? [cell.job] : []));
  const own = new Set(jobsOf(evaluation));
  if (before.some(({ name }) => jobsOf(name).some((job) => own.has(job)))) return [];
  const judged = matrix.jobs.flatMap((job): Omit<JudgeRecord, "evaluation">[] => {
    if (!own.has(job.id)) return [];
    const { results } = readJobFile(job) as { results: { judgedBy?: Omit<JudgeRecord, "evaluation"> } };
    return results.judgedBy && results.judgedBy.kind !== "none" ? [results.judgedBy] : [];
  });
  const [first] = judged;
  if (!first) return [];
  const total = (key: "questions" | "failed" | "unreadable"): number =>
    judged.reduce((sum, one) => sum + (one[key] ?? 0), 0);
  const names = Object.keys(first.usage ?? {});
  const sumOf = (name: string): number | null =>
    judged.reduce<number | null>((sum, { usage }) => addKnown(sum, usage?.[name] ?? null), 0);
  const usage = first.usage && Object.fromEntries(names.map((name) => [name, sumOf(name)]));
  const counts = { questions: total("questions"), failed: total("failed"), unreadable: total("unreadable") };
  const why = judged.find((one) => one.why)?.why ?? null;
  return [{ ...first, evaluation, ...counts, why, usage: usage ?? null }];
}

function addKnown(a: number | null, b: number | null): number | null {
  return a === null || b === null ? null : a + b;
}

function readJobFile(job: Job): Record<string, unknown> {
  const path = join(job.config.out, job.kind === "train" ? "config.json" : "results.json");
  return JSON.parse(readFileSync(path, "utf8")) as Record<string, unknown>;
}

function recordJob(job: Job): JobRecord {
  const { id, label, folder } = job;
  const { settings, inputs, versions, results } = readJobFile(job);
  const counts = (results as { counts?: Counts } | undefined)?.counts;
  return { id, label, folder, config: { settings, inputs, versions }, ...(counts && { counts }) };
}

function readCurve(job: Job): TrainingCurve {
  const log = readLog(join(job.config.out, "log.jsonl"));
  const steps = log.filter(({ type }) => type === "step") as StepRecord[];
  const every = Math.ceil(steps.length / CURVE_POINTS);
  const change = log.at(-1)?.["changeNorm"];
  return {
    job: job.id,
    label: job.label,
    steps: steps.length,
    ...countAchieved(log),
    changeNorm: typeof change === "number" ? change : null,
    tokens: steps.reduce((sum, { tokens }) => sum + tokens, 0),
    seconds: steps.reduce((sum, { tokens, tokensPerSecond }) => sum + tokens / tokensPerSecond, 0),
    points: steps.filter((_, i) => i % every === 0 || i === steps.length - 1).map(({ step, loss }) => [step, loss]),
  };
}
