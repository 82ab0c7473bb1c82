/** @file The plan of a run, printed before its first step. */

import { formatBytes } from "../base/bytes.js";
import { meaningOf } from "../corpus/forms.js";
import { formatPreview } from "../corpus/stats.js";
import { planAdapter } from "../model/lora.js";
import type { RunPlan } from "../train/plan.js";
import { peakRate, resolveWarmup } from "../train/schedule.js";
import { encodingNotes, rowNotes } from "./data-notes.js";
import { formatDuration } from "./progress.js";
import { formatRate, rateNotes } from "./rate-notes.js";

const PREVIEW_TOKENS = 120;

const number = (value: number): string => value.toLocaleString("en-US");

/** The plan as plain data, for --json. */
export function planRecord(plan: RunPlan): Record<string, unknown> {
  const { config, lora, model, stats, batches, memory, seconds } = plan;
  return {
    type: "plan",
    ...stats,
    steps: batches.steps,
    stepsPerEpoch: batches.stepsPerEpoch,
    warmupSteps: resolveWarmup(config.warmup, batches.steps),
    peakRate: peakRate(config, batches.steps),
    seqLen: config.seqLen,
    batchSize: config.batchSize,
    rowsPerMicroBatch: memory.rowsPerMicroBatch,
    recompute: memory.recompute,
    trainableParameters: planAdapter(model, lora).count,
    memoryBytes: { ...memory.bytes, total: memory.totalBytes, available: memory.budgetBytes },
    forecastSeconds: Math.round(seconds),
  };
}

/** The plan for people: data, steps, adapter, memory, time. */
export function formatPlan(plan: RunPlan): string {
  const { config, lora, model, stats, batches, memory, seconds } = plan;
  const { records, tokens, targetTokens, rows, paddingShare } = stats;
  const { weights, adapter, activations, workspace } = memory.bytes;
  const warmup = resolveWarmup(config.warmup, batches.steps);
  const accumulation =
    memory.microBatches > 1 ? `, ${memory.microBatches} micro-batches of ${memory.rowsPerMicroBatch}` : "";
  const rounds = batches.steps / batches.stepsPerEpoch;
  const lines = [
    [
      "model",
      `${model.family}, ${model.numLayers} layers, hidden ${model.hiddenSize}, vocabulary ` +
        `${number(model.vocabSize)}, ${config.dtype}`,
    ],
    ["data", `${number(records)} records, ${number(tokens)} tokens, ${number(targetTokens)} of them targets`],
    ...formLines(plan),
    ["rows", `${number(rows)} of ${config.seqLen} tokens, ${(100 * paddingShare).toFixed(1)} % padding`],
    ["steps", `${number(batches.steps)} of ${config.batchSize} rows${accumulation}; ${rounds.toFixed(2)} epochs`],
    [
      "rate",
      `${config.lr} ${config.schedule}, reached ${formatRate(peakRate(config, batches.steps))}, warm-up ${warmup} ` +
        `steps, weight decay ${config.weightDecay}, clip ${config.clip}`,
    ],
    [
      "adapter",
      `r ${lora.r}, alpha ${lora.alpha}${lora.useRslora ? " (rslora)" : ""}, ${lora.targets.join(" ")}: ` +
        `${number(planAdapter(model, lora).count)} parameters`,
    ],
    [
      "memory",
      `${formatBytes(memory.totalBytes)} of ${formatBytes(memory.budgetBytes)}: weights ${formatBytes(weights)}, ` +
        "adapter and optimiser " +
        `${formatBytes(adapter)}, activations ${formatBytes(activations)} (recompute: ${memory.recompute}), ` +
        `workspace ${formatBytes(workspace)}`,
    ],
    ["forecast", `about ${formatDuration(seconds)}`],
  ];
  const notes = notesOf(plan).map((note) => ["note", note]);
  return [...lines, ...notes].map(([name, text]) => `${`${name}`.padEnd(9)}${text}`).join("\n");
}

/** What the records are read as, and where that is not what the command is for. */
function formLines({ command, stats }: RunPlan): [string, string][] {
  return Object.entries(stats.forms).map(([form, count]): [string, string] => {
    const isExpected = form === "{input_ids}" || (form === "{text}") === (command === "midtrain");
    const unexpected =
      command === "aft" ? "aft trains on every token of it, as midtrain does" : "midtrain trains on it as aft does";
    return ["records", `${number(count)} ${form}: ${meaningOf(form)}${isExpected ? "" : `; ${unexpected}`}`];
  });
}

/** What a person should know: what happened to the data, and what is not applied. */
function notesOf({ config, batches, stats, dataset: { firstSkipped }, heldout, dropout }: RunPlan): string[] {
  return [
    ...rateNotes(config, batches.steps),
    ...(dropout > 0 ? [`the adapter was trained with lora_dropout ${dropout}; it goes on without dropout`] : []),
    ...rowNotes(stats),
    ...encodingNotes(stats),
    ...(firstSkipped === null ? [] : [`the first bad row: ${firstSkipped}`]),
    ...(heldout === null ? [] : encodingNotes(heldout.dataset.notes).map((note) => `held-out data: ${note}`)),
  ];
}

/** The beginning of the first row that will be trained on, targets marked, and the tokens that end things. */
export function formatFirstRow(plan: RunPlan, color: boolean): string {
  const { tokenizer, batches } = plan;
  const nameOf = (id: number | undefined): string =>
    id === undefined ? "none" : (tokenizer.tokenText(id) ?? String(id));
  const preview = formatPreview(batches.batchRows(0)[0]!, tokenizer, { color, maxTokens: PREVIEW_TOKENS });
  return (
    `end of text ${nameOf(tokenizer.endOfTextId)}, end of turn ${nameOf(tokenizer.endOfTurnId)}; the first row, ` +
    `targets ${color ? "in green" : "in ⟦ ⟧"}:\n` +
    preview.replace(/^/gm, "  ")
  );
}
