/** @file The folder of an evaluation: config.json (what was asked, and of what), samples.jsonl, and results.json, which is written last. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { stageFile, writeAll } from "../formats/atomic.js";
import { loadJson } from "../formats/json.js";
import { openRunFolder, type RunConfig, writeTextFile } from "../train/run-folder.js";
import type { Evaluation } from "./evaluate.js";
import type { Json } from "./task.js";

const MAX_RESULTS_BYTES = 100_000_000;

/**
 * Makes the folder, or finds what a finished evaluation with the same settings and inputs wrote there; null where it is still to be done.
 * @throws InputError where the folder holds another run
 */
export async function openEvalFolder(folder: string, config: RunConfig): Promise<Json | null> {
  await openRunFolder(folder, config);
  const path = join(folder, "results.json");
  return existsSync(path) ? (loadJson(path, MAX_RESULTS_BYTES) as Json) : null;
}

/** Writes both files whole or not at all; results.json says that the evaluation is finished. Returns what it holds. */
export async function writeEvaluation(
  folder: string,
  config: RunConfig,
  task: { name: string; version: number },
  { results, samples }: Evaluation,
): Promise<Json> {
  const encoder = new TextEncoder();
  const staged = await stageFile(join(folder, "samples.jsonl"), (fd) => {
    for (const sample of samples) writeAll(fd, encoder.encode(`${JSON.stringify(sample)}\n`));
  });
  staged.commit();
  const { settings, inputs, versions } = config;
  const all = { task: task.name, version: task.version, results, settings, inputs, versions };
  await writeTextFile(join(folder, "results.json"), `${JSON.stringify(all, null, 2)}\n`);
  return all;
}
