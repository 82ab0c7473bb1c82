/**
 * @file The matrix of an experiment: arms x seeds x sweeps x evaluations as jobs, each distinct one once, named by what
 * goes into it.
 */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { identityOf } from "../config/identity.js";
import { DEFAULT_ASK, type EvalConfig, evalSchema } from "../config/inference.js";
import { type TrainConfig, trainSchema } from "../config/train.js";
import { dataOf } from "../eval/samples.js";
import { taskByName } from "../eval/tasks/by-name.js";
import { type Arm, expandArms, type StageSpec } from "./arms.js";
import type { Experiment, Sweep } from "./file.js";

interface JobBase {
  /** Hash of everything that decides the result. */
  id: string;
  /** "midtrain affordability, seed 0". */
  label: string;
  /** In the experiment's folder. */
  folder: string;
  /** Jobs whose results it reads. */
  needs: string[];
}
export type Job =
  | (JobBase & { kind: "train"; command: "midtrain" | "aft"; config: TrainConfig })
  | (JobBase & { kind: "eval"; config: EvalConfig });

/** One evaluation of one arm: what the results are made of. */
export interface Cell {
  arm: string;
  /** null: nothing of the arm was trained. */
  seed: number | null;
  /** null: the arm as the file gives it. */
  sweep: { name: string; value: number } | null;
  evaluation: string;
  job: string;
}

export interface Matrix {
  arms: Arm[];
  jobs: Job[];
  cells: Cell[];
}

/** What a job's inputs hold: hashes of model, adapter and data by the names in the file. */
export interface InputHashes {
  model: string;
  of(args: readonly string[]): string;
  ofAdapter(adapter: string): string;
}

/** Jobs in an order in which every job comes after those that it needs. `folder` is the experiment's. */
export function buildMatrix(experiment: Experiment, folder: string, hashes: InputHashes): Matrix {
  const arms = expandArms(experiment);
  const matrix: Matrix = { arms, jobs: [], cells: [] };
  const build = (arm: Arm, seeds: number[], sweep: Cell["sweep"]): void => {
    for (const seed of arm.stages.length === 0 ? seeds.slice(0, 1) : seeds)
      addArm(matrix, { experiment, folder, hashes }, arm, seed, sweep);
  };
  for (const arm of arms) build(arm, experiment.seeds, null);
  for (const sweep of experiment.sweeps)
    for (const arm of sweptArms(sweep, arms))
      for (const value of sweep.values)
        build(withSetting(arm, sweep, value), sweep.seeds ?? experiment.seeds, { name: sweep.name, value });
  return matrix;
}

interface Place {
  experiment: Experiment;
  folder: string;
  hashes: InputHashes;
}

function addArm(matrix: Matrix, place: Place, arm: Arm, seed: number, sweep: Cell["sweep"]): void {
  const { experiment, hashes } = place;
  let adapter = arm.adapter;
  let chain = [hashes.model, adapter === null ? "" : hashes.ofAdapter(adapter)];
  let needs: string[] = [];
  const path: string[] = adapter === null ? [] : [arm.id];
  for (const stage of arm.stages) {
    path.push(stage.label);
    const job = trainJob(place, stage, { adapter, needs, chain, seed, label: path.join("+") });
    addOnce(matrix.jobs, job);
    adapter = join(job.config.out, "adapter");
    [chain, needs] = [[job.id], [job.id]];
  }
  for (const evaluation of experiment.evaluations) {
    const job = evalJob(place, evaluation, { adapter, needs, chain, seed, label: arm.label, system: arm.system });
    addOnce(matrix.jobs, job);
    const trained = arm.stages.length > 0 ? seed : null;
    matrix.cells.push({ arm: arm.id, seed: trained, sweep, evaluation: evaluation.name, job: job.id });
  }
}

interface Link {
  adapter: string | null;
  needs: string[];
  /** What the adapter was made from. */
  chain: string[];
  seed: number;
  label: string;
}

function trainJob({ experiment, folder, hashes }: Place, stage: StageSpec, link: Link): Job & { kind: "train" } {
  const { command, corpus, mix, settings } = stage;
  const shared = {
    ...settings,
    model: experiment.model,
    tokenizer: experiment.tokenizer,
    data: corpus.data,
    mix: mix?.data ?? [],
    seed: link.seed,
  };
  const config = trainSchema.parse({ ...shared, adapter: link.adapter, out: folder });
  const contents = [config.data, config.mix, config.heldout].map(hashes.of);
  const id = identify([command, identityOf(trainSchema, config), link.chain, ...contents]);
  const where = join("stages", `${link.label}-s${link.seed}-${id}`);
  const base = { id, label: `train ${link.label}, seed ${link.seed}`, folder: where, needs: link.needs };
  return { ...base, kind: "train", command, config: { ...config, out: join(folder, where) } };
}

function evalJob(
  { experiment, folder, hashes }: Place,
  evaluation: Experiment["evaluations"][number],
  link: Link & { system: string | undefined },
): Job {
  const { settings } = evaluation;
  const task = taskByName(settings.task);
  // Plain texts are not asked about: with a spec before the questions, a model reads them as it does without.
  const isTold = link.system !== undefined && !task.readsText;
  const shared = {
    ...settings,
    ...(isTold && { system: link.system }),
    model: experiment.model,
    tokenizer: experiment.tokenizer,
    seed: link.seed,
  };
  const config = evalSchema.parse({ ...shared, adapter: link.adapter, out: folder });
  const { data, system } = config;
  const contents = [dataOf(task, data), ...(system === null ? [] : [[system]])].map(hashes.of);
  // Control questions change no other answer, and so no name; by log-probability is how a choice was always asked.
  const ask = task.asks ? (config.ask ?? DEFAULT_ASK) : "logprob";
  const identity = identityOf(evalSchema, { ...config, ask: ask === "logprob" ? null : ask });
  const id = identify([identity, task.version, link.chain, ...contents]);
  const where = join("evaluations", `${evaluation.name}-${id}`);
  const base = {
    id,
    label: `${evaluation.name} of ${link.label}, seed ${link.seed}`,
    folder: where,
    needs: link.needs,
  };
  return { ...base, kind: "eval", config: { ...config, out: join(folder, where) } };
}

function identify(parts: unknown): string {
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex").slice(0, 12);
}

function addOnce(jobs: Job[], job: Job): void {
  if (!jobs.some(({ id }) => id === job.id)) jobs.push(job);
}

function sweptArms({ arms: names }: Sweep, arms: readonly Arm[]): Arm[] {
  return names.flatMap((wanted) => arms.filter(({ id, kind }) => id === wanted || kind === wanted));
}

/** The arm with one setting of its `midtrain` or `aft` stages changed. */
function withSetting(arm: Arm, { setting }: Sweep, value: number): Arm {
  const [command, key] = setting.split(".") as [string, string];
  const stages = arm.stages.map((stage) =>
    stage.command === command ? { ...stage, settings: { ...stage.settings, [key]: value } } : stage,
  );
  return { ...arm, stages };
}
