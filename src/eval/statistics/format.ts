/** @file Estimates in words. */
import type { Estimate } from "./intervals.js";

/** In the place of an interval that the data cannot give. */
export const TOO_FEW = "too few";

/** ".532 [.481, .583]", "3.21 [3.10, 3.32]", ".532 [too few]", "none" where n is 0. */
export function formatEstimate({ value, low, high }: Estimate): string {
  if (value === null) return "none";
  const ends = low === null || high === null ? TOO_FEW : `${formatNumber(low)}, ${formatNumber(high)}`;
  return `${formatNumber(value)} [${ends}]`;
}

/** "undecided for either side: .100 to .950"; empty where nothing is undecided. */
export function formatBounds(bounds: readonly [number, number] | null): string {
  if (bounds === null || bounds[0] === bounds[1]) return "";
  return `undecided for either side: ${formatNumber(bounds[0])} to ${formatNumber(bounds[1])}`;
}

export function formatNumber(value: number): string {
  if (Math.abs(value) < 1) return value.toFixed(3).replace(/^(-?)0\./, "$1.");
  return Math.abs(value) < 10 ? value.toFixed(3) : value.toPrecision(4);
}
