/** @file Verdicts of three states: what could not be decided is never counted for a side. */
import { decisionRates } from "../statistics/decision.js";
import type { Estimate } from "../statistics/intervals.js";
import type { Outcome } from "../task.js";

export const VERDICTS = ["yes", "no", "undecided"] as const;
export type Verdict = (typeof VERDICTS)[number];

export interface VerdictRates {
  n: number;
  decided: number;
  yes: number;
  decidedRate: Estimate;
  /** Of the decided. */
  yesRate: Estimate;
  /** Of all. */
  yesRateAll: Estimate;
  /** Of all, with every undecided one counted as no, and as yes. */
  bounds: [number, number] | null;
}

/** Counts and Wilson intervals. */
export function verdictRates(verdicts: readonly Verdict[]): VerdictRates {
  const decisions = verdicts.map((verdict) => (verdict === "undecided" ? null : verdict === "yes"));
  const { n, decided, wanted, decidedRate, wantedRate, wantedRateAll, bounds } = decisionRates(decisions);
  return { n, decided, yes: wanted, decidedRate, yesRate: wantedRate, yesRateAll: wantedRateAll, bounds };
}

/** Share of "yes" among the decided; null where none is. */
export function yesShare(verdicts: readonly Verdict[]): number | null {
  return verdictRates(verdicts).yesRate.value;
}

/**
 * The outcome of an answer or more: the share of "yes" among the decided, and with the undecided counted for either
 * side.
 */
export function yesOutcome(verdicts: readonly Verdict[]): Outcome | null {
  const { yesRate, bounds } = verdictRates(verdicts);
  return bounds && { value: yesRate.value, low: bounds[0], high: bounds[1] };
}

/** Yes where both are, no where one is. */
export function bothYes(a: Verdict, b: Verdict): Verdict {
  if (a === "no" || b === "no") return "no";
  return a === "yes" && b === "yes" ? "yes" : "undecided";
}

/** Of several things that were done or not: yes where one was. */
export function strongest(verdicts: readonly Verdict[]): Verdict {
  return verdicts.includes("yes") ? "yes" : verdicts.includes("undecided") ? "undecided" : "no";
}
