/** @file What an experiment's stages changed in the weights: how large, in which layers, and how far AFT turned it. */
import { join } from "node:path";
import { readAdapter } from "../formats/adapter.js";
import { compareUpdates, layerNorms } from "../model/adapter-update.js";
import type { Job, Matrix } from "./matrix.js";

/** The update scale B A of one stage's adapter. */
export interface StageUpdate {
  job: string;
  label: string;
  /** Frobenius norm over all layers, and of each. */
  norm: number;
  layers: number[];
  /** Of a stage that goes on with another's adapter; null: it began with none. */
  continued: ContinuedUpdate | null;
}

interface ContinuedUpdate {
  /** The job whose adapter it goes on with. */
  from: string;
  /** Between the two updates, over all weights as one vector; null where one is 0. */
  cosine: number | null;
  /** The same of each adapted weight, by "layer.projection". */
  tensors: Record<string, number | null>;
  /** What is at right angles to the first update, as a share of its norm. */
  added: number | null;
}

/** Of every stage of the arms as the file gives them; sweeps are left out. */
export function readUpdates({ jobs, cells }: Matrix): StageUpdate[] {
  const wanted = new Set<string>();
  const want = (id: string): void => {
    wanted.add(id);
    for (const parent of jobs.find((job) => job.id === id)!.needs) want(parent);
  };
  for (const { job, sweep } of cells) if (sweep === null) want(job);
  return jobs.flatMap((job) => (job.kind === "train" && wanted.has(job.id) ? [updateOf(job, jobs)] : []));
}

function updateOf(job: Job, jobs: readonly Job[]): StageUpdate {
  const adapter = readAdapter(adapterOf(job));
  const layers = layerNorms(adapter);
  const parent = jobs.find(({ id }) => id === job.needs[0]);
  const stage = { job: job.id, label: job.label, norm: Math.hypot(...layers), layers };
  if (!parent) return { ...stage, continued: null };
  const { whole, tensors, added } = compareUpdates(readAdapter(adapterOf(parent)), adapter);
  const cosines = Object.fromEntries(Object.entries(tensors).map(([key, { cosine }]) => [key, cosine]));
  return { ...stage, continued: { from: parent.id, cosine: whole.cosine, tensors: cosines, added } };
}

function adapterOf({ config }: Job): string {
  return join(config.out, "adapter");
}
