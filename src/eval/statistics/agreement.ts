/**
 * @file Agreement of a judge with labels: the confusion table, and Cohen's kappa, which takes out what chance alone
 * would give.
 */
import { type Estimate, type MeanEstimate, wilson } from "./intervals.js";

/** In every list of categories: neither label nor verdict, and no part of kappa. */
const UNDECIDED = "undecided";
const Z_95 = 1.959963984540054;

export interface Agreement {
  n: number;
  /** Label -> what the judge said -> how many. */
  table: Record<string, Record<string, number>>;
  /** Share of all that the judge decided. */
  decidedRate: Estimate;
  /** Of those with a label that the judge decided: the share that it decided as the label says, and kappa. */
  agreed: Estimate;
  kappa: MeanEstimate;
}

export function measureAgreement(
  categories: readonly string[],
  pairs: readonly { label: string; judged: string }[],
): Agreement {
  const count = (label: string, judged: string): number =>
    pairs.filter((pair) => pair.label === label && pair.judged === judged).length;
  const decisions = categories.filter((category) => category !== UNDECIDED);
  const square = decisions.map((label) => decisions.map((judged) => count(label, judged)));
  const agreed = decisions.reduce((sum, label) => sum + count(label, label), 0);
  const decided = pairs.filter(({ judged }) => judged !== UNDECIDED);
  return {
    n: pairs.length,
    table: Object.fromEntries(
      categories.map((label) => [
        label,
        Object.fromEntries(categories.map((judged) => [judged, count(label, judged)])),
      ]),
    ),
    decidedRate: wilson(decided.length, pairs.length),
    agreed: wilson(agreed, decided.filter(({ label }) => label !== UNDECIDED).length),
    kappa: cohenKappa(square),
  };
}

/**
 * Cohen's kappa of a square table of counts (rows one rater, columns the other): (po - pe) / (1 - pe) with po the share
 * on the diagonal and pe what the margins alone would give (Cohen 1960). The standard error is the large-sample one of
 * Fleiss, Cohen and Everitt 1969, the interval normal. Null where n is 0 or one category is all there is: chance alone
 * then agrees. No interval where the standard error is 0.
 */
export function cohenKappa(table: readonly (readonly number[])[]): MeanEstimate {
  const n = table.flat().reduce((sum, count) => sum + count, 0);
  const none = { value: null, low: null, high: null, n, se: null };
  if (n === 0) return none;
  const p = table.map((row) => row.map((count) => count / n));
  const rows = p.map((row) => row.reduce((sum, share) => sum + share, 0));
  const columns = p.map((_, j) => p.reduce((sum, row) => sum + row[j]!, 0));
  const po = p.reduce((sum, row, i) => sum + row[i]!, 0);
  const pe = rows.reduce((sum, share, i) => sum + share * columns[i]!, 0);
  if (pe === 1) return none;
  const kappa = (po - pe) / (1 - pe);
  let variance = -((kappa - pe * (1 - kappa)) ** 2);
  p.forEach((row, i) => {
    row.forEach((share, j) => {
      variance +=
        i === j
          ? share * (1 - (rows[i]! + columns[i]!) * (1 - kappa)) ** 2
          : share * (1 - kappa) ** 2 * (columns[i]! + rows[j]!) ** 2;
    });
  });
  // A judge that always says the same, or always what the label says, has no spread to estimate one from.
  if (variance <= 1e-12) return { ...none, value: kappa };
  const se = Math.sqrt(variance / n) / (1 - pe);
  return { value: kappa, low: Math.max(-1, kappa - Z_95 * se), high: Math.min(1, kappa + Z_95 * se), n, se };
}
