/** @file The memory of a run, by kind, before any of it is taken: micro-batch and recompute are chosen from it. */

import { readFileSync } from "node:fs";
import type { Backend } from "../backend/backend.js";
import type { ComputeDtype } from "../backend/tensor.js";
import { formatBytes } from "../base/bytes.js";
import { InputError } from "../base/errors.js";
import { layoutActivations, RECOMPUTE, type Recompute } from "../model/activations.js";
import { type Extent, measure, NOTHING, oversize } from "../model/arena.js";
import { type LoraConfig, planAdapter, planGroups } from "../model/lora.js";
import { measureSession, type SessionShape } from "../model/session.js";
import { layoutWeights } from "../model/weights.js";
import { readRunConfig } from "../runs/run-folder.js";
import type { ModelConfig } from "../shape/config.js";
import { layoutAdapter, type MicroBatchShape, workspaceBytes } from "./state.js";

/** Enough rows to fill the matrix products of any model; more only costs memory. */
const MAX_MICRO_BATCH_TOKENS = 8192;
/** Of the row length that a refusal names. */
const ROW_STEP = 16;
/** Left for the process itself, the page cache of the data, and per-thread scratch. */
const RESERVE_BYTES = 512 * 2 ** 20;

/**
 * How the rows of a step are split; gradients are summed in this order, so a run that continues keeps it to the last
 * bit.
 */
export interface StepSplit {
  rowsPerMicroBatch: number;
  recompute: Recompute;
}

/** The split of the run that `folder` holds, null where it holds none. */
export function readSplit(folder: string): StepSplit | null {
  return (readRunConfig(folder)?.split as StepSplit | undefined) ?? null;
}

export interface MemoryPlan extends MicroBatchShape {
  rowsPerMicroBatch: number;
  positions: number;
  bytes: { weights: number; adapter: number; activations: number; workspace: number };
  totalBytes: number;
  /** The longest single tensor. */
  largest: Extent["largest"];
  /** What the plan had to fit into. */
  budgetBytes: number;
}

export interface RunShape {
  config: ModelConfig;
  lora: LoraConfig;
  dtype: ComputeDtype;
  seqLen: number;
  /** Rows of an optimiser step. */
  batchSize: number;
  /** Positions that RoPE's tables hold: of the rows, and of the samples. */
  positions: number;
  /** The session that draws samples between steps. Null: none. */
  sampling: SessionShape | null;
}

/** What this process may still take: of the GPU; of the machine, or of the container's limit. */
export function memoryBudget(backend: Backend): number {
  if (backend.limits.memoryBytes !== null) return backend.limits.memoryBytes;
  return Math.max(
    0,
    Math.min(process.availableMemory?.() ?? Number.POSITIVE_INFINITY, availableOnMachine()) - RESERVE_BYTES,
  );
}

function availableOnMachine(): number {
  try {
    const match = /MemAvailable:\s+(\d+) kB/.exec(readFileSync("/proc/meminfo", "utf8"));
    return match ? Number(match[1]) * 1024 : Number.POSITIVE_INFINITY;
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}

/**
 * The largest micro-batch that fits without recompute, else with as little recompute as fits; `split` where it is
 * given.
 * @throws InputError naming the setting to change, where one row does not fit
 */
export function planMemory(
  backend: Backend,
  shape: RunShape,
  budgetBytes: number,
  split: StepSplit | null = null,
): MemoryPlan {
  if (split) {
    const plan = planBytes(backend, shape, split.rowsPerMicroBatch, split.recompute);
    if (fits(backend, plan, budgetBytes)) return { ...plan, budgetBytes };
    throw new InputError(
      `not enough memory to continue as the run began: ${shortage(backend, plan, budgetBytes, "it")}. ` +
        "Free some, or begin again with another --out",
    );
  }
  const plan = fittingPlan(backend, shape, budgetBytes);
  if (plan) return plan;
  const least = planBytes(backend, shape, 1, "block");
  const need = shortage(backend, least, budgetBytes, `one row of ${shape.seqLen} tokens`);
  throw new InputError(`not enough memory: ${need}; ${remedy(backend, shape, budgetBytes)}`);
}

type Need = Pick<MemoryPlan, "totalBytes" | "largest">;

/** All of it into the budget, and its largest tensor into one buffer of the backend. */
function fits(backend: Backend, { totalBytes, largest }: Need, budgetBytes: number): boolean {
  return totalBytes <= budgetBytes && oversize(backend, largest) === null;
}

/** Why it does not fit. */
function shortage(backend: Backend, { totalBytes, largest }: Need, budgetBytes: number, what: string): string {
  const inAll = `${what} needs ${formatBytes(totalBytes)}, ${formatBytes(budgetBytes)} are available`;
  return totalBytes > budgetBytes ? inAll : (oversize(backend, largest) ?? inAll);
}

/** What would make one row fit: the setting that is out of proportion, else shorter rows. */
function remedy(backend: Backend, shape: RunShape, budgetBytes: number): string {
  const fitsWith = (change: Partial<RunShape>): boolean =>
    fits(backend, planBytes(backend, { ...shape, ...change }, 1, "block"), budgetBytes);
  const { batchSize, lora } = shape;
  if (fitsWith({ batchSize: 1 })) return `--batch-size ${batchSize} is too large, 1 fits`;
  const seqLen = longestRow(backend, shape, budgetBytes);
  if (seqLen > 0) return `--seq-len ${seqLen} fits`;
  const low = { lora: { ...lora, r: 1 } };
  if (fitsWith(low)) return `--r ${lora.r} is too large, 1 fits`;
  const { bytes, totalBytes } = planBytes(backend, { ...shape, ...low }, 1, "block");
  if (totalBytes <= budgetBytes) return "use a smaller model, or another --backend";
  const { weights } = bytes;
  return `the weights alone take ${formatBytes(weights)}. Use a smaller model or a machine with more memory`;
}

/** The longest row that fits, a multiple of ROW_STEP; 0 where none does. */
function longestRow(backend: Backend, shape: RunShape, budgetBytes: number): number {
  let fitting = 0;
  let tooLong = Math.ceil(shape.seqLen / ROW_STEP);
  while (tooLong - fitting > 1) {
    const middle = Math.floor((fitting + tooLong) / 2);
    const plan = planBytes(backend, { ...shape, seqLen: middle * ROW_STEP }, 1, "block");
    if (fits(backend, plan, budgetBytes)) fitting = middle;
    else tooLong = middle;
  }
  return fitting * ROW_STEP;
}

function fittingPlan(backend: Backend, shape: RunShape, budgetBytes: number): MemoryPlan | null {
  const mostRows = Math.max(1, Math.min(shape.batchSize, Math.floor(MAX_MICRO_BATCH_TOKENS / shape.seqLen)));
  for (const recompute of RECOMPUTE) {
    for (let rows = mostRows; rows >= 1; rows = Math.floor(rows / 2)) {
      const plan = { ...planBytes(backend, shape, rows, recompute), budgetBytes };
      if (fits(backend, plan, budgetBytes)) return plan;
    }
  }
  return null;
}

function planBytes(
  backend: Backend,
  shape: RunShape,
  rowsPerMicroBatch: number,
  recompute: Recompute,
): Omit<MemoryPlan, "budgetBytes"> {
  const { config, lora, dtype, seqLen, batchSize, positions, sampling } = shape;
  const N = rowsPerMicroBatch * seqLen;
  const microBatches = Math.ceil(batchSize / rowsPerMicroBatch);
  const needed = workspaceBytes(backend, config, dtype, N);
  const parts = {
    weights: measure((alloc) => layoutWeights(alloc, config, dtype, lora, positions)),
    adapter: measure((alloc) => layoutAdapter(alloc, planAdapter(config, lora))),
    activations: measure((alloc) => {
      const noWorkspace = { attentionBackward: 0, loss: 0 };
      layoutActivations(alloc, config, planGroups(config, lora), dtype, N, recompute, noWorkspace);
      alloc("the losses of a step", "f32", microBatches, N);
    }),
    sampling: sampling ? measureSession({ backend, config, dtype, lora }, sampling) : NOTHING,
  };
  const bytes = {
    weights: parts.weights.bytes,
    adapter: parts.adapter.bytes,
    activations: parts.activations.bytes,
    workspace: needed.attentionBackward + needed.loss + parts.sampling.bytes,
  };
  const totalBytes = Object.values(bytes).reduce((sum, part) => sum + part, 0);
  const largest = [
    ...Object.values(parts).map((part) => part.largest),
    { name: "the workspace of attention", bytes: needed.attentionBackward },
    { name: "the workspace of the loss", bytes: needed.loss },
  ].reduce((most, tensor) => (tensor.bytes > most.bytes ? tensor : most));
  return { N, microBatches, rowsPerMicroBatch, recompute, positions, bytes, totalBytes, largest };
}
