/** @file What a training achieved: a run that changed nothing is not done. */
import { RunError } from "../base/errors.js";
import type { LogRecord } from "../runs/run-folder.js";

export interface Achieved {
  /** Steps that moved the adapter: a finite gradient, and a rate above 0. */
  updates: number;
  /** Steps without a finite gradient: they changed nothing. */
  skipped: number;
  /** Of the rates of the updates. */
  rateSum: number;
  /** Largest gradient norm of the updates, before clipping. */
  largestGradient: number;
}

/** Counted from the records of a whole log: a run that was continued counts what it did before. */
export function countAchieved(log: readonly LogRecord[]): Achieved {
  const skipped = new Set(log.flatMap(({ type, step }) => (type === "skip" ? [step] : [])));
  const steps = log.filter(({ type }) => type === "step") as (LogRecord & { lr: number; gradNorm: number })[];
  const updates = steps.filter(({ step, lr }) => lr > 0 && !skipped.has(step));
  return {
    updates: updates.length,
    skipped: skipped.size,
    rateSum: updates.reduce((sum, { lr }) => sum + lr, 0),
    largestGradient: updates.reduce((most, { gradNorm }) => Math.max(most, gradNorm), 0),
  };
}

/** Euclidean norm of `after` - `before`. */
export function changeNorm(before: Float32Array, after: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < after.length; i++) sum += (after[i]! - before[i]!) ** 2;
  return Math.sqrt(sum);
}

const SMALLEST_NORMAL = 2 ** -126;

/** Whether no value is a normal number of f32 (and bf16, which has the same exponents). */
export function isNothing(values: Float32Array): boolean {
  return values.every((value) => Math.abs(value) < SMALLEST_NORMAL);
}

/** What became of the adapter. */
export interface Outcome {
  steps: number;
  /** Norm of its change. */
  change: number;
  /** Whether every B is 0, as before the first update: the adapter adds nothing to the model. */
  isZero: boolean;
}

/** Throws RunError where nothing was learned: no update, no gradient, or an adapter that is as it was. */
export function checkAchieved(
  { updates, skipped, largestGradient }: Achieved,
  { steps, change, isZero }: Outcome,
): void {
  const why =
    updates === 0
      ? `none of the ${steps} steps changed the adapter (${skipped} had no finite gradient, ` +
        `${steps - skipped} a rate of 0)`
      : largestGradient === 0
        ? `every gradient of the ${steps} steps was 0`
        : !(change > 0)
          ? `after ${updates} updates the adapter is as it was before`
          : isZero
            ? `after ${updates} updates every B of the adapter is 0, so it adds nothing to the model`
            : null;
  if (why !== null)
    throw new RunError(
      `nothing was trained: ${why}. No adapter was written. Look at the losses in log.jsonl and at --lr, ` +
        "--warmup, --eps, --clip and the data; give another --out",
    );
}
