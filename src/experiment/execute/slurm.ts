/**
 * @file Runs the jobs of an experiment on a Slurm cluster: one Slurm job each, with their dependencies; queue, locks
 * and requeueing are Slurm's. slurm.json in the experiment's folder keeps which is which, so that this process may die
 * and be started again.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { asksForGpu, type BackendName } from "../../backend/open.js";
import { writeTextFile } from "../../base/atomic.js";
import { RunError } from "../../base/errors.js";
import type { Progress } from "../../terminal/progress.js";
import type { JobForecast } from "../forecast/experiment.js";
import type { Job, Matrix } from "../matrix.js";
import { isDone } from "./done.js";

/** Asking the controller more often than this is impolite. */
const POLL_MS = 2000;
/** A stage that ran out of its time goes on from its checkpoint this often. */
const MAX_SUBMISSIONS = 3;
/** A forecast is about right; start-up, a busy node and what a judge is asked again come on top. */
const TIME_FACTOR = 4;
const LEAST_MINUTES = 15;
const MEMORY_FACTOR = 1.5;
const PROCESS_BYTES = 2 * 2 ** 30;

export interface SlurmOptions {
  /** The experiment's folder, on a file system that all nodes share. */
  folder: string;
  backend: BackendName;
  /** Passed to sbatch as they are, after our own, so that they win. */
  sbatch: readonly string[];
  /** The command line that runs one job: node, script. */
  command: readonly string[];
  progress: Progress;
  forecast: (job: Job) => JobForecast;
  isStopping: () => boolean;
}

/** Slurm's id of a job, and how often it was submitted. */
type Submitted = Record<string, { slurm: string; times: number }>;

/** States in which a job may still run. */
const ALIVE = new Set([
  "PENDING",
  "CONFIGURING",
  "RUNNING",
  "COMPLETING",
  "REQUEUED",
  "REQUEUE_HOLD",
  "REQUEUE_FED",
  "SUSPENDED",
  "RESIZING",
  "STAGE_OUT",
]);

/**
 * Submits what is not finished, follows it, and returns when everything is.
 * @throws RunError where a job failed (the others are cancelled), or where the caller asked to stop
 */
export async function executeOnSlurm({ jobs }: Matrix, options: SlurmOptions): Promise<void> {
  const { progress } = options;
  mkdirSync(join(options.folder, "slurm"), { recursive: true });
  const submitted = readSubmitted(options.folder);
  for (;;) {
    const open = jobs.filter((job) => !isDone(job));
    if (open.length === 0) return;
    const states = slurmStates(open.flatMap(({ id }) => submitted[id]?.slurm ?? []));
    if (options.isStopping()) stop(open, submitted);
    for (const job of open) {
      const state = states.get(submitted[job.id]?.slurm ?? "");
      // A job that ended well between the two looks has its result by now.
      if ((state && ALIVE.has(state)) || isDone(job)) continue;
      if (submitted[job.id] && isFailure(state, submitted[job.id]!.times)) fail(job, state!, open, submitted, options);
      await submit(job, open, submitted, options);
    }
    progress.update(progressLine(jobs, open, submitted, states));
    await new Promise((wake) => setTimeout(wake, POLL_MS));
  }
}

/** A job that is gone without a result is submitted again, unless it failed by itself or has had its tries. */
function isFailure(state: string | undefined, times: number): boolean {
  if (state === undefined) return times >= MAX_SUBMISSIONS;
  return !["TIMEOUT", "NODE_FAIL", "PREEMPTED", "BOOT_FAIL"].includes(state) || times >= MAX_SUBMISSIONS;
}

async function submit(job: Job, open: readonly Job[], submitted: Submitted, options: SlurmOptions): Promise<void> {
  const { folder, backend, command } = options;
  const { minutes, mebibytes } = limitsOf(options.forecast(job));
  // What is finished is no dependency: it may have left Slurm's memory.
  const needs = open.flatMap(({ id }) => (job.needs.includes(id) && submitted[id] ? [submitted[id].slurm] : []));
  const words = [...command, resolve(folder), job.id, "--backend", backend].map(quote).join(" ");
  const args = [
    "--parsable",
    ...[`--job-name=msm-${job.id}`, `--comment=${job.label}`, `--chdir=${process.cwd()}`],
    ...[`--output=${join(resolve(folder), "slurm", `${job.id}.log`)}`, "--open-mode=append", "--requeue"],
    ...[`--time=${minutes}`, ...(asksForGpu(backend) ? ["--gpus=1"] : [`--mem=${mebibytes}M`])],
    ...(needs.length > 0 ? [`--dependency=afterok:${needs.join(":")}`] : []),
    ...options.sbatch,
    "--wrap",
    `exec ${words}`,
  ];
  const id = slurm("sbatch", args).trim().split(";")[0]!;
  submitted[job.id] = { slurm: id, times: (submitted[job.id]?.times ?? 0) + 1 };
  await writeTextFile(join(folder, "slurm.json"), `${JSON.stringify(submitted, null, 1)}\n`);
}

/** What Slurm is told about a job. */
export function limitsOf({ seconds, bytes }: Pick<JobForecast, "seconds" | "bytes">): {
  minutes: number;
  mebibytes: number;
} {
  return {
    minutes: Math.max(LEAST_MINUTES, Math.ceil((TIME_FACTOR * seconds) / 60)),
    mebibytes: Math.ceil((MEMORY_FACTOR * bytes + PROCESS_BYTES) / 2 ** 20),
  };
}

/** States by Slurm's id; jobs that Slurm has forgotten are absent. */
function slurmStates(ids: readonly string[]): Map<string, string> {
  const states = new Map<string, string>();
  for (const id of ids) {
    const { stdout, status } = spawnSync("scontrol", ["show", "job", "--oneliner", id], { encoding: "utf8" });
    const state = /\bJobState=(\w+)/.exec(stdout ?? "")?.[1];
    if (status === 0 && state) states.set(id, state);
  }
  return states;
}

function fail(
  job: Job,
  state: string | undefined,
  open: readonly Job[],
  submitted: Submitted,
  options: SlurmOptions,
): never {
  cancel(open, submitted);
  const log = join(options.folder, "slurm", `${job.id}.log`);
  const last = existsSync(log) ? readFileSync(log, "utf8").trimEnd().split("\n").at(-1) : undefined;
  throw new RunError(
    `${job.label}: its Slurm job ${submitted[job.id]!.slurm} ended as ` +
      `${state ?? "unknown"}${last ? `: ${last}` : ""} (${log})`,
  );
}

function stop(open: readonly Job[], submitted: Submitted): never {
  cancel(open, submitted);
  throw new RunError("stopped, and the jobs cancelled: the same command goes on");
}

function cancel(open: readonly Job[], submitted: Submitted): void {
  const ids = open.flatMap(({ id }) => submitted[id]?.slurm ?? []);
  // SIGTERM first: a training saves its state.
  if (ids.length > 0) spawnSync("scancel", ["--quiet", ...ids]);
}

function progressLine(
  jobs: readonly Job[],
  open: readonly Job[],
  submitted: Submitted,
  states: ReadonlyMap<string, string>,
): string {
  const running = open.filter(({ id }) => states.get(submitted[id]?.slurm ?? "") === "RUNNING");
  const names = running.map((job) => `${job.label}${lastStep(job)}`).join("; ");
  return (
    `${jobs.length - open.length} of ${jobs.length} jobs finished, ${running.length} ` +
    `running${names && `: ${names}`}`
  );
}

/** Where a running training is, from its log. */
function lastStep(job: Job): string {
  const log = join(job.config.out, "log.jsonl");
  if (job.kind !== "train" || !existsSync(log)) return "";
  const step = [...readFileSync(log, "utf8").matchAll(/"type":"step","step":(\d+)/g)].at(-1)?.[1];
  return step ? ` (step ${step})` : "";
}

function readSubmitted(folder: string): Submitted {
  const path = join(folder, "slurm.json");
  return existsSync(path) ? (JSON.parse(readFileSync(path, "utf8")) as Submitted) : {};
}

function slurm(program: string, args: readonly string[]): string {
  const { status, stdout, stderr, error } = spawnSync(program, args, { encoding: "utf8" });
  if (error)
    throw new RunError(
      `--executor slurm: ${program} cannot be run (${error.message}): is Slurm installed on this machine?`,
    );
  if (status !== 0) throw new RunError(`${program} failed: ${stderr.trim() || stdout.trim()}`);
  return stdout;
}

function quote(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}
