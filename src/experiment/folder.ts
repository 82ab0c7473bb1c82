/**
 * @file The folder of an experiment: matrix.json (what belongs to it), stages/, evaluations/, results.json,
 * results.csv, report.html.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { writeTextFile } from "../base/atomic.js";
import { InputError } from "../base/errors.js";
import { makeFolder } from "../base/file.js";
import { loadJson } from "../base/json.js";
import { isDone } from "./execute/done.js";
import type { Experiment } from "./file.js";
import type { Cell, Job, Matrix } from "./matrix.js";

const MAX_MATRIX_BYTES = 100_000_000;

/** What is finished of an experiment: the arms of which everything is, and of the sweeps what is there. */
export function finishedPart(experiment: Experiment, matrix: Matrix): { experiment: Experiment; matrix: Matrix } {
  const jobs = matrix.jobs.filter(isDone);
  const isCellDone = ({ job }: Cell): boolean => jobs.some(({ id }) => id === job);
  const arms = matrix.arms.filter(({ id }) =>
    matrix.cells.every((cell) => cell.arm !== id || cell.sweep !== null || isCellDone(cell)),
  );
  const cells = matrix.cells.filter((cell) => isCellDone(cell) && arms.some(({ id }) => id === cell.arm));
  const evaluations = experiment.evaluations.filter(({ name }) => cells.some(({ evaluation }) => evaluation === name));
  return { experiment: { ...experiment, evaluations }, matrix: { arms, cells, jobs } };
}

/**
 * What matrix.json holds, its jobs in `folder` wherever that is now. Throws InputError where `folder` is no
 * experiment's.
 */
export function readMatrix(folder: string): { experiment: Experiment; matrix: Matrix } {
  const path = join(folder, "matrix.json");
  if (!existsSync(path)) throw new InputError(`${folder} holds no experiment: ${path} is missing`);
  const { experiment, ...matrix } = loadJson(path, MAX_MATRIX_BYTES) as Matrix & { experiment: Experiment };
  const placed = matrix.jobs.map((job): Job => {
    const parent = matrix.jobs.find(({ id }) => id === job.needs[0]);
    const adapter = parent ? join(folder, parent.folder, "adapter") : job.config.adapter;
    return { ...job, config: { ...job.config, adapter, out: join(folder, job.folder) } } as Job;
  });
  return { experiment, matrix: { ...matrix, jobs: placed } };
}

/** Makes the folder, with the matrix that its jobs belong to. */
export async function writeMatrix(folder: string, experiment: Experiment, matrix: Matrix): Promise<void> {
  makeFolder(folder);
  await writeTextFile(join(folder, "matrix.json"), `${JSON.stringify({ experiment, ...matrix }, null, 1)}\n`);
}
