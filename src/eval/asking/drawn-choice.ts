/** @file A forced choice by what the model says: answers drawn in both orders of the options, read by rules. */
import { decide } from "../statistics/decision.js";
import type { Draws, TaskContext } from "../task.js";
import type { Response } from "./answers.js";
import { encodeQuestion } from "./prompt.js";
import { type ChoiceReading, readChoice } from "./read-choice.js";
import { drawPrompts } from "./respond.js";
import type { Orders } from "./swap.js";

/** Greedy: what the model says by itself. A choice is made in the first sentence or two. */
export const CHOICE_DRAWS: Draws = { samples: 1, temperature: 0, maxTokens: 64 };

export interface ChoiceQuestion {
  orders: Orders;
  item1: string;
  item2: string;
  where: string;
}

/** The replies to a question, with item1 named first and with item2 named first. */
export type DrawnReplies = [Response[], Response[]];

/** Draws replies to all questions in both orders. */
export async function drawChoices(context: TaskContext, questions: readonly ChoiceQuestion[]): Promise<DrawnReplies[]> {
  const { tokenizer, system = null } = context;
  const prompts = questions.flatMap(({ orders, where }) =>
    [orders.first, orders.second].map((question, order) => ({
      id: `${where} order ${order + 1}`,
      thinking: "none" as const,
      ...encodeQuestion(tokenizer, { question, system, where }),
    })),
  );
  const answers = await drawPrompts(context, prompts, CHOICE_DRAWS);
  return questions.map((_, i) => [answers[2 * i]!.responses, answers[2 * i + 1]!.responses]);
}

/** A reply, and what was read in it: the wanted option, the other one, or nothing. */
export interface ReadReply extends Response {
  wanted: boolean | null;
  state: ChoiceReading["state"];
}

export interface DrawnChoice {
  /** In each order. */
  replies: [ReadReply[], ReadReply[]];
  /** Whether the wanted option is chosen in both orders; null: they differ, or one could not be read. */
  liked: boolean | null;
}

/** Reads the replies to a question of which item1 is the wanted option, or item2. */
export function readDrawnChoice(
  { orders, item1, item2 }: ChoiceQuestion,
  item1Wanted: boolean,
  drawn: DrawnReplies,
): DrawnChoice {
  const read = (order: 0 | 1): ReadReply[] => {
    const [question, options] =
      order === 0 ? [orders.first, [item1, item2] as const] : [orders.second, [item2, item1] as const];
    return drawn[order].map((response) => {
      const { option, state } = readChoice(response.text, question, options);
      // Item1 is named first in the first order, second in the second.
      return { ...response, state, wanted: option === null ? null : (option === order) === item1Wanted };
    });
  };
  const replies: DrawnChoice["replies"] = [read(0), read(1)];
  const [first, second] = replies.map(wantedShare) as [number | null, number | null];
  return { replies, liked: first === null || second === null ? null : decide([first - 0.5, second - 0.5]) };
}

/** Of the replies that could be read; null where none could. */
export function wantedShare(replies: readonly ReadReply[]): number | null {
  const read = replies.filter(({ wanted }) => wanted !== null);
  return read.length === 0 ? null : read.filter(({ wanted }) => wanted).length / read.length;
}
