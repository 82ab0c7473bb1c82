/** @file `merge`: model and adapter as one plain checkpoint. */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import type { Command } from "commander";
import type { Backend } from "../backend/backend.js";
import { openBackend } from "../backend/open.js";
import { loadModel, resolveFolders, TOKENIZER_FILES } from "../chat/load.js";
import { type MergeConfig, mergeSchema } from "../config/inference.js";
import { parseOptions } from "../config/options.js";
import { readAdapter } from "../formats/adapter.js";
import { openCheckpoint } from "../formats/checkpoint.js";
import { checkEmpty, mergeCheckpoint } from "../jobs/merge.js";
import { adapterLora } from "../model/load-adapter.js";
import { compareLogits, type LogitDifference, PROBE_TEXT, probeLogits } from "../model/probe.js";
import { downloadProgress } from "../terminal/download.js";
import { openProgress, type Progress } from "../terminal/progress.js";
import { addOptions } from "./options.js";

/** Adds `merge`. */
export function addMergeCommand(program: Command): void {
  const command = program
    .command("merge")
    .summary("write model and adapter as one plain checkpoint")
    .description(
      "Writes W + scale B A, summed in f32 and rounded once to the stored dtype, in the model's own files. Then " +
        "a fixed text is run through\n" +
        "model + adapter and through the result, and the largest difference of the logits is reported.",
    );
  addOptions(command, mergeSchema)
    .option("--json", "print {out, probe} as JSON on stdout")
    .addHelpText(
      "after",
      "\nExample:\n  train-msm merge --model models/miniature --adapter runs/aft/adapter --out merged",
    )
    .action(async (options: Record<string, unknown>) => {
      const { json = false, ...settings } = options;
      await runMerge({ ...parseOptions(mergeSchema, settings), json: json === true });
    });
}

/** Runs `merge`. */
async function runMerge({ json, ...config }: MergeConfig & { json: boolean }): Promise<void> {
  const progress = openProgress(json);
  checkEmpty(config.out);
  const backend = await openBackend(config.backend, config);
  try {
    await writeMerged(backend, config, progress);
    const probe = config.probe ? await compareMerged(backend, config, progress) : null;
    if (json) process.stdout.write(`${JSON.stringify({ out: config.out, probe })}\n`);
    else process.stdout.write(`${config.out} written\n${probe ? `${describeProbe(probe)}\n` : ""}`);
  } finally {
    backend.close();
  }
}

async function writeMerged(backend: Backend, config: MergeConfig, progress: Progress): Promise<void> {
  const { folder, adapterFolder } = await resolveFolders({ ...config, onDownload: downloadProgress(progress) });
  const checkpoint = openCheckpoint(folder);
  try {
    const adapter = readAdapter(adapterFolder!);
    adapterLora(adapter, checkpoint.config, `--adapter ${config.adapter}`);
    const overlays = tokenizerFiles(adapterFolder!);
    const replaced = overlays.length > 0 ? TOKENIZER_ONLY : [];
    await mergeCheckpoint(backend, checkpoint, adapter, config.out, { overlays, replaced }, (done, total) =>
      progress.update(`merging: tensor ${done} of ${total}`, done === total),
    );
  } finally {
    checkpoint.close();
  }
}

/**
 * Everything that makes a tokenizer and its chat template: parts of two do not go together. generation_config.json is
 * the model's.
 */
const TOKENIZER_ONLY = [
  ...TOKENIZER_FILES.filter((name) => name !== "generation_config.json"),
  "added_tokens.json",
  "vocab.json",
  "merges.txt",
  "tokenizer.model",
];

/** The tokenizer that came with the adapter and that `loadModel` would use. */
function tokenizerFiles(adapterFolder: string): string[] {
  if (!existsSync(join(adapterFolder, "tokenizer.json"))) return [];
  return readdirSync(adapterFolder)
    .filter((name) => TOKENIZER_ONLY.includes(name))
    .map((name) => join(adapterFolder, name));
}

/** Model + adapter against the merged checkpoint, one in memory at a time. */
async function compareMerged(backend: Backend, config: MergeConfig, progress: Progress): Promise<LogitDifference> {
  progress.print("comparing logits");
  const run = async (model: string, adapter: string | null): Promise<{ logits: Float32Array; vocabSize: number }> => {
    const loaded = await loadModel(backend, { model, adapter, dtype: config.dtype });
    const ids = loaded.tokenizer.encode(PROBE_TEXT).slice(0, loaded.decoder.weights.cos.rows);
    const logits = await probeLogits(loaded.decoder, ids);
    loaded.free();
    return { logits, vocabSize: loaded.decoder.config.vocabSize };
  };
  const before = await run(config.model, config.adapter);
  const after = await run(config.out, null);
  return compareLogits(before.logits, after.logits, before.vocabSize);
}

function describeProbe({ largest, largestLogit, tokens, sameChoice }: LogitDifference): string {
  return (
    `largest logit difference ${largest.toPrecision(3)} (largest logit ${largestLogit.toPrecision(3)}) over ` +
    `${tokens} tokens; ` +
    `the same token is most likely after ${sameChoice} of them`
  );
}
