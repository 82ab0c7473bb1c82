/**
 * @file answers.jsonl.gz: what every sample of every arm and seed was worth, small enough to be kept with a report, so
 * that its intervals can be derived again.
 */
import { gzipSync } from "node:zlib";
import { stageFile, writeAll } from "../base/atomic.js";
import { InputError } from "../base/errors.js";
import { readRecords } from "../corpus/files.js";
import type { Experiment } from "./file.js";
import type { Measurements } from "./outcomes.js";

/** The first line of an evaluation: what its samples are. One line a job follows. */
type Head = Pick<Measurements, "outcomes" | "slices" | "clusters" | "finestClusters" | "records"> & {
  evaluation: string;
};
interface Line {
  job: string;
  values: Measurements["values"] extends Map<string, infer Values> ? Values : never;
}

/** Writes the file whole or not at all. */
export async function writeAnswers(path: string, measured: readonly Measurements[]): Promise<void> {
  const lines = measured.flatMap(({ evaluation, records, values, ...samples }) => {
    const head: Head = { evaluation: evaluation.name, ...samples, records: records.map(keepGroups) };
    const own = [...values].map(([job, all]): Line => {
      const shown = Object.fromEntries(samples.outcomes.map((outcome) => [outcome, all[outcome]!]));
      return { job, values: shown };
    });
    return [head, ...own];
  });
  const bytes = gzipSync(lines.map((line) => `${JSON.stringify(line)}\n`).join(""), { level: 9 });
  const staged = await stageFile(path, (fd) => writeAll(fd, bytes));
  staged.commit();
}

/** What consistency is measured over. */
function keepGroups({ pair, domain }: Measurements["records"][number]): Measurements["records"][number] {
  return { ...(pair !== undefined && { pair }), ...(domain !== undefined && { domain }) };
}

/** Throws InputError naming the line that does not fit the experiment. */
export async function readAnswers(path: string, experiment: Experiment): Promise<Measurements[]> {
  const all: Measurements[] = [];
  for await (const { value, where } of readRecords(path)) {
    const read = value as Head | Line;
    if ("evaluation" in read) {
      const evaluation = experiment.evaluations.find(({ name }) => name === read.evaluation);
      if (!evaluation) throw new InputError(`${where}: the experiment has no evaluation ${read.evaluation}`);
      all.push({ ...read, evaluation, values: new Map() });
    } else {
      const current = all.at(-1);
      if (!current) throw new InputError(`${where}: an evaluation's first line must come before its jobs`);
      current.values.set(read.job, read.values);
    }
  }
  return all;
}
