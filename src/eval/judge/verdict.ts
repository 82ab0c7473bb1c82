/** @file Verdicts of three states: what could not be decided is never counted for a side. */
import { decisionRates } from "../statistics/decision.js";
import type { Estimate } from "../statistics/intervals.js";

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
}

/** Counts and Wilson intervals. */
export function verdictRates(verdicts: readonly Verdict[]): VerdictRates {
  const decisions = verdicts.map((verdict) => (verdict === "undecided" ? null : verdict === "yes"));
  const { n, decided, wanted, decidedRate, wantedRate, wantedRateAll } = decisionRates(decisions);
  return { n, decided, yes: wanted, decidedRate, yesRate: wantedRate, yesRateAll: wantedRateAll };
}

/** Share of "yes" among the decided; null where none is. */
export function yesShare(verdicts: readonly Verdict[]): number | null {
  return verdictRates(verdicts).yesRate.value;
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
