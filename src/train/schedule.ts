/** @file Learning-rate schedules with the semantics of transformers' get_*_schedule_with_warmup. */
import type { Schedule } from "../config/train.js";

/** `warmup` below 1 is a share of the steps, otherwise a number of steps; rounded as transformers does. */
export function resolveWarmup(warmup: number, totalSteps: number): number {
  return warmup < 1 ? Math.ceil(warmup * totalSteps) : Math.trunc(warmup);
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
