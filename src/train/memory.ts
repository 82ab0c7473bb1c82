/** @file The memory of a run, by kind, before any of it is taken: micro-batch and recompute are chosen from it. */
import { readFileSync } from "node:fs";
import type { Backend } from "../backend/backend.js";
import type { ComputeDtype } from "../backend/tensor.js";
import { InputError } from "../errors.js";
import type { ModelConfig } from "../formats/decoder-config.js";
import { layoutActivations, RECOMPUTE, type Recompute } from "../model/activations.js";
import { countBytes } from "../model/arena.js";
import { type LoraConfig, planAdapter, planGroups } from "../model/lora.js";
import { layoutWeights } from "../model/weights.js";
import { layoutAdapter, type MicroBatchShape, workspaceBytes } from "./state.js";

/** Enough rows to fill the matrix products of any model; more only costs memory. */
const MAX_MICRO_BATCH_TOKENS = 8192;
/** Left for the process itself, the page cache of the data, and per-thread scratch. */
const RESERVE_BYTES = 512 * 2 ** 20;

/** How the rows of a step are split; gradients are summed in this order, so a run that continues keeps it to the last bit. */
export interface StepSplit {
  rowsPerMicroBatch: number;
  recompute: Recompute;
}

export interface MemoryPlan extends MicroBatchShape {
  rowsPerMicroBatch: number;
  bytes: { weights: number; adapter: number; activations: number; workspace: number };
  totalBytes: number;
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
}

/** What this process may still take: of the machine, or of the container's limit. */
export function memoryBudget(backend: Backend): number {
  if (backend.info.backend === "cuda") return backend.info.memoryBytes;
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
 * The largest micro-batch that fits without recompute, else with as little recompute as fits; `split` where it is given.
 * @throws InputError naming the largest --seq-len that fits, where one row does not
 */
export function planMemory(
  backend: Backend,
  shape: RunShape,
  budgetBytes: number,
  split: StepSplit | null = null,
): MemoryPlan {
  if (split) {
    const plan = planBytes(backend, shape, split.rowsPerMicroBatch, split.recompute);
    if (plan.totalBytes <= budgetBytes) return { ...plan, budgetBytes };
    throw new InputError(
      `not enough memory to continue as the run began: it needs ${formatBytes(plan.totalBytes)}, ` +
        `${formatBytes(budgetBytes)} are available. Free some, or begin again with another --out`,
    );
  }
  const plan = fittingPlan(backend, shape, budgetBytes);
  if (plan) return plan;
  let seqLen = Math.floor(shape.seqLen / 2);
  while (seqLen >= 16 && !fittingPlan(backend, { ...shape, seqLen }, budgetBytes)) seqLen = Math.floor(seqLen / 2);
  const least = planBytes(backend, shape, 1, "block");
  const need = `one row of ${shape.seqLen} tokens needs ${formatBytes(least.totalBytes)}, ${formatBytes(budgetBytes)} are available`;
  throw new InputError(
    seqLen >= 16
      ? `not enough memory: ${need}; --seq-len ${seqLen} fits`
      : `not enough memory: ${need}; the weights alone take ${formatBytes(least.bytes.weights)}. Use a smaller model or a machine with more memory`,
  );
}

function fittingPlan(backend: Backend, shape: RunShape, budgetBytes: number): MemoryPlan | null {
  const mostRows = Math.max(1, Math.min(shape.batchSize, Math.floor(MAX_MICRO_BATCH_TOKENS / shape.seqLen)));
  for (const recompute of RECOMPUTE) {
    for (let rows = mostRows; rows >= 1; rows = Math.floor(rows / 2)) {
      const plan = { ...planBytes(backend, shape, rows, recompute), budgetBytes };
      if (plan.totalBytes <= budgetBytes) return plan;
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
  const { config, lora, dtype, seqLen, batchSize } = shape;
  const N = rowsPerMicroBatch * seqLen;
  const microBatches = Math.ceil(batchSize / rowsPerMicroBatch);
  const needed = workspaceBytes(backend, config, dtype, N);
  const bytes = {
    weights: countBytes((alloc) => layoutWeights(alloc, config, dtype, lora, seqLen)),
    adapter: countBytes((alloc) => layoutAdapter(alloc, planAdapter(config, lora))),
    activations: countBytes((alloc) => {
      layoutActivations(alloc, config, planGroups(config, lora), dtype, N, recompute, {
        attentionBackward: 0,
        loss: 0,
      });
      alloc("f32", microBatches, N);
    }),
    workspace: needed.attentionBackward + needed.loss,
  };
  const totalBytes = Object.values(bytes).reduce((sum, part) => sum + part, 0);
  return { N, microBatches, rowsPerMicroBatch, recompute, bytes, totalBytes };
}

export function formatBytes(bytes: number): string {
  return bytes >= 2 ** 30 ? `${(bytes / 2 ** 30).toFixed(2)} GiB` : `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}
