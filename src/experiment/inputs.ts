/** @file What the inputs of an experiment hold, so that results of different inputs are never mixed. */
import { createHash } from "node:crypto";
import { hashFile } from "../base/hash.js";
import { hashModel, resolveFolders } from "../chat/load.js";
import { type DataFile, openDataFiles } from "../corpus/files.js";
import { dataOf, loadSamples } from "../eval/samples.js";
import { taskByName } from "../eval/tasks/by-name.js";
import type { HubProgress } from "../formats/hub/download.js";
import { expandArms } from "./arms.js";
import type { Experiment } from "./file.js";
import type { InputHashes } from "./matrix.js";

/** Reads and hashes every input, downloading what is on the hub. Throws InputError naming what is missing. */
export async function hashInputs(experiment: Experiment, onDownload: HubProgress): Promise<InputHashes> {
  const { model, tokenizer } = experiment;
  const hashOf = async (adapter: string | null): Promise<string> => {
    const hashes = await hashModel(await resolveFolders({ model, adapter, tokenizer, onDownload }));
    return digest(adapter === null ? [hashes.model, hashes.tokenizer] : hashes.adapter);
  };
  const arms = expandArms(experiment);
  const adapters = new Map<string, string>();
  for (const { adapter } of arms) if (adapter !== null) adapters.set(adapter, await hashOf(adapter));
  const data = new Map<string, string>();
  const add = (args: readonly string[], files: readonly DataFile[]): void => {
    data.set(JSON.stringify(args), digest(files.map(({ sha256 }) => sha256)));
  };
  for (const { stages } of arms)
    for (const { corpus, mix, settings } of stages) {
      const heldout = (settings["heldout"] ?? []) as string[];
      for (const args of [corpus.data, mix?.data ?? []]) add(args, await openDataFiles(args));
      add(heldout, await openDataFiles(heldout, { option: "heldout" }));
    }
  for (const { settings } of experiment.evaluations) {
    const task = taskByName(settings.task);
    add(dataOf(task, settings.data), (await loadSamples(task, settings.data, 1)).files);
  }
  const texts = [...arms, ...experiment.evaluations.map(({ settings }) => settings)].map(({ system }) => system);
  for (const path of texts) if (path) data.set(JSON.stringify([path]), await hashFile(path));
  return {
    model: await hashOf(null),
    of: (args) => data.get(JSON.stringify(args))!,
    ofAdapter: (adapter) => adapters.get(adapter)!,
  };
}

function digest(value: unknown): string {
  return createHash("sha256").update(JSON.stringify(value)).digest("hex");
}
