/** @file The memory of a server, planned before it is taken: weights, cache, and what a pass needs. */
import type { Backend } from "../backend/backend.js";
import type { ComputeDtype } from "../backend/tensor.js";
import { formatBytes } from "../base/bytes.js";
import { InputError } from "../base/errors.js";
import { DEFAULT_POSITIONS } from "../chat/load.js";
import { measure } from "../model/arena.js";
import { measureSession, type SessionShape } from "../model/session.js";
import { layoutWeights } from "../model/weights.js";
import type { ModelConfig } from "../shape/config.js";

/** Cache rows that are planned for each request that runs: a long chat, or several short ones. */
const ROWS_PER_REQUEST = 2048;

export interface ServingPlan {
  /** Tokens of a prompt and its completion at most. */
  maxModelLen: number;
  shape: SessionShape;
  bytes: { weights: number; cache: number; passes: number };
  available: number;
}

export interface ServingSize {
  dtype: ComputeDtype;
  maxModelLen: number | null;
  concurrency: number | null;
  memoryBytes: number;
}

/**
 * `concurrency` requests of 2,048 tokens at once, or fewer rows where the memory is short, but at least one request of
 * `maxModelLen`. Throws InputError where that does not fit.
 */
export function planServing(backend: Backend, config: ModelConfig, size: ServingSize): ServingPlan {
  const { dtype, memoryBytes } = size;
  const most = config.maxPositionEmbeddings;
  if (size.maxModelLen !== null && size.maxModelLen > most)
    throw new InputError(`--max-model-len ${size.maxModelLen}: the model has ${most} positions`);
  const maxModelLen = size.maxModelLen ?? Math.min(most, DEFAULT_POSITIONS);
  const requests = size.concurrency ?? backend.limits.sequences;
  const weights = measure((alloc) => layoutWeights(alloc, config, dtype, null, maxModelLen)).bytes;
  const model = { backend, config, dtype, lora: null };
  const shapeOf = (cacheRows: number): SessionShape => ({
    cacheRows,
    // A pass has room for a token of every request and some of a prompt.
    maxTokens: Math.max(2 * requests, Math.min(backend.limits.prefillTokens, maxModelLen), 4),
    maxLogits: requests,
    maxLosses: 0,
  });
  const passes = measureSession(model, shapeOf(1)).bytes;
  const rowBytes = (measureSession(model, shapeOf(1 + 4096)).bytes - passes) / 4096;
  const affordable = Math.floor((memoryBytes - weights - passes) / rowBytes);
  const wanted = Math.max(maxModelLen, requests * Math.min(maxModelLen, ROWS_PER_REQUEST));
  const cacheRows = Math.min(wanted, affordable);
  if (cacheRows < maxModelLen)
    throw new InputError(
      `not enough memory: weights take ${formatBytes(weights)}, one request of ${maxModelLen} tokens ` +
        `${formatBytes(passes + maxModelLen * rowBytes)}, and ${formatBytes(memoryBytes)} are there; ` +
        `use --max-model-len ${affordable > 0 ? `${affordable} or less` : "N, --concurrency N"}, or a smaller model`,
    );
  const bytes = { weights, cache: cacheRows * rowBytes, passes };
  return { maxModelLen, shape: shapeOf(cacheRows), bytes, available: memoryBytes };
}

/** The plan in lines for people. */
export function formatServingPlan({ maxModelLen, shape, bytes, available }: ServingPlan): string[] {
  const total = bytes.weights + bytes.cache + bytes.passes;
  const number = (value: number): string => value.toLocaleString("en-US");
  return [
    `memory     ${formatBytes(total)} of ${formatBytes(available)}: weights ${formatBytes(bytes.weights)}, cache ` +
      `${formatBytes(bytes.cache)}, passes ${formatBytes(bytes.passes)}; an adapter takes its own when it is loaded`,
    `at once    ${number(shape.maxLogits)} requests, ${number(shape.cacheRows)} tokens of all of them; at most ` +
      `${number(maxModelLen)} of one`,
  ];
}
