/** @file What an evaluation asked for and what came of it. */
import { expect, test } from "vitest";
import { withoutReasoning } from "../../src/chat/reasoning.js";
import type { Response } from "../../src/eval/asking/answers.js";
import { countJudged, describeCounts, isWhole, sumCounts } from "../../src/eval/counts.js";
import type { Judgement } from "../../src/eval/judge/judge.js";
import { choice } from "../../src/eval/tasks/choice.js";
import { perplexity } from "../../src/eval/tasks/perplexity.js";

const said = (text: string): Response => ({ text, tokens: 3, end: "stop" });
const judged = (value: string | null, reply: string | null, attempts = 1): Judgement<string> => ({
  value,
  reply,
  attempts,
  error: value === null ? "why" : null,
});

test("answers that a judge reads: said, read, refused", () => {
  const responses = ["yes", "<think>hm</think>", "no", "perhaps"].map(said);
  const judgements = [judged("a", "a"), judged("b", "b"), judged(null, null), judged(null, "?")];
  const counts = countJudged(responses, judgements, withoutReasoning);
  expect(counts).toEqual({ asked: 4, answered: 3, readable: 1, failed: 1 });
  expect(isWhole(counts)).toBe(false);
  expect(describeCounts(counts)).toBe(
    "4 answers asked for: 3 say something, 1 could be read, 1 were refused by the judge",
  );
});

test("without a judge nothing is missing but what was not said", () => {
  const judgements = [judged(null, null, 0), judged(null, null, 0)];
  expect(countJudged([said("yes"), said(" ")], judgements)).toEqual({ asked: 2, answered: 1, readable: 1, failed: 0 });
});

test("choices: two comparisons, and every reply", () => {
  const reply = (text: string, wanted: boolean | null) => ({ ...said(text), wanted, state: "none" as const });
  const drawn = { replies: [[reply("the cup", true)], [reply("", null)]], liked: null };
  const score = { margins: [1, 1], drawn } as unknown as Parameters<typeof choice.counts>[0];
  const answer = { compared: null, drawn: null };
  expect(choice.counts(score, answer)).toEqual({ asked: 4, answered: 3, readable: 3, failed: 0 });
});

test("a text without a token to score is missing", () => {
  const counts = [0, 5].map((tokens) =>
    perplexity.counts({ nll: 1, tokens, bytes: 1, logprobs: [], windows: [] }, { windows: [], bytes: 1 }),
  );
  expect(sumCounts(counts)).toEqual({ asked: 2, answered: 1, readable: 1, failed: 0 });
});
