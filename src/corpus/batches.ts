/** @file The batches of a run. */

import { InputError } from "../base/errors.js";
import { STREAMS } from "../base/random.js";
import type { Dataset } from "./dataset.js";
import { buildRow, type Packing, packExamples, type Row } from "./pack.js";
import { inOrder, shuffledOrder } from "./shuffle.js";

export interface BatchOptions {
  seqLen: number;
  rowsPerStep: number;
  /** One of the two; with both, `maxSteps` is an upper bound. */
  epochs?: number;
  maxSteps?: number;
  shuffle: boolean;
  seed: number;
}

/** The batches of a run: batch k is a pure function of data, options and k, so that a run can go on anywhere. */
export interface BatchPlan {
  packing: Packing;
  /** Optimiser steps of the run. */
  steps: number;
  stepsPerEpoch: number;
  /** Rows of step 0 to steps - 1; the last batch of an epoch may be short. */
  batchRows(step: number): Row[];
}

/**
 * Packs the data once, its records shuffled, and shuffles the rows anew for every epoch. Records in a row do not see
 * each other, so packing again would change no more than which of them share a step.
 */
export function planBatches({ examples, files }: Dataset, options: BatchOptions): BatchPlan {
  const { seqLen, rowsPerStep, shuffle, seed } = options;
  const order = shuffle ? shuffledOrder(examples.length, seed, STREAMS.recordOrder) : inOrder(examples.length);
  const packing = packExamples(examples, { seqLen, order, inOrder: !shuffle });
  if (packing.numRows === 0) {
    const where = files.map(({ path }) => path).join(", ");
    throw new InputError(`${where}: no row of ${seqLen} tokens (--seq-len) has a target, so there is nothing to learn`);
  }
  const stepsPerEpoch = Math.ceil(packing.numRows / rowsPerStep);
  const steps = Math.min(Math.ceil((options.epochs ?? Infinity) * stepsPerEpoch), options.maxSteps ?? Infinity);
  if (!Number.isFinite(steps)) throw new InputError("either --epochs or --max-steps is needed");
  let known = { epoch: -1, order: inOrder(packing.numRows) };
  const rowsOfEpoch = (epoch: number): Int32Array => {
    if (!shuffle || known.epoch === epoch) return known.order;
    known = { epoch, order: shuffledOrder(packing.numRows, seed, STREAMS.rowOrder + epoch) };
    return known.order;
  };
  const batchRows = (step: number): Row[] => {
    const rows = rowsOfEpoch(Math.floor(step / stepsPerEpoch));
    const begin = (step % stepsPerEpoch) * rowsPerStep;
    return [...rows.subarray(begin, begin + rowsPerStep)].map((row) => buildRow(examples, packing, row));
  };
  return { packing, steps, stepsPerEpoch, batchRows };
}
