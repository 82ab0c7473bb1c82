/**
 * @file The folder of an evaluation: samples.jsonl, and results.json, which is written last: where it is, the
 * evaluation is finished.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { stageFile, writeAll, writeTextFile } from "../base/atomic.js";
import { InputError } from "../base/errors.js";
import { loadJson } from "../base/json.js";
import { lockFolder } from "../runs/lock.js";
import { differenceOfRuns, type RunConfig } from "../runs/run-folder.js";
import type { Evaluation, Json } from "./task.js";

const MAX_RESULTS_BYTES = 100_000_000;

/**
 * What a finished evaluation with the same settings and inputs wrote into `folder`; where there is none, what `measure`
 * returns, which is to write it there, while no other process may. `onFound` is told that it was finished.
 * @throws InputError where the folder holds another run, cannot be used, or is in use
 */
export async function evaluateOnce(
  folder: string,
  config: RunConfig,
  onFound: () => void,
  measure: () => Promise<Json>,
): Promise<Json> {
  const found = finishedEvaluation(folder, config);
  if (found) {
    onFound();
    return found;
  }
  const unlock = lockFolder(folder);
  try {
    // Another process may have finished it in between.
    const finished = finishedEvaluation(folder, config);
    if (finished) onFound();
    return finished ?? (await measure());
  } finally {
    unlock();
  }
}

function finishedEvaluation(folder: string, config: RunConfig): Json | null {
  const path = join(folder, "results.json");
  const other = `give another --out, or remove the folder`;
  if (existsSync(join(folder, "config.json"))) throw new InputError(`${folder} holds a training run: ${other}`);
  if (!existsSync(path)) return null;
  const previous = loadResults(folder);
  const { settings, inputs } = previous as Pick<RunConfig, "settings" | "inputs">;
  const difference = differenceOfRuns({ settings, inputs }, config);
  if (difference) throw new InputError(`${folder} holds another evaluation (${difference}): ${other}`);
  return previous;
}

/** What results.json holds of a finished evaluation. Throws InputError where there is none, or it is no JSON. */
export function loadResults(folder: string): Json {
  return loadJson(join(folder, "results.json"), MAX_RESULTS_BYTES) as Json;
}

/** Writes both files whole or not at all. Returns what results.json holds. */
export async function writeEvaluation(folder: string, config: RunConfig, evaluation: Evaluation): Promise<Json> {
  const encoder = new TextEncoder();
  const staged = await stageFile(join(folder, "samples.jsonl"), (fd) => {
    for (const sample of evaluation.samples) writeAll(fd, encoder.encode(`${JSON.stringify(sample)}\n`));
  });
  staged.commit();
  const { settings, inputs, versions } = config;
  const all = {
    task: settings["task"],
    version: settings["version"],
    results: evaluation.results,
    settings,
    inputs,
    versions,
  };
  await writeTextFile(join(folder, "results.json"), `${JSON.stringify(all, null, 2)}\n`);
  return all;
}
