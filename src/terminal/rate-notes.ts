/** @file The learning rate that a run reaches, in words. */
import { peakRate, type RateSettings, resolveWarmup } from "../train/schedule.js";

/** Below this share of --lr a reader is told: the run is another one than was asked for. */
const LOW = 0.5;

export function formatRate(rate: number): string {
  return String(Number(rate.toPrecision(3)));
}

/** A note where the rate stays far below --lr; none otherwise. */
export function rateNotes(settings: RateSettings, steps: number): string[] {
  const { lr, warmup } = settings;
  const peak = peakRate(settings, steps);
  if (peak >= LOW * lr) return [];
  return [
    `the rate reaches only ${formatRate(peak)}, ${formatRate((100 * peak) / lr)} % of --lr ${lr}: the warm-up of ` +
      `${resolveWarmup(warmup, steps)} steps (--warmup ${warmup}) is not over after the ${steps} steps of the run; a ` +
      "--warmup below 1 is a share of them",
  ];
}
