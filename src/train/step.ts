/** @file One optimiser step: rows to micro-batches, gradients, clipping, AdamW. */
import { readFloats, writeTensor } from "../backend/backend.js";
import { rows } from "../backend/tensor.js";
import { NO_TARGET } from "../corpus/encode.js";
import type { Row } from "../corpus/pack.js";
import { decoderForwardBackward, decoderLosses } from "../model/decoder.js";
import { firstOutside } from "../shape/token-ids.js";
import { storeParams, type TrainState } from "./state.js";

/** AdamW's settings for one step. `step` counts from 1 (bias correction). */
export interface StepSettings {
  step: number;
  lr: number;
  beta1: number;
  beta2: number;
  eps: number;
  weightDecay: number;
  /** 0: no clipping. */
  clipNorm: number;
}

export interface StepResult {
  /** Mean over the target tokens of the step. */
  loss: number;
  /** Before clipping. */
  gradNorm: number;
  /** False where the loss or a gradient was not finite: parameters and moments are as before. */
  applied: boolean;
}

/**
 * Trains on `batch`, the rows of one optimiser step; all of them have the same length. All of the step's work is
 * enqueued when the call returns its promise: the next step may be enqueued before this one's result is there.
 */
export async function trainStep(state: TrainState, batch: Row[], settings: StepSettings): Promise<StepResult> {
  const { decoder, adapter, activations, grads, recordings } = state;
  const { backend } = decoder;
  // A batch without a target (only prompts of split chats) has loss and gradient 0.
  const targetTokens = Math.max(1, countTargets(batch));
  const microBatches = splitMicroBatches(batch, activations.N);
  writeTensor(backend, activations.batch.dscale, Float32Array.of(1 / targetTokens));
  writeTensor(backend, adapter.hyper, packHyper(settings));
  microBatches.forEach((microBatch, i) => {
    writeMicroBatch(state, microBatch);
    const accumulate = i > 0;
    recordings.run(accumulate ? "backward, accumulate" : "backward", () =>
      decoderForwardBackward(decoder, activations, grads, accumulate),
    );
    backend.ops.convert({ dst: rows(state.losses, i, 1), src: activations.batch.losses });
  });
  recordings.run("update", () => {
    backend.ops.gradnorm({ out: adapter.gradnorm, grads: adapter.grads });
    backend.ops.adamw(adapter);
    storeParams(state);
  });
  const [sum, norm] = await Promise.all([sumLosses(state, microBatches.length), readFloats(backend, adapter.gradnorm)]);
  const gradNorm = norm[0]!;
  return { loss: sum / targetTokens, gradNorm, applied: Number.isFinite(gradNorm) };
}

/** Mean loss over the target tokens of `data`, nothing trained. */
export async function evaluateLoss(state: TrainState, data: Row[]): Promise<number> {
  const { decoder, activations, recordings } = state;
  let total = 0;
  for (const microBatch of splitMicroBatches(data, activations.N)) {
    writeMicroBatch(state, microBatch);
    recordings.run("losses", () => decoderLosses(decoder, activations));
    decoder.backend.ops.convert({ dst: rows(state.losses, 0, 1), src: activations.batch.losses });
    total += await sumLosses(state, 1);
  }
  return total / countTargets(data);
}

export function countTargets(batch: Row[]): number {
  let count = 0;
  for (const { targets } of batch) for (const target of targets) if (target >= 0) count++;
  return count;
}

function splitMicroBatches(batch: Row[], N: number): Row[][] {
  const rowsAtOnce = N / batch[0]!.ids.length;
  const microBatches: Row[][] = [];
  for (let i = 0; i < batch.length; i += rowsAtOnce) microBatches.push(batch.slice(i, i + rowsAtOnce));
  return microBatches;
}

/** Rows one after the other; what is left of N is padding: tokens of their own segments without a target. */
function writeMicroBatch(state: TrainState, microBatch: Row[]): void {
  const { N, batch } = state.activations;
  const values = new Int32Array(4 * N);
  const row = (i: number): Int32Array => values.subarray(i * N, (i + 1) * N);
  const ids = row(0);
  const positions = row(1);
  const starts = row(2);
  const targets = row(3);
  for (let n = 0; n < N; n++) starts[n] = n;
  targets.fill(NO_TARGET);
  microBatch.forEach((row, i) => {
    const begin = i * row.ids.length;
    ids.set(row.ids, begin);
    positions.set(row.positions, begin);
    targets.set(row.targets, begin);
    row.starts.forEach((start, n) => {
      starts[begin + n] = begin + start;
    });
  });
  checkInputs(state, ids, targets);
  writeTensor(state.decoder.backend, batch.inputs, values);
}

/** Kernels trust what they are given: the plan has checked the data, and nothing else may get here. */
function checkInputs({ decoder }: TrainState, ids: Int32Array, targets: Int32Array): void {
  const { vocabSize } = decoder.config;
  const wrong =
    firstOutside(ids, vocabSize) ??
    firstOutside(
      targets.filter((target) => target !== NO_TARGET),
      vocabSize,
    );
  if (wrong !== null) throw new RangeError(`token id ${wrong}: the model has 0 to ${vocabSize - 1}`);
}

/** Summed in f64, in order: the same value for every split into micro-batches. */
async function sumLosses(state: TrainState, microBatches: number): Promise<number> {
  let total = 0;
  for (const loss of await readFloats(state.decoder.backend, rows(state.losses, 0, microBatches))) total += loss;
  return total;
}

function packHyper({ step, lr, beta1, beta2, eps, weightDecay, clipNorm }: StepSettings): Float32Array {
  return Float32Array.of(lr, 1 - beta1 ** step, 1 - beta2 ** step, beta1, beta2, eps, weightDecay, clipNorm);
}
