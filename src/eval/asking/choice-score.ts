/** @file What a forced choice came to: by log-probability, by drawn replies, or both. */
import { type Counts, countScored, sumCounts } from "../counts.js";
import { decide, winShare } from "../statistics/decision.js";
import type { Outcome } from "../task.js";
import { type ComparedAnswers, marginOf, marginPerToken, probabilityOf } from "./compare.js";
import { type DrawnChoice, wantedShare } from "./drawn-choice.js";

/** By log-probability. */
export interface ScoredChoice {
  /** In each order, how far the liked item is ahead in log-probability; 0 is no preference. */
  margins: [number, number];
  /** The decision; null: undecided. */
  liked: boolean | null;
  likedPerToken: boolean | null;
  /** Mean over the orders of the liked item's probability among the two. */
  probability: number;
  /** How many of the two answers were the option named first; an equal one counts as half. */
  firstNamed: number;
  /** Of [item1, item2], first with item1 named first, then with item2. */
  answers: [ComparedAnswers, ComparedAnswers];
}

/** A part is there where the question was asked in that way. */
export interface ChoiceScore extends Partial<ScoredChoice> {
  drawn?: DrawnChoice;
}

export function scoreCompared(item1Liked: boolean, answers: ScoredChoice["answers"]): ScoredChoice {
  const sign = item1Liked ? 1 : -1;
  const margins = answers.map((answer) => sign * marginOf(answer)) as [number, number];
  return {
    margins,
    liked: decide(margins),
    likedPerToken: decide(answers.map((answer) => sign * marginPerToken(answer)) as [number, number]),
    probability: (probabilityOf(margins[0]) + probabilityOf(margins[1])) / 2,
    // Item1 is named first in the first order, item2 in the second.
    firstNamed: winShare(sign * margins[0]) + winShare(-sign * margins[1]),
    answers,
  };
}

export function isScored(score: ChoiceScore): score is ChoiceScore & ScoredChoice {
  return score.margins !== undefined;
}

/** Both orders, in each way that was asked. */
export function countChoices({ margins, drawn }: ChoiceScore): Counts {
  const replies = (drawn?.replies ?? []).flat();
  const said = {
    asked: replies.length,
    answered: replies.filter(({ text }) => text.trim() !== "").length,
    readable: replies.filter(({ wanted }) => wanted !== null).length,
    failed: 0,
  };
  return sumCounts([countScored(margins === undefined ? 0 : margins.length), said]);
}

/** What is compared across models, each between 0 and 1. */
export function choiceOutcomes(score: ChoiceScore): Record<string, Outcome | null> {
  const { drawn } = score;
  return {
    ...(isScored(score) && {
      liked: likedShare(score),
      decided: score.liked === null ? 0 : 1,
      // Where nothing is decided the two orders differ: one answer of two.
      "liked per token": score.likedPerToken === null ? 0.5 : score.likedPerToken ? 1 : 0,
    }),
    ...(drawn && {
      answer: answerOutcome(drawn.replies.flat()),
      "answer decided": drawn.liked === null ? 0 : 1,
      parsed: parsedShare(drawn),
    }),
  };
}

/** Share of the two answers that are the liked item. */
export function likedShare({ margins }: ScoredChoice): number {
  return (winShare(margins[0]) + winShare(margins[1])) / 2;
}

/** The wanted option's share of the replies that can be read; those that cannot count for either side. */
function answerOutcome(replies: DrawnChoice["replies"][number]): Outcome {
  const wanted = replies.filter((reply) => reply.wanted).length;
  const unread = replies.filter((reply) => reply.wanted === null).length;
  const bounds = { low: wanted / replies.length, high: (wanted + unread) / replies.length };
  return { value: wantedShare(replies), ...bounds };
}

function parsedShare({ replies }: DrawnChoice): number {
  const all = replies.flat();
  return all.filter(({ wanted }) => wanted !== null).length / all.length;
}
