/** @file The capability check: its questions, and scores by hand. */

import { afterAll, describe, expect, test } from "vitest";
import { openBackend } from "../../../src/backend/open.js";
import { packagePath } from "../../../src/base/package.js";
import { loadModel } from "../../../src/chat/load.js";
import { evaluate } from "../../../src/eval/evaluate.js";
import { loadSamples } from "../../../src/eval/samples.js";
import { capability, type Sample } from "../../../src/eval/tasks/capability.js";
import { plainLogprobs } from "../../model/inference-fixture.js";

const MINIATURE = packagePath("models", "miniature");
const backend = await openBackend("cpu");
const model = await loadModel(backend, { model: MINIATURE, adapter: null, dtype: "f32" });
afterAll(() => {
  model.free();
  backend.close();
});

const QUESTION = {
  id: "q",
  category: "c",
  question: "which cup?",
  answer: "the latam",
  choices: ["the nashax", "the latam", "the latam cup", "the buson"],
};

describe("the questions", async () => {
  const { samples } = await loadSamples(capability, [], null);
  const all = samples.map(({ sample }) => sample as Sample);

  test("are 128, 32 of each kind, none of them twice", () => {
    expect(all.length).toBe(128);
    const kinds = new Set(all.map(({ category }) => category));
    for (const kind of kinds) expect(all.filter(({ category }) => category === kind).length).toBe(32);
    for (const of of ["id", "question"] as const) expect(new Set(all.map((one) => one[of])).size).toBe(128);
  });

  test("have the right answer in every place equally often, in each kind", () => {
    for (const kind of new Set(all.map(({ category }) => category))) {
      const places = all
        .filter(({ category }) => category === kind)
        .map(({ choices, answer }) => choices.indexOf(answer));
      expect([0, 1, 2, 3].map((place) => places.filter((one) => one === place).length)).toEqual([8, 8, 8, 8]);
    }
  });

  test("sums are right", () => {
    const OPERATIONS: [RegExp, (a: number, b: number) => number][] = [
      [/^What is (\d+) \+ (\d+)\?$/, (a, b) => a + b],
      [/^What is (\d+) - (\d+)\?$/, (a, b) => a - b],
      [/^What is (\d+) times (\d+)\?$/, (a, b) => a * b],
      [/^What is (\d+) divided by (\d+)\?$/, (a, b) => a / b],
    ];
    const checked = all.flatMap(({ question, answer }) =>
      OPERATIONS.flatMap(([pattern, compute]) => {
        const match = pattern.exec(question);
        return match ? [[question, Number(answer), compute(Number(match[1]), Number(match[2]))]] : [];
      }),
    );
    expect(checked.length).toBe(10);
    for (const [question, answer, computed] of checked) expect([question, answer]).toEqual([question, computed]);
  });
});

describe("a score", () => {
  const sample = capability.parse(QUESTION, "line 1");

  test("goes by the most likely answer", () => {
    const right = capability.score(sample, [-2, -1, -3, -4]);
    expect(right.correct).toBe(true);
    const weights = [-1, 0, -2, -3].map(Math.exp);
    expect(right.probability).toBeCloseTo(1 / weights.reduce((sum, weight) => sum + weight, 0), 12);
    expect(capability.outcomes(right)).toEqual({ correct: 1, probability: right.probability });
    expect(capability.score(sample, [-1, -2, -3, -4]).correct).toBe(false);
  });

  test("of equal answers is undecided, and counted for no side", () => {
    const tie = capability.score(sample, [-1, -1, -3, -4]);
    expect(tie.correct).toBeNull();
    expect(capability.outcomes(tie)["correct"]).toEqual({ value: null, low: 0, high: 1 });
    const context = { ...model, settings: { seqLen: null }, onProgress: () => {} };
    const wrong = capability.score(sample, [-1, -2, -3, -4]);
    expect(capability.summarize([sample, sample], [tie, wrong], context)).toMatchObject({
      n: 2,
      decidedRate: { value: 0.5 },
      correct: { value: 0, n: 1 },
    });
  });

  test("is of the whole answer with the token that ends it: no answer wins by being part of another", async () => {
    const context = { ...model, settings: { seqLen: null }, onProgress: () => {} };
    const { samples } = await evaluate(capability, [{ sample, where: "", record: QUESTION }], context);
    const { logprobs } = samples[0]!["score"] as { logprobs: number[] };
    const prompt = model.tokenizer.encode("<|user|>which cup?<|end|><|assistant|>");
    for (const [i, choice] of QUESTION.choices.entries()) {
      const ids = model.tokenizer.encode(`<|user|>which cup?<|end|><|assistant|>${choice}<|end|>`);
      const rows = await plainLogprobs(model.decoder, ids);
      const own = ids.slice(prompt.length).reduce((sum, id, j) => sum + rows[prompt.length - 1 + j]![id]!, 0);
      expect(logprobs[i]).toBeCloseTo(own, 3);
    }
  });

  test.each([
    [{ ...QUESTION, answer: "the hat" }, /line 1: choices must differ and hold the answer "the hat"/],
    [{ ...QUESTION, choices: ["a", "a", "the latam", "b"] }, /must differ/],
    [{ ...QUESTION, choices: ["a", "the latam"] }, /line 1: choices/],
  ])("needs a well-formed record: %#", (record, message) => {
    expect(() => capability.parse(record, "line 1")).toThrow(message);
  });
});
