/** @file In a few lines: who judged, and how far it is to be trusted. */
import type { Agreement } from "../statistics/agreement.js";
import { formatEstimate } from "../statistics/format.js";

/** What results hold of the judge. */
export interface JudgedBy {
  kind: string;
  model?: string;
  questions?: number;
  failed?: number;
  unreadable?: number;
  /** What was wrong with the first reply that failed or was cut off or empty; null: nothing. */
  why?: string | null;
  agreement: Agreement | null;
}

export function describeJudge({ kind, model, questions, failed, unreadable, why, agreement }: JudgedBy): string[] {
  if (kind === "none" || !agreement) return ["no judge: nothing is decided by one"];
  const { n, table, decidedRate, agreed, kappa } = agreement;
  const rows = Object.entries(table).map(([label, counts]) => {
    const said = Object.entries(counts).map(([judged, count]) => `${judged} ${count}`);
    return `  labelled ${label.padEnd(10)} judged ${said.join(", ")}`;
  });
  return [
    `judge: ${kind} ${model}; ${questions} questions, ${failed} refused, ` +
      `${unreadable} not readable${why ? ` (${why})` : ""}`,
    `judge and ${n} labelled responses: kappa ${formatEstimate(kappa)} over ${kappa.n}, agreed ` +
      `${formatEstimate(agreed)}, decided ${formatEstimate(decidedRate)}`,
    ...rows,
  ];
}
