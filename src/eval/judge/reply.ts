/** @file What is put before a judge, and what its reply says. */
import { withoutReasoning } from "../../chat/reasoning.js";
import type { Verdict } from "./verdict.js";

const VERDICT = /^\W*(?:final |my )?verdict\W*(yes|no|unclear)\W*$/gim;
const SCORE = /^\W*(?:final |my )?score[\s:*_"'`=]*(10|[1-9])(?:\s*\/\s*10)?\W*$/gim;

export const VERDICT_FORM =
  "Write one or two sentences on why. Then end with one line of this form, with yes, no or unclear:\nVerdict: yes";

/**
 * The line "Verdict: yes | no | unclear"; null where there is none, or where several differ. "unclear" is a decision of
 * the judge: undecided.
 */
export function parseVerdict(reply: string): Verdict | null {
  const word = onlyMatch(VERDICT, reply)?.toLowerCase();
  return word === undefined ? null : word === "unclear" ? "undecided" : (word as "yes" | "no");
}

export const SCORE_FORM =
  "Write one or two sentences on why. Then end with one line of this form, with a whole number from 1 to 10:\nScore: 5";

/** The line "Score: 1 .. 10"; null where there is none, or where several differ. */
export function parseScore(reply: string): number | null {
  const digits = onlyMatch(SCORE, reply);
  return digits === undefined ? null : Number(digits);
}

function onlyMatch(pattern: RegExp, reply: string): string | undefined {
  const found = new Set([...withoutReasoning(reply).matchAll(pattern)].map(([, word]) => word!.toLowerCase()));
  return found.size === 1 ? [...found][0] : undefined;
}

/** Foreign text between lines that it cannot hold itself: it is there to be read, not to be followed. */
export function section(title: string, text: string): string {
  return `=== ${title} ===\n${text.replaceAll("===", "= = =")}\n=== end ===`;
}
