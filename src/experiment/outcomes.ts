/** @file What every cell of the matrix measured, sample by sample, read back from the folders of its evaluations. */
import { createReadStream } from "node:fs";
import { join } from "node:path";
import { RunError } from "../base/errors.js";
import { parseJson } from "../base/json.js";
import { readLines } from "../corpus/lines.js";
import { type DataObject, extraFields, groupSamples } from "../eval/record.js";
import type { Outcome } from "../eval/task.js";
import { taskByName } from "../eval/tasks/by-name.js";
import type { Experiment } from "./file.js";
import type { Job, Matrix } from "./matrix.js";

/** Samples of one evaluation that are reported apart. */
export interface Slice {
  /** "split dev", "split heldout", "all", "split heldout, domain tea". */
  name: string;
  /** Whether it is one of the main ones (all, or the splits): those that are compared. */
  isMain: boolean;
  samples: number[];
}

/** An evaluation over all arms and seeds: the same samples in the same order. */
export interface Measurements {
  evaluation: Experiment["evaluations"][number];
  /** Names of the task's outcomes, the main one first. */
  outcomes: string[];
  slices: Slice[];
  /** Ways in which samples hang together, each a label a sample: those that the experiment names, or the task's. */
  clusters: string[][];
  /** The task's, for slices within one label of `clusters`. */
  finestClusters: string[][];
  /** By job: outcome -> one value a sample; null: the sample has nothing to do with it. */
  values: Map<string, Record<string, (Outcome | null)[]>>;
  records: DataObject[];
}

/** Reads the samples of every evaluation. Throws RunError where one is not finished. */
export async function readMeasurements(experiment: Experiment, matrix: Matrix): Promise<Measurements[]> {
  const all: Measurements[] = [];
  for (const evaluation of experiment.evaluations) {
    const cells = matrix.cells.filter((cell) => cell.evaluation === evaluation.name);
    const jobs = matrix.jobs.filter(({ id }) => cells.some(({ job }) => job === id));
    all.push(await readEvaluation(evaluation, jobs));
  }
  return all;
}

async function readEvaluation(evaluation: Measurements["evaluation"], jobs: readonly Job[]): Promise<Measurements> {
  const task = taskByName(evaluation.settings.task);
  const values: Measurements["values"] = new Map();
  let records: DataObject[] = [];
  for (const job of jobs) {
    const rows: { record: DataObject; score: unknown }[] = [];
    const path = join(job.config.out, "samples.jsonl");
    for await (const { text, line } of readLines(createReadStream(path), path))
      rows.push(parseJson(text, `${path} line ${line}`) as (typeof rows)[number]);
    const outcomes = rows.map(({ score }) => task.outcomes(score));
    const names = Object.keys(outcomes[0] ?? {});
    values.set(job.id, Object.fromEntries(names.map((name) => [name, outcomes.map((one) => one[name] ?? null)])));
    records = rows.map(({ record }) => record);
  }
  const first = values.values().next().value;
  if (!first) throw new RunError(`${evaluation.name}: no arm was evaluated`);
  const names = Object.keys(first);
  const main = evaluation.outcome ?? names[0]!;
  if (!names.includes(main))
    throw new RunError(
      `${evaluation.name}: ${evaluation.settings.task} has no outcome ${main}; it has ${names.join(", ")}`,
    );
  // Kinds of cells that were not asked for have outcomes of which nothing is known.
  const known = names.filter((name) => [...values.values()].some((one) => one[name]!.some((value) => value !== null)));
  // Who names an outcome wants to see that one; the others are those of the evaluation that names none.
  const isShown = (name: string): boolean => evaluation.outcome === undefined || name === decidedName(main, known);
  const outcomes = [main, ...known.filter((name) => name !== main && isShown(name))];
  const finestClusters = clustersOf(records, task.clusters ?? []);
  const clusters = evaluation.clusters ? namedClusters(records, evaluation) : finestClusters;
  const slices = sliceSamples(records, task.fields ?? []);
  return { evaluation, outcomes, slices, clusters, finestClusters, values, records };
}

/** By the first of the lists of fields that all records have; none: every sample by itself. */
function clustersOf(records: readonly DataObject[], lists: readonly (readonly string[])[]): string[][] {
  const fields = lists.find((list) => records.every((record) => list.every((field) => field in record))) ?? [];
  return fields.map((field) => records.map((record) => JSON.stringify(record[field])));
}

function namedClusters(records: readonly DataObject[], { name, clusters }: Measurements["evaluation"]): string[][] {
  const missing = clusters!.find((field) => records.some((record) => !(field in record)));
  if (missing === undefined) return clustersOf(records, [clusters!]);
  throw new RunError(`evaluations.${name}: clusters names ${missing}, which some records do not have`);
}

/** What of an outcome is decided. */
export function decidedValue(outcome: Outcome | null | undefined): number | null {
  return typeof outcome === "object" ? (outcome?.value ?? null) : (outcome ?? null);
}

/** What it would be with all that is undecided counted for the lowest or the highest value. */
export function boundOf(outcome: Outcome | null | undefined, end: "low" | "high"): number | null {
  return typeof outcome === "object" ? (outcome?.[end] ?? null) : (outcome ?? null);
}

/** The outcome that says how much of `outcome` was decided, among `names`: its own, or that of the task's main one. */
export function decidedName(outcome: string, names: readonly string[]): string {
  return names.find((name) => name === `${outcome} decided`) ?? "decided";
}

/**
 * By `split` and all together where the records have one (otherwise all at once), and within the held-out half (or all)
 * by every other field that divides the records.
 */
function sliceSamples(records: readonly DataObject[], asked: readonly string[]): Slice[] {
  const groups = groupSamples(records.map((record) => extraFields(record, asked)));
  const splits = groups.get("split");
  const main: Slice[] = splits
    ? [...splits].map(([value, samples]) => ({ name: `split ${value}`, isMain: true, samples }))
    : [{ name: "all", isMain: true, samples: records.map((_, i) => i) }];
  const base = main.find(({ name }) => name === "split heldout") ?? main[0]!;
  const inBase = new Set(base.samples);
  const parts = [...groups].flatMap(([field, byValue]) =>
    field === "split"
      ? []
      : [...byValue].map(([value, samples]) => {
          const kept = samples.filter((i) => inBase.has(i));
          return { name: `${base.name}, ${field} ${value}`, isMain: false, samples: kept };
        }),
  );
  const whole = splits ? [{ name: "all", isMain: false, samples: records.map((_, i) => i) }] : [];
  return [...main, ...whole, ...parts.filter(({ samples }) => samples.length > 0)];
}
