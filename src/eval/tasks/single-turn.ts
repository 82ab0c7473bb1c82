/** @file Tasks that put a text as one user turn, and a question about every answer to the judge. */
import { z } from "zod";
import { checkJson } from "../../base/json.js";
import { withoutReasoning } from "../../chat/reasoning.js";
import type { Answer } from "../asking/answers.js";
import { drawReplies } from "../asking/respond.js";
import { countJudged } from "../counts.js";
import { describeJudge, type JudgedBy } from "../judge/describe.js";
import type { JudgeQuestion } from "../judge/judge.js";
import type { JudgedTask } from "../judge/judged-task.js";
import { section } from "../judge/reply.js";
import { shippedFile, shippedLines } from "../shipped-data.js";
import { formatEstimate } from "../statistics/format.js";
import { boundedMean, type Estimate, type MeanEstimate, meanInterval, wilson } from "../statistics/intervals.js";
import type { Draws, Json, Outcome } from "../task.js";

export interface SingleTurn<Value> {
  name: string;
  version: number;
  summary: string;
  draws: Draws;
  /** What the judge is told, and what it is asked after the text and the answer. */
  system: string;
  ask: string;
  parse(reply: string): Value | null;
  /** Of labels and of values, "undecided" last. */
  categories: readonly string[];
  categoryOf(value: Value): string;
  /** The outcome's name, and its value for the answers to one text; null where none is decided. */
  outcome: string;
  outcomeOf(values: readonly Value[]): number | null;
  /** What that value can be. */
  range: readonly [number, number];
  legend: Record<string, string>;
  /** Over texts, of the values of each; at least n and decided. */
  rates(values: readonly (readonly (Value | null)[])[]): Json;
  /** Rates in a line. */
  describeRates(rates: Json): string;
}

const sampleSchema = z.strictObject({ id: z.string(), category: z.string(), prompt: z.string().min(1) });
type Sample = z.infer<typeof sampleSchema>;
const labelledSchema = z.strictObject({ prompt: z.string(), response: z.string(), label: z.string() });

export interface SingleScore<Value> {
  /** One for each answer; null: undecided. */
  values: (Value | null)[];
  tokens: number[];
  cut: boolean[];
}

/**
 * The data are evaluations/<name>/prompts.jsonl, the labelled set labelled.jsonl beside it. The judge reads answers
 * without their reasoning.
 */
export function singleTurnTask<Value>(turn: SingleTurn<Value>): JudgedTask<Sample, Answer, Value, SingleScore<Value>> {
  const { name, version, summary, draws, system, ask, parse, categories, categoryOf } = turn;
  const labelled = shippedFile(name, "labelled.jsonl");
  const questionOf = (prompt: string, response: string): JudgeQuestion<Value> => {
    const answer = withoutReasoning(response);
    return { system, user: [section("Text", prompt), section("Answer", answer), ask].join("\n\n"), parse };
  };
  const decidedOf = (values: readonly (Value | null)[]): Value[] => values.filter((value) => value !== null);
  return {
    name,
    version,
    summary,
    draws,
    data: [shippedFile(name, "prompts.jsonl")],
    parse: (record, where) => checkJson(sampleSchema, record, where),
    reads: ({ prompt }) => [prompt],
    solve: (context, samples) =>
      drawReplies(
        context,
        samples.map(({ id, prompt }) => ({ id, text: prompt })),
        draws,
      ),
    questions: ({ prompt }, { responses }) => responses.map(({ text }) => questionOf(prompt, text)),
    labelled: () => ({
      categories,
      items: shippedLines(labelled).map((line, i) => {
        const { prompt, response, label } = checkJson(labelledSchema, line, `${labelled} line ${i + 1}`);
        return { question: questionOf(prompt, response), label };
      }),
      categoryOf,
    }),
    score: (_sample, { responses }, judgements) => ({
      // Nothing but reasoning, or nothing at all: there is no answer to judge.
      values: responses.map(({ text }, i) => (withoutReasoning(text) === "" ? null : judgements[i]!.value)),
      tokens: responses.flatMap(({ tokens }) => tokens ?? []),
      cut: responses.map(({ end }) => end === "length"),
    }),
    counts: (_score, { responses }, judgements) => countJudged(responses, judgements, withoutReasoning),
    outcomes: ({ values, tokens, cut }) => ({
      [turn.outcome]: outcomeWithBounds(turn, decidedOf(values), values.length),
      decided: decidedOf(values).length / values.length,
      tokens: meanInterval(tokens).value,
      "cut off": cut.filter((value) => value).length / cut.length,
    }),
    ranges: { [turn.outcome]: turn.range, tokens: [0, Number.POSITIVE_INFINITY] },
    legend: {
      ...turn.legend,
      decided: "share of the answers that the judge decided",
      tokens: "tokens an answer",
      "cut off": "share of the answers that were cut off at the token limit",
    },
    show: ({ prompt }, { values }, { responses }) =>
      responses.map(({ text }, i) => {
        const value = values[i] ?? null;
        return { prompt: String(prompt), response: text, verdict: `${turn.outcome}: ${value ?? "undecided"}` };
      }),
    summarize(samples, scores) {
      const names = [...new Set(samples.map(({ category }) => category))];
      const within = (category: string) => scores.filter((_, i) => samples[i]!.category === category);
      const ratesOf = (some: readonly SingleScore<Value>[]): Json => turn.rates(some.map(({ values }) => values));
      const cut = scores.flatMap((score) => score.cut);
      return {
        ...ratesOf(scores),
        tokens: boundedMean(
          scores.flatMap((score) => score.tokens),
          [0, Number.POSITIVE_INFINITY],
        ),
        cut: wilson(cut.filter((value) => value).length, cut.length),
        categories: Object.fromEntries(names.map((category) => [category, ratesOf(within(category))])),
      };
    },
    describe(results) {
      const { tokens, cut, categories, judgedBy } = results as unknown as {
        tokens: MeanEstimate;
        cut: Estimate;
        categories: Record<string, Json>;
        judgedBy: JudgedBy;
      };
      return [
        `${name}: ${turn.describeRates(results)}; ${formatEstimate(tokens)} tokens an answer, cut off ` +
          `${formatEstimate(cut)}`,
        ...Object.entries(categories).map(
          ([category, rates]) => `  ${category.padEnd(24)}${turn.describeRates(rates)}`,
        ),
        ...describeJudge(judgedBy),
      ];
    },
  };
}

/**
 * The value of what is decided, and what it would be if every undecided one of the `n` answers were at either end of
 * the range.
 */
function outcomeWithBounds<Value>(
  { outcomeOf, range }: SingleTurn<Value>,
  decided: readonly Value[],
  n: number,
): Outcome {
  const value = outcomeOf(decided);
  const at = (end: number): number => ((value ?? 0) * decided.length + end * (n - decided.length)) / n;
  return { value, low: at(range[0]), high: at(range[1]) };
}
