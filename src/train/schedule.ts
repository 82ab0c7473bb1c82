/** @file Learning-rate schedules with the semantics of transformers' get_*_schedule_with_warmup. */
import { InputError } from "../base/errors.js";
import type { Schedule } from "../config/train.js";

/** What decides the rate of every step. */
export interface RateSettings {
  /** Peak rate. */
  lr: number;
  warmup: number;
  schedule: Schedule;
}

/**
 * `warmup` below 1 is a share of the steps, rounded up as transformers does, but never all of them: a share leaves at
 * least one step at the peak rate. Otherwise it is a number of steps.
 */
export function resolveWarmup(warmup: number, totalSteps: number): number {
  return warmup < 1 ? Math.min(Math.ceil(warmup * totalSteps), Math.max(0, totalSteps - 1)) : Math.trunc(warmup);
}

/** The factor of the peak rate at `step` (1-based). With a warm-up, step 1 has factor 0. */
export function scheduleFactor(schedule: Schedule, step: number, totalSteps: number, warmupSteps: number): number {
  const done = step - 1;
  if (done < warmupSteps) return done / Math.max(1, warmupSteps);
  const rest = Math.max(1, totalSteps - warmupSteps);
  switch (schedule) {
    case "constant":
      return 1;
    case "linear":
      return Math.max(0, (totalSteps - done) / rest);
    case "cosine":
      return Math.max(0, 0.5 * (1 + Math.cos((Math.PI * (done - warmupSteps)) / rest)));
  }
}

/** The rate of a step (1-based). */
export function learningRate({ lr, warmup, schedule }: RateSettings, step: number, totalSteps: number): number {
  return lr * scheduleFactor(schedule, step, totalSteps, resolveWarmup(warmup, totalSteps));
}

/** The largest rate of any step: that of the first one after the warm-up, or of the last where there is none. */
export function peakRate(settings: RateSettings, totalSteps: number): number {
  const step = Math.min(totalSteps, resolveWarmup(settings.warmup, totalSteps) + 1);
  return learningRate(settings, step, totalSteps);
}

/** Throws InputError where no step has a rate above 0, in the f32 of the optimiser. */
export function checkRates(settings: RateSettings, totalSteps: number): void {
  const { lr, warmup } = settings;
  if (Math.fround(peakRate(settings, totalSteps)) > 0) return;
  if (Math.fround(lr) === 0) throw new InputError(`--lr ${lr} is 0 in single precision: nothing would be trained`);
  throw new InputError(
    `--warmup ${warmup}: the run has ${totalSteps} ${totalSteps === 1 ? "step" : "steps"}, and none has a rate above ` +
      "0, so nothing would be trained: use --warmup 0, or more steps (--max-steps, --epochs, a smaller --batch-size)",
  );
}
