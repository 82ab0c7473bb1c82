/** @file Answers that an experiment asked for and did not get, or could not read. */
import { type Counts, isWhole, sumCounts } from "../eval/counts.js";
import type { ExperimentRecord } from "../experiment/record.js";

/** Of each arm in each evaluation where something is missing, over the seeds. */
export function missingAnswers({ jobs }: Pick<ExperimentRecord, "jobs">): { what: string; counts: Counts }[] {
  const byArm = new Map<string, Counts>();
  for (const { label, counts } of jobs) {
    const what = label.replace(/, seed \d+$/, "");
    if (counts) byArm.set(what, sumCounts([byArm.get(what) ?? sumCounts([]), counts]));
  }
  return [...byArm].flatMap(([what, counts]) => (isWhole(counts) ? [] : [{ what, counts }]));
}
