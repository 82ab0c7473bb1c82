/** @file Whether a judge that runs here has room for what it will be asked: known before a response is drawn. */
import { InputError } from "../../base/errors.js";
import type { JudgePrompt, JudgeRoom } from "./judge.js";

/** What a judge is certain to be asked. */
export interface LeastQuestions {
  labelled: readonly JudgePrompt[];
  /** About empty answers: other ones only make them longer. */
  own: readonly { prompt: JudgePrompt; where: string }[];
}

/**
 * Throws InputError where the judge can be asked about none of the labelled set, or could not be asked about the answer
 * to a sample, were it empty.
 */
export function checkJudgeRoom({ labelled, own }: LeastQuestions, judge: string, room: JudgeRoom): void {
  const { positions, replyTokens, count } = room;
  const refuseLong = (what: string, tokens: number): void => {
    if (tokens + replyTokens <= positions) return;
    throw new InputError(
      `--judge ${judge}: ${what} has at least ${tokens} tokens, and with ${replyTokens} for the reply that is more ` +
        `than the judge's ${positions} positions; name another judge, or none`,
    );
  };
  if (labelled.length > 0) refuseLong("every question of the labelled set", Math.min(...labelled.map(count)));
  for (const { prompt, where } of own) refuseLong(`the question about an answer to ${where}`, count(prompt));
}
