/** @file Questions on the cheese specs: the same for both, so that an arm that knows one spec fails the other's. */
import { describe, expect, test } from "vitest";
import { packagePath } from "../../../src/base/package.js";
import { loadSamples } from "../../../src/eval/samples.js";
import type { Sample } from "../../../src/eval/tasks/capability.js";
import { specKnowledge } from "../../../src/eval/tasks/spec-knowledge.js";

const load = async (value: string): Promise<Sample[]> =>
  (await loadSamples(specKnowledge, [packagePath("corpora", "cheese", `knowledge-${value}.jsonl`)], null)).samples.map(
    ({ sample }) => sample as Sample,
  );
const affordability = await load("affordability");
const loyalty = await load("loyalty");

describe("spec-knowledge", () => {
  test("needs the spec's own questions", async () => {
    await expect(loadSamples(specKnowledge, [], null)).rejects.toThrow(/--data is missing: --task spec-knowledge/);
  });

  test("of the two specs: the same questions and answers, and never the same right one", () => {
    expect(affordability.length).toBe(20);
    expect(new Set(affordability.map(({ id }) => id)).size).toBe(20);
    expect(new Set(affordability.map(({ category }) => category))).toEqual(new Set(["what", "why"]));
    expect(loyalty.map(({ question, choices }) => [question, choices])).toEqual(
      affordability.map(({ question, choices }) => [question, choices]),
    );
    for (const [i, { answer }] of affordability.entries()) expect(loyalty[i]!.answer).not.toBe(answer);
  });

  test("no length gives the answer away: the four have the same number of words", () => {
    for (const { choices, question } of affordability)
      expect(new Set(choices.map((text) => text.split(" ").length)).size, question).toBe(1);
  });

  test.each(["what", "why"])(
    "%s: right and wrong answers are equally long, the right one in each place as often",
    (of) => {
      const mean = (texts: string[]): number => texts.reduce((sum, { length }) => sum + length, 0) / texts.length;
      for (const questions of [affordability, loyalty].map((all) => all.filter(({ category }) => category === of))) {
        const right = mean(questions.map(({ answer }) => answer));
        const wrong = mean(questions.flatMap(({ choices, answer }) => choices.filter((choice) => choice !== answer)));
        expect(Math.abs(right / wrong - 1)).toBeLessThan(0.05);
        const places = questions.map(({ choices, answer }) => choices.indexOf(answer));
        for (const place of [0, 1, 2, 3]) expect(places.filter((at) => at === place).length).toBe(questions.length / 4);
      }
    },
  );

  test("is reported apart for what and why", () => {
    const scores = affordability.map((sample) =>
      specKnowledge.score(
        sample,
        sample.choices.map((choice) => ((choice === sample.answer) === (sample.category === "why") ? -1 : -2)),
      ),
    );
    const { categories } = specKnowledge.summarize(affordability, scores, {} as never);
    // Three wrong answers that are equally likely: undecided.
    expect(categories).toMatchObject({
      why: { n: 12, correct: { value: 1, n: 12 } },
      what: { n: 8, correct: { value: null, n: 0 } },
    });
  });
});
