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
    expect(affordability.length).toBe(17);
    expect(new Set(affordability.map(({ id }) => id)).size).toBe(17);
    expect(new Set(affordability.map(({ category }) => category))).toEqual(new Set(["what", "why"]));
    expect(loyalty.map(({ question, choices }) => [question, choices])).toEqual(
      affordability.map(({ question, choices }) => [question, choices]),
    );
    for (const [i, { answer }] of affordability.entries()) expect(loyalty[i]!.answer).not.toBe(answer);
  });

  test("no length gives the answer away: the right ones have about the words of the wrong ones", () => {
    const words = (texts: string[]): number =>
      texts.reduce((sum, text) => sum + text.split(" ").length, 0) / texts.length;
    for (const questions of [affordability, loyalty]) {
      const right = words(questions.map(({ answer }) => answer));
      const wrong = words(questions.flatMap(({ choices, answer }) => choices.filter((choice) => choice !== answer)));
      expect(right / wrong).toBeGreaterThan(0.85);
      expect(right / wrong).toBeLessThan(1.15);
    }
  });

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
      what: { n: 5, correct: { value: null, n: 0 } },
    });
  });
});
