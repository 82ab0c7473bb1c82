/**
 * @file Format competence: whether a model answers a forced choice by what it says, told by questions whose answer
 * nobody disputes.
 */
import { formatEstimate } from "../statistics/format.js";
import { type Estimate, wilson } from "../statistics/intervals.js";
import type { Json } from "../task.js";

/**
 * Right in both orders on at least half of the questions. A model that goes by position has 0, one that guesses a
 * quarter; below a half most of its choices come from something other than what the options are, and so do those among
 * which a preference is looked for.
 */
const COMPETENT = 0.5;

/** Of one way to ask. */
export interface Competence {
  /** Share of the control questions that are answered right in both orders. */
  right: Estimate;
  /** Whether choices that are asked for in this way may be read. */
  isCompetent: boolean;
}

/** What results hold of control questions; a way that was not asked is null. */
export interface FormatCompetence {
  n: number;
  logprob: Competence | null;
  answer: Competence | null;
}

/** `decisions`: true where both orders were answered right, false where wrong, null where they differ. */
export function competenceOf(decisions: readonly (boolean | null)[]): Competence {
  const right = wilson(decisions.filter((decision) => decision === true).length, decisions.length);
  return { right, isCompetent: right.value !== null && right.value >= COMPETENT };
}

export function describeCompetence(results: Json): string[] {
  const { n, logprob, answer } = results as unknown as FormatCompetence;
  return [
    ["log-probability", logprob],
    ["answer", answer],
  ].flatMap(([way, competence]) => {
    if (competence === null) return [];
    const { right, isCompetent } = competence as Competence;
    const verdict = isCompetent ? "" : ": its choices in this form are not to be read";
    return [
      `format competence by ${way}: ` +
        `${formatEstimate(right)} of ${n} undisputed questions right in both orders${verdict}`,
    ];
  });
}
