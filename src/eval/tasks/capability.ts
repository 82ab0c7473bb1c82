/**
 * @file Capability: easy questions with one right answer among four, by log-probability, so that what training costs a
 * model shows before and after.
 *
 * The question is one user turn in the checkpoint's chat template (prompt.ts), and the choices are not listed: each is
 * scored as the assistant's whole answer, the sum of the log-probabilities of its tokens and of the one that ends it.
 * The most likely one is the model's answer; equal ones are undecided. Chance is one in four.
 */
import { z } from "zod";
import { InputError } from "../../base/errors.js";
import { checkJson } from "../../base/json.js";
import { score } from "../../model/score.js";
import { encodeAnswer } from "../asking/prompt.js";
import { countScored } from "../counts.js";
import { groupSamples } from "../record.js";
import { shippedFile } from "../shipped-data.js";
import { formatEstimate } from "../statistics/format.js";
import { boundedMean, type Estimate, wilson } from "../statistics/intervals.js";
import type { Json, Task } from "../task.js";

const sampleSchema = z.strictObject({
  id: z.string(),
  category: z.string(),
  question: z.string().min(1),
  choices: z.array(z.string().min(1)).length(4),
  answer: z.string(),
});
export type Sample = z.infer<typeof sampleSchema> & { where: string };

interface Score {
  /** Of the choices, in their order. */
  logprobs: number[];
  /** null: undecided. */
  correct: boolean | null;
  /** Of the right answer, given that it is one of the four. */
  probability: number;
}

export const capability: Task<Sample, number[], Score> = {
  name: "capability",
  version: 1,
  summary: "easy questions with four answers (knowledge, words, reading, arithmetic), by log-probability",
  data: [shippedFile("capability", "questions.jsonl")],
  parse(record, where) {
    const sample = checkJson(sampleSchema, record, where);
    const { choices, answer } = sample;
    if (new Set(choices).size < choices.length || !choices.includes(answer))
      throw new InputError(`${where}: choices must differ and hold the answer ${JSON.stringify(answer)}`);
    return { ...sample, where };
  },
  reads: ({ question, choices }) => [[question, ...choices].join("\n")],
  async solve({ decoder, tokenizer, system = null, onProgress }, samples) {
    const requests = samples.flatMap(({ question, choices, where }) =>
      choices.map((choice) => ({ ...encodeAnswer(tokenizer, { question, system, where }, choice), where })),
    );
    const scores = await score(decoder, requests, (done) => onProgress(done, requests.length));
    const sums = scores.map(({ logprobs }) => logprobs.reduce((sum, value) => sum + value, 0));
    return samples.map(({ choices }) => sums.splice(0, choices.length));
  },
  score({ choices, answer }, logprobs) {
    const best = Math.max(...logprobs);
    const winners = choices.filter((_, i) => logprobs[i] === best);
    const weights = logprobs.map((value) => Math.exp(value - best));
    const probability = weights[choices.indexOf(answer)]! / weights.reduce((sum, value) => sum + value, 0);
    return { logprobs, correct: winners.length > 1 ? null : winners[0] === answer, probability };
  },
  counts: () => countScored(1),
  outcomes: ({ correct, probability }) => ({
    correct: correct === null ? { value: null, low: 0, high: 1 } : correct ? 1 : 0,
    probability,
  }),
  legend: {
    correct: "share of the questions whose right answer is the most likely of four (chance: .25)",
    probability: "of the right answer, given that it is one of the four",
  },
  show({ question, choices, answer }, { logprobs, correct }) {
    const lines = (choices as string[]).map((choice, i) => `${logprobs[i]!.toFixed(2)} nats  ${choice}`);
    const verdict = correct === null ? "undecided" : correct ? "correct" : "wrong";
    return [{ prompt: String(question), response: `${lines.join("\n")}\nright: ${answer}`, verdict }];
  },
  summarize(samples, scores) {
    const ratesOf = (some: readonly Score[]): Json => {
      const decided = some.filter(({ correct }) => correct !== null);
      return {
        n: some.length,
        decidedRate: wilson(decided.length, some.length),
        correct: wilson(decided.filter(({ correct }) => correct).length, decided.length),
        probability: boundedMean(some.map(({ probability }) => probability)),
      };
    };
    const byCategory = groupSamples(samples.map(({ category }) => ({ category }))).get("category") ?? new Map();
    const categories = [...byCategory].map(([name, places]) => [name, ratesOf(places.map((i: number) => scores[i]!))]);
    return { ...ratesOf(scores), categories: Object.fromEntries(categories) };
  },
  describe(results) {
    const { categories, ...all } = results as unknown as Rates & { categories: Record<string, Rates> };
    const line = ({ n, correct, probability }: Rates): string =>
      `${n} questions, correct ${formatEstimate(correct)}, probability of the right answer ` +
      `${formatEstimate(probability)}`;
    return [line(all), ...Object.entries(categories).map(([name, rates]) => `  ${name}: ${line(rates)}`)];
  },
};

interface Rates {
  n: number;
  correct: Estimate;
  probability: Estimate;
}
