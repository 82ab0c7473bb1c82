/** @file Estimates in words. */
import type { Estimate } from "./intervals.js";

/** ".532 [.481, .583]", "3.21 [3.10, 3.32]", "none" where n is 0. */
export function formatEstimate({ value, low, high }: Estimate): string {
  if (value === null) return "none";
  const interval = low === null || high === null ? "" : ` [${formatNumber(low)}, ${formatNumber(high)}]`;
  return formatNumber(value) + interval;
}

export function formatNumber(value: number): string {
  if (Math.abs(value) < 1) return value.toFixed(3).replace(/^(-?)0\./, "$1.");
  return Math.abs(value) < 10 ? value.toFixed(3) : value.toPrecision(4);
}
