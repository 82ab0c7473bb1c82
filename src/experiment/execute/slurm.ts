/**
 * @file Runs the jobs of an experiment on a Slurm cluster: one Slurm job each, with their dependencies; queue, locks
 * and requeueing are Slurm's. slurm.json in the experiment's folder keeps which is which, so that this process may die
 * and be started again.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { asksForGpu, type BackendName } from "../../backend/open.js";
import { writeTextFile } from "../../base/atomic.js";
import { RunError } from "../../base/errors.js";
import type { Progress } from "../../terminal/progress.js";
import { savedStep } from "../../train/run-state.js";
import type { JobForecast } from "../forecast/experiment.js";
import type { Job, Matrix } from "../matrix.js";
import { isDone } from "./done.js";

/** Asking the controller more often than this is impolite. */
const POLL_MS = 2000;
/** A call that takes longer has failed: the controller is busy, or away. */
const CALL_MS = 60_000;
/** So many submissions in a row that bring no progress are enough. */
const MAX_VAIN = 3;
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

interface Submission {
  /** Slurm's id. */
  slurm: string;
  /** Submissions since the job last got further, this one included. */
  times: number;
  /** How far the job was when it was submitted. */
  progress: number;
}
type Submitted = Record<string, Submission>;

/** What Slurm says of a job: its state, that it knows no such job ("GONE"), or nothing (null). */
type State = string | null;

/** States that a job does not leave by itself. In any other it may still run, as it may where Slurm says nothing. */
const ENDED = new Set([
  "GONE",
  "BOOT_FAIL",
  "CANCELLED",
  "COMPLETED",
  "DEADLINE",
  "FAILED",
  "LAUNCH_FAILED",
  "NODE_FAIL",
  "OUT_OF_MEMORY",
  "PREEMPTED",
  "RECONFIG_FAIL",
  "REVOKED",
  "TIMEOUT",
]);
/** Not the job's fault: it is submitted again however often. */
const TAKEN_AWAY = new Set(["NODE_FAIL", "PREEMPTED", "BOOT_FAIL"]);
/** It is submitted again as long as it gets further. */
const RAN_OUT = new Set(["TIMEOUT", "GONE"]);

/**
 * Submits what is not finished, follows it, and returns when everything is.
 * @throws RunError where a job failed (the others are cancelled), or where the caller asked to stop
 */
export async function executeOnSlurm({ jobs }: Matrix, options: SlurmOptions): Promise<void> {
  const { progress } = options;
  mkdirSync(join(options.folder, "slurm"), { recursive: true });
  const submitted = readSubmitted(options.folder);
  // Who gives the command again may have mended what ended before: it is submitted anew, with all its tries.
  for (const [id, state] of slurmStates(submitted)) if (hasEnded(state)) delete submitted[id];
  for (;;) {
    const open = jobs.filter((job) => !isDone(job));
    if (open.length === 0) return;
    const known = open.flatMap(({ id }) => (submitted[id] ? [[id, submitted[id]] as const] : []));
    const states = slurmStates(Object.fromEntries(known));
    if (options.isStopping()) stop(open, submitted);
    for (const job of open) {
      const state = states.get(job.id);
      // A job that ended well between the two looks has its result by now.
      if ((state !== undefined && !hasEnded(state)) || isDone(job)) continue;
      const times = state === undefined ? 0 : vainSubmissions(job, submitted[job.id]!);
      if (state && isFailure(state, times)) fail(job, state, open, submitted, options);
      // Those that need it wait for a Slurm job that will not end well any more: they are submitted again after it.
      const waiting = open.filter(({ id, needs }) => needs.includes(job.id) && submitted[id]);
      cancel(waiting, submitted);
      for (const { id } of waiting) {
        delete submitted[id];
        states.delete(id);
      }
      await submit(job, times, open, submitted, options);
    }
    progress.update(progressLine(jobs, open, states));
    await new Promise((wake) => setTimeout(wake, POLL_MS));
  }
}

function hasEnded(state: State): boolean {
  return state !== null && ENDED.has(state);
}

function vainSubmissions(job: Job, { times, progress }: Submission): number {
  return progressOf(job) > progress ? 0 : times;
}

/** A job that is gone without a result is submitted again, unless it failed by itself or has had its tries in vain. */
function isFailure(state: string, times: number): boolean {
  return !TAKEN_AWAY.has(state) && (!RAN_OUT.has(state) || times >= MAX_VAIN);
}

/** What the next try goes on from: steps of a training's checkpoint, stored answers of an evaluation. */
function progressOf({ kind, config }: Job): number {
  if (kind === "train") return savedStep(config.out) ?? 0;
  const answers = join(config.out, "answers");
  return existsSync(answers) ? readdirSync(answers).length : 0;
}

async function submit(
  job: Job,
  times: number,
  open: readonly Job[],
  submitted: Submitted,
  options: SlurmOptions,
): Promise<void> {
  const { folder, backend, command } = options;
  const { minutes, mebibytes } = limitsOf(options.forecast(job));
  // What is finished is no dependency: it may have left Slurm's memory.
  const needs = open.flatMap(({ id }) => (job.needs.includes(id) && submitted[id] ? [submitted[id].slurm] : []));
  const words = [...command, resolve(folder), job.id, "--backend", backend].map(quote).join(" ");
  const args = [
    "--parsable",
    `--job-name=msm-${job.id}`,
    `--comment=${job.label}`,
    `--chdir=${process.cwd()}`,
    `--output=${join(resolve(folder), "slurm", `${job.id}.log`)}`,
    "--open-mode=append",
    "--requeue",
    `--time=${minutes}`,
    ...(asksForGpu(backend) ? ["--gpus=1"] : [`--mem=${mebibytes}M`]),
    ...(needs.length > 0 ? [`--dependency=afterok:${needs.join(":")}`] : []),
    ...options.sbatch,
    "--wrap",
    `exec ${words}`,
  ];
  const id = slurm("sbatch", args).trim().split(";")[0]!;
  submitted[job.id] = { slurm: id, times: times + 1, progress: progressOf(job) };
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

/** States by our id. Only "Invalid job id" says that a job is gone; a call that fails otherwise says nothing. */
function slurmStates(submitted: Submitted): Map<string, State> {
  return new Map(
    Object.entries(submitted).map(([id, { slurm: job }]) => {
      const args = ["show", "job", "--oneliner", job];
      const { stdout, stderr, status } = spawnSync("scontrol", args, { encoding: "utf8", timeout: CALL_MS });
      if (status === 0) return [id, /\bJobState=(\w+)/.exec(stdout)?.[1] ?? null];
      return [id, /invalid job id/i.test(stderr ?? "") ? "GONE" : null];
    }),
  );
}

function fail(job: Job, state: string, open: readonly Job[], submitted: Submitted, options: SlurmOptions): never {
  cancel(open, submitted);
  const log = join(options.folder, "slurm", `${job.id}.log`);
  const last = existsSync(log) ? readFileSync(log, "utf8").trimEnd().split("\n").at(-1) : undefined;
  throw new RunError(
    `${job.label}: its Slurm job ${submitted[job.id]!.slurm} ended as ` + `${state}${last ? `: ${last}` : ""} (${log})`,
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

function progressLine(jobs: readonly Job[], open: readonly Job[], states: ReadonlyMap<string, State>): string {
  const running = open.filter(({ id }) => states.get(id) === "RUNNING");
  const names = running.map((job) => `${job.label}${lastStep(job)}`).join("; ");
  const silent = [...states.values()].includes(null) ? " (Slurm does not answer and is asked again)" : "";
  return (
    `${jobs.length - open.length} of ${jobs.length} jobs finished, ${running.length} ` +
    `running${names && `: ${names}`}${silent}`
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
