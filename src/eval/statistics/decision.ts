/** @file What two orders of one question decide, and the rates of many decisions. */
import { type Estimate, wilson } from "./intervals.js";

/**
 * Whether the margin (how far the wanted answer is ahead) is positive in both orders; null where they differ or one is
 * 0: undecided.
 */
export function decide([first, second]: readonly [number, number]): boolean | null {
  if (first > 0 && second > 0) return true;
  if (first < 0 && second < 0) return false;
  return null;
}

/** 1 for a win, 0 for a loss, a half where the answers are equal. */
export function winShare(margin: number): number {
  return margin > 0 ? 1 : margin < 0 ? 0 : 0.5;
}

export interface DecisionRates {
  n: number;
  decided: number;
  /** How many were decided for what is wanted. */
  wanted: number;
  decidedRate: Estimate;
  /** Of the decided. */
  wantedRate: Estimate;
  /** Of all. */
  wantedRateAll: Estimate;
  /** What the rate of all would be if every undecided one were decided against it, and for it. */
  bounds: [number, number] | null;
}

/** Counts and Wilson intervals. */
export function decisionRates(decisions: readonly (boolean | null)[]): DecisionRates {
  const n = decisions.length;
  const decided = decisions.filter((decision) => decision !== null).length;
  const wanted = decisions.filter((decision) => decision === true).length;
  return {
    n,
    decided,
    wanted,
    decidedRate: wilson(decided, n),
    wantedRate: wilson(wanted, decided),
    wantedRateAll: wilson(wanted, n),
    bounds: n === 0 ? null : [wanted / n, (wanted + n - decided) / n],
  };
}
