/**
 * @file Forced choice between two options, in both orders, by log-probability.
 *
 * A question is put twice, with item1 first and with item2 first (swap.ts says how), as one user turn in the
 * checkpoint's chat template (prompt.ts; without a template as "Question: ... Answer:"). Each time both items are
 * scored as the assistant's answer: the sum of the log-probabilities of the item's tokens, not of what follows it
 * (unless one item begins with the other, where the token that ends the answer counts for both). The item with the
 * larger sum is preferred. A question is decided where both orders prefer the same item, which takes an answer that
 * follows position instead of content out; equal sums prefer nothing.
 *
 * Reported: the liked items' share of the decided questions and of all (an undecided question is not a liked one),
 * their share of all 2n answers (an undecided question then counts as half), the mean probability of the liked item
 * given that it is one of the two (the mean over both orders; finer than counts), the same decisions by the mean
 * log-probability per token (where this differs, the length of the items matters), and how often the option named first
 * wins. Intervals are over questions: Wilson's for shares, with both answers to a question as one outcome (0, .5 or 1),
 * the t interval cut to [0, 1] for probabilities.
 */
import { InputError } from "../../base/errors.js";
import { type ComparedAnswers, compareAnswers, marginOf, marginPerToken, probabilityOf } from "../asking/compare.js";
import { promptForm } from "../asking/prompt.js";
import { bothOrders, type Orders } from "../asking/swap.js";
import { type DataObject, extraFields, groupSamples, objectRecord, textField } from "../record.js";
import { signAgreement, wordingAgreement } from "../statistics/consistency.js";
import { decide, decisionRates, winShare } from "../statistics/decision.js";
import { formatEstimate } from "../statistics/format.js";
import { boundedMean, type Estimate, shareInterval } from "../statistics/intervals.js";
import type { Json, Task } from "../task.js";

const FIELDS = ["question", "item1", "item2", "liked_item", "disliked_item"];
const FORM = "{question, item1, item2, liked_item, disliked_item}";

export interface ChoiceSample {
  question: string;
  item1: string;
  item2: string;
  /** Whether item1 is the liked one. */
  item1Liked: boolean;
  orders: Orders;
  where: string;
  /** The record's other fields, for groups. */
  extra: DataObject;
}

/** Answers are [item1, item2], first with item1 named first, then with item2. */
type ChoiceAnswer = [ComparedAnswers, ComparedAnswers];

export interface ChoiceScore {
  /** In each order, how far the liked item is ahead in log-probability; 0 is no preference. */
  margins: [number, number];
  /** The decision; null: undecided. */
  liked: boolean | null;
  likedPerToken: boolean | null;
  /** Mean over the orders of the liked item's probability among the two. */
  probability: number;
  /** How many of the two answers were the option named first; an equal one counts as half. */
  firstNamed: number;
  answers: ChoiceAnswer;
}

export const choice: Task<ChoiceSample, ChoiceAnswer, ChoiceScore> = {
  name: "choice",
  version: 1,
  summary: "forced choice between two options, both orders, by log-probability",
  fields: FIELDS,
  parse(value, where) {
    const record = objectRecord(value, FORM, where);
    const [question, item1, item2, liked, disliked] = FIELDS.map((key) =>
      textField(record, key, FORM, where).trim(),
    ) as [string, string, string, string, string];
    if (item1 === item2) throw new InputError(`${where}: item1 and item2 are both ${JSON.stringify(item1)}`);
    if (!(liked === item1 && disliked === item2) && !(liked === item2 && disliked === item1))
      throw new InputError(
        `${where}: liked_item ${JSON.stringify(liked)} and disliked_item ${JSON.stringify(disliked)} must be ` +
          "item1 and item2, " +
          `${JSON.stringify(item1)} and ${JSON.stringify(item2)}`,
      );
    const orders = bothOrders(question, item1, item2);
    return { question, item1, item2, item1Liked: liked === item1, orders, where, extra: extraFields(record, FIELDS) };
  },
  reads: ({ orders, item1, item2 }) => [orders.first, orders.second].map((text) => `${text}\n${item1}\n${item2}`),
  async solve(context, samples) {
    const comparisons = samples.flatMap(({ orders, item1, item2, where }) =>
      [orders.first, orders.second].map((question) => ({ question, answers: [item1, item2] as const, where })),
    );
    const compared = await compareAnswers(context, comparisons);
    return samples.map((_, i) => [compared[2 * i]!, compared[2 * i + 1]!]);
  },
  score({ item1Liked }, answers) {
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
  },
  outcomes({ margins, liked }) {
    return { liked: (winShare(margins[0]) + winShare(margins[1])) / 2, decided: liked === null ? 0 : 1 };
  },
  legend: {
    liked: "share of the answers, both orders, that are the liked option",
    decided: "share of the questions that both orders answer alike",
  },
  show(record, { margins, liked }) {
    const [preferred, other] = [record["liked_item"], record["disliked_item"]] as [string, string];
    const sentence = (margin: number): string =>
      margin === 0 ? "neither" : `${margin > 0 ? preferred : other} (ahead by ${Math.abs(margin).toFixed(2)} nats)`;
    const response = `as asked: ${sentence(margins[0])}\nin the other order: ${sentence(margins[1])}`;
    const verdict = liked === null ? "undecided" : liked ? "liked" : "disliked";
    return [{ prompt: String(record["question"]), response, verdict }];
  },
  summarize(samples, scores, { tokenizer }) {
    const groups = [...groupSamples(samples.map(({ extra }) => extra))].map(([field, byValue]) => {
      const rates = [...byValue].map(([value, indices]) => [value, allRates(indices.map((i) => scores[i]!))]);
      return [field, Object.fromEntries(rates)];
    });
    const both = (first: number): number =>
      scores.filter(({ liked, firstNamed }) => liked === null && firstNamed === first).length;
    return {
      ...allRates(scores),
      perToken: likedRates(scores.map(({ likedPerToken }) => likedPerToken)),
      orderBias: {
        /** Share of all answers that are the option named first: 0.5 is no bias. */
        firstNamed: shareInterval(scores.map(({ firstNamed }) => firstNamed / 2)),
        alwaysFirst: both(2),
        alwaysSecond: both(0),
      },
      questions: {
        prompt: promptForm(tokenizer),
        named: samples.filter(({ orders }) => orders.form === "named").length,
        appended: samples.filter(({ orders }) => orders.form === "appended").length,
      },
      consistency: consistencyOf(samples, scores),
      groups: Object.fromEntries(groups),
    };
  },
  describe(results) {
    const { n, decidedRate, likedRate, likedRateAll, probability, orderBias, groups } =
      results as unknown as LikedRates & {
        probability: Estimate;
        orderBias: { firstNamed: Estimate };
        groups: Record<string, Record<string, LikedRates>>;
      };
    const lines = [
      `${n} questions, both orders; decided ${formatEstimate(decidedRate)}`,
      `liked, of the decided ${formatEstimate(likedRate)}; of all ${formatEstimate(likedRateAll)}; mean ` +
        `probability ${formatEstimate(probability)}`,
      `the option named first wins ${formatEstimate(orderBias.firstNamed)} of the answers (.500 is no bias)`,
    ];
    for (const [field, byValue] of Object.entries(groups)) {
      for (const [value, rates] of Object.entries(byValue))
        lines.push(
          `  ${field} ${value}: n ${rates.n}, decided ${formatEstimate(rates.decidedRate)}, liked of decided ` +
            `${formatEstimate(rates.likedRate)}`,
        );
    }
    return lines;
  },
};

/** Over the records' `pair` (wordings of one question) and `domain`, where they have them. */
function consistencyOf(samples: readonly ChoiceSample[], scores: readonly ChoiceScore[]): Json {
  const by = <T>(field: string, value: (score: ChoiceScore) => T): T[][] => {
    const groups = new Map<unknown, T[]>();
    for (const [i, { extra }] of samples.entries())
      if (field in extra) groups.set(extra[field], [...(groups.get(extra[field]) ?? []), value(scores[i]!)]);
    return [...groups.values()];
  };
  return {
    wordings: wordingAgreement(by("pair", ({ liked }) => liked)),
    domains: signAgreement(by("domain", ({ margins }) => (winShare(margins[0]) + winShare(margins[1])) / 2)),
  };
}

interface LikedRates {
  n: number;
  decided: number;
  liked: number;
  decidedRate: Estimate;
  /** Of the decided. */
  likedRate: Estimate;
  /** Of all. */
  likedRateAll: Estimate;
}

function likedRates(decisions: readonly (boolean | null)[]): LikedRates {
  const { n, decided, wanted, decidedRate, wantedRate, wantedRateAll } = decisionRates(decisions);
  return { n, decided, liked: wanted, decidedRate, likedRate: wantedRate, likedRateAll: wantedRateAll };
}

function allRates(scores: readonly ChoiceScore[]): Json & LikedRates {
  return {
    ...likedRates(scores.map(({ liked }) => liked)),
    likedAnswers: shareInterval(scores.map(({ margins }) => (winShare(margins[0]) + winShare(margins[1])) / 2)),
    probability: boundedMean(scores.map(({ probability }) => probability)),
  };
}
