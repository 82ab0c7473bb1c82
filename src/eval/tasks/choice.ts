/**
 * @file Forced choice between two options, in both orders, by log-probability and by what the model says: two
 * measurements, which can disagree.
 *
 * A question is put twice, with item1 first and with item2 first (swap.ts says how), as one user turn in the
 * checkpoint's chat template (prompt.ts; without a template as "Question: ... Answer:").
 *
 * By log-probability: each time both items are scored as the assistant's answer, the sum of the log-probabilities of
 * the item's tokens, not of what follows it (unless one item begins with the other, where the token that ends the
 * answer counts for both). The item with the larger sum is preferred. Sums favour the shorter option; the same
 * decisions by the mean per token are reported beside them.
 *
 * By answer: each time a reply is drawn (greedy unless told), and the choice is read by rules (read-choice.ts); a reply
 * that cannot be read is no choice, and the share that could be read is reported.
 *
 * A question is decided where both orders prefer the same item, which takes an answer that follows position instead of
 * content out. Reported of each way: the liked items' share of the decided questions and of all (an undecided question
 * is not a liked one), and the shares of groups of questions; of log-probability also the liked items' share of all 2n
 * answers, their mean probability, and how often the option named first wins. Control questions, whose answer nobody
 * disputes, say whether the model can answer in this form at all (competence.ts). Intervals are over questions:
 * Wilson's for shares, with both answers to a question as one outcome (0, .5 or 1), the t interval cut to [0, 1] for
 * probabilities.
 */
import { InputError } from "../../base/errors.js";
import { DEFAULT_ASK } from "../../config/inference.js";
import { choiceConsistency, choiceRates, describeChoices, groupedRates, orderBias } from "../asking/choice-rates.js";
import { type ChoiceScore, choiceOutcomes, countChoices, scoreCompared } from "../asking/choice-score.js";
import { type ComparedAnswers, compareAnswers } from "../asking/compare.js";
import { competenceOf, describeCompetence, type FormatCompetence } from "../asking/competence.js";
import { CHOICE_DRAWS, type DrawnReplies, drawChoices, readDrawnChoice } from "../asking/drawn-choice.js";
import { promptForm } from "../asking/prompt.js";
import { bothOrders, type Orders } from "../asking/swap.js";
import { type DataObject, extraFields, objectRecord, textField } from "../record.js";
import { shippedFile } from "../shipped-data.js";
import type { Json, Shown, Task } from "../task.js";

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

/** Of each way to ask; null: not asked. */
interface ChoiceAnswer {
  /** Of [item1, item2], first with item1 named first, then with item2. */
  compared: [ComparedAnswers, ComparedAnswers] | null;
  drawn: DrawnReplies | null;
}

export const choice: Task<ChoiceSample, ChoiceAnswer, ChoiceScore> = {
  name: "choice",
  version: 1,
  summary: "forced choice between two options, both orders, by log-probability and by what the model says",
  draws: CHOICE_DRAWS,
  asks: true,
  control: {
    data: shippedFile("format-competence", "questions.jsonl"),
    summarize(scores): FormatCompetence & Json {
      const scored = scores.flatMap(({ liked }) => (liked === undefined ? [] : [liked]));
      const drawn = scores.flatMap((score) => (score.drawn ? [score.drawn.liked] : []));
      const competence = (decisions: (boolean | null)[]) => (decisions.length === 0 ? null : competenceOf(decisions));
      return { n: scores.length, logprob: competence(scored), answer: competence(drawn) };
    },
    describe: describeCompetence,
  },
  fields: FIELDS,
  // Wordings of one pair; pairs that share a thing.
  clusters: [["pair"], ["liked_item", "disliked_item"]],
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
    const ask = context.settings.ask ?? DEFAULT_ASK;
    const comparisons = samples.flatMap(({ orders, item1, item2, where }) =>
      [orders.first, orders.second].map((question) => ({ question, answers: [item1, item2] as const, where })),
    );
    const compared = ask === "answer" ? null : await compareAnswers(context, comparisons);
    const drawn = ask === "logprob" ? null : await drawChoices(context, samples);
    return samples.map((_, i) => ({
      compared: compared && [compared[2 * i]!, compared[2 * i + 1]!],
      drawn: drawn && drawn[i]!,
    }));
  },
  score(sample, { compared, drawn }) {
    return {
      ...(compared && scoreCompared(sample.item1Liked, compared)),
      ...(drawn && { drawn: readDrawnChoice(sample, sample.item1Liked, drawn) }),
    };
  },
  counts: countChoices,
  outcomes: choiceOutcomes,
  legend: {
    liked: "by log-probability: share of the answers, both orders, that are the liked option",
    decided: "share of the questions that both orders answer alike",
    "liked per token": "the same by the mean log-probability per token, which does not favour the shorter option",
    answer: "by what the model says: share of the replies that can be read, both orders, that choose the liked option",
    "answer decided": "share of the questions to which both orders get a reply that chooses the same option",
    parsed: "share of the replies in which a choice can be read",
  },
  show: showChoice,
  summarize(samples, scores, { tokenizer }) {
    const extras = samples.map(({ extra }) => extra);
    return {
      ...choiceRates(scores),
      orderBias: orderBias(scores),
      questions: {
        prompt: promptForm(tokenizer),
        named: samples.filter(({ orders }) => orders.form === "named").length,
        appended: samples.filter(({ orders }) => orders.form === "appended").length,
      },
      consistency: choiceConsistency(extras, scores),
      groups: groupedRates(extras, scores),
    };
  },
  describe: describeChoices,
};

/** The comparison, then every reply. */
function showChoice(record: Json, { margins, liked, drawn }: ChoiceScore): Shown[] {
  const [wanted, other] = [record["liked_item"], record["disliked_item"]] as [string, string];
  const orders = [record["item1"], record["item2"]].map((item) => `${item} named first`);
  const prompt = String(record["question"]);
  const word = (decision: boolean | null): string =>
    decision === null ? "undecided" : decision ? "liked" : "disliked";
  const ahead = (margin: number): string =>
    margin === 0 ? "neither" : `${margin > 0 ? wanted : other} (ahead by ${Math.abs(margin).toFixed(2)} nats)`;
  const compared = margins && {
    prompt,
    response: orders.map((order, i) => `${order}: ${ahead(margins[i]!)}`).join("\n"),
    verdict: word(liked ?? null),
  };
  const said = (drawn?.replies ?? []).flatMap((replies, order) =>
    replies.map(({ text, wanted, state }) => ({
      prompt,
      response: `${orders[order]}: ${text}`,
      verdict: `says ${wanted === null ? state : word(wanted)}`,
    })),
  );
  return compared ? [compared, ...said] : said;
}
