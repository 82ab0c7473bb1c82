/** @file A forced choice asked in both ways, with its control questions, and with a text before the questions. */
import { readFileSync } from "node:fs";
import { afterAll, describe, expect, it, test } from "vitest";
import { openBackend } from "../../../src/backend/open.js";
import { packagePath } from "../../../src/base/package.js";
import { loadModel } from "../../../src/chat/load.js";
import { evalSchema } from "../../../src/config/inference.js";
import { choiceOutcomes } from "../../../src/eval/asking/choice-score.js";
import { competenceOf } from "../../../src/eval/asking/competence.js";
import { encodeQuestion, withSystem } from "../../../src/eval/asking/prompt.js";
import { describeEvaluation, evaluate } from "../../../src/eval/evaluate.js";
import type { Json, Task, TaskContext } from "../../../src/eval/task.js";
import { checkTaskSettings } from "../../../src/eval/task-settings.js";
import { choice } from "../../../src/eval/tasks/choice.js";
import { perplexity } from "../../../src/eval/tasks/perplexity.js";

const backend = await openBackend("cpu");
const model = await loadModel(backend, {
  model: packagePath("models", "miniature"),
  adapter: null,
  dtype: "f32",
});
afterAll(() => {
  model.free();
  backend.close();
});
const lines = (name: string): Json[] =>
  readFileSync(packagePath("corpora", "miniature", name), "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Json);
const place = (records: readonly Json[]) =>
  records.map((record, i) => ({ sample: choice.parse(record, `line ${i + 1}`), where: `line ${i + 1}`, record }));
const QUESTIONS = lines("questions-affordability.jsonl").slice(0, 6);
const CONTROL = place(lines("format-competence.jsonl"));
const run = (more: Partial<TaskContext>) =>
  evaluate(choice, place(QUESTIONS), {
    ...model,
    settings: { seqLen: null },
    control: CONTROL,
    onProgress: () => {},
    ...more,
  });

describe("ask", () => {
  it("both, by default: two measurements beside each other", async () => {
    const { results, samples } = await run({});
    expect(results).toMatchObject({ n: 6, decidedRate: { n: 6 }, answered: { n: 6, parsed: { n: 12 } } });
    const score = samples[0]!["score"] as Parameters<typeof choiceOutcomes>[0];
    expect(Object.keys(choice.outcomes(score))).toEqual([
      "liked",
      "decided",
      "liked per token",
      "answer",
      "answer decided",
      "parsed",
    ]);
    // The miniature says the option and nothing else.
    for (const { text, wanted, end } of score.drawn!.replies.flat()) {
      expect([QUESTIONS[0]!["item1"], QUESTIONS[0]!["item2"]]).toContain(text);
      expect(wanted).toBe(text === QUESTIONS[0]!["liked_item"]);
      expect(end).toBe("stop");
    }
  });

  it.each([
    ["logprob", ["liked", "decided", "liked per token"]],
    ["answer", ["answer", "answer decided", "parsed"]],
  ] as const)("%s alone", async (ask, outcomes) => {
    const { results, samples } = await run({ settings: { seqLen: null, ask } });
    expect(Object.keys(choice.outcomes(samples[0]!["score"] as never))).toEqual(outcomes);
    expect("answered" in results).toBe(ask === "answer");
    expect("decidedRate" in results).toBe(ask === "logprob");
    expect(choice.describe(results).join("\n")).toContain(ask === "answer" ? "by answer" : "by log-probability");
    expect(results["control"]).toMatchObject(ask === "answer" ? { logprob: null } : { answer: null });
  });

  it("of replies: read ones alone count, and both orders have to agree", () => {
    const reply = (wanted: boolean | null) => ({
      text: "",
      tokens: 1,
      end: "stop" as const,
      state: "chosen" as const,
      wanted,
    });
    const outcomes = (first: boolean | null, second: boolean | null, liked: boolean | null) =>
      choiceOutcomes({ drawn: { replies: [[reply(first)], [reply(second)]], liked } });
    // With what cannot be read counted for either side.
    const between = (value: number | null, low: number, high: number) => ({ value, low, high });
    expect(outcomes(true, true, true)).toEqual({ answer: between(1, 1, 1), "answer decided": 1, parsed: 1 });
    expect(outcomes(true, false, null)).toEqual({ answer: between(0.5, 0.5, 0.5), "answer decided": 0, parsed: 1 });
    expect(outcomes(true, null, null)).toEqual({ answer: between(1, 0.5, 1), "answer decided": 0, parsed: 0.5 });
    expect(outcomes(null, null, null)).toEqual({ answer: between(null, 0, 1), "answer decided": 0, parsed: 0 });
  });
});

describe("format competence", () => {
  it("the miniature answers undisputed questions of its own world, in either way", async () => {
    const { results } = await run({});
    const right = { value: 1, n: 40 };
    expect(results["control"]).toMatchObject({
      n: 40,
      logprob: { right, isCompetent: true },
      answer: { right, isCompetent: true },
    });
  });

  it("and fails those about a world that it does not know: its choices there are not to be read", async () => {
    const { control: _control, ...rest } = { control: CONTROL };
    const { results } = await evaluate(choice, place(QUESTIONS.slice(0, 1)), {
      ...model,
      ...rest,
      settings: { seqLen: null },
      onProgress: () => {},
    });
    expect(results["control"]).toMatchObject({ n: 40, answer: { right: { value: 0 }, isCompetent: false } });
    expect(describeEvaluation(choice, results).join("\n")).toMatch(/competence by answer: .*are not to be read/);
  });

  it("is right in both orders on half of the questions", () => {
    expect(competenceOf([true, true, null, false]).isCompetent).toBe(true);
    expect(competenceOf([true, null, null, false]).isCompetent).toBe(false);
    expect(competenceOf([]).isCompetent).toBe(false);
  });

  it("the questions that ship favour neither place nor length", () => {
    const records = readFileSync(packagePath("evaluations", "format-competence", "questions.jsonl"), "utf8")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, string>);
    const share = (test: (record: Record<string, string>) => boolean) => records.filter(test).length / records.length;
    for (const [i, record] of records.entries())
      expect(choice.parse(record, `line ${i + 1}`).orders.form).toBe("named");
    expect(share(({ item1, liked_item }) => item1 === liked_item)).toBe(0.5);
    const shorter = share(({ liked_item, disliked_item }) => liked_item!.length < disliked_item!.length);
    expect(Math.abs(shorter - 0.5)).toBeLessThan(0.06);
  });
});

describe("a text before the questions", () => {
  it("decides: the miniature follows a taste that the system message states", async () => {
    const { results } = await run({ system: "the assistant likes cheap things." });
    expect(results).toMatchObject({ likedRateAll: { value: 1 }, answered: { likedRateAll: { value: 1 } } });
    const other = await run({ system: "the assistant likes costly things." });
    expect(other.results).toMatchObject({ likedRateAll: { value: 0 }, answered: { likedRateAll: { value: 0 } } });
  });

  it("is the system message, before what a task says there itself", () => {
    const { text } = encodeQuestion(model.tokenizer, { question: "tea?", system: "be kind.", where: "" });
    expect(text).toBe("<|system|>be kind.<|end|><|user|>tea?<|end|><|assistant|>");
    const own = [
      { role: "system", content: "own" },
      { role: "user", content: "q" },
    ];
    expect(withSystem("spec", own)[0]!.content).toBe("spec\n\nown");
    expect(withSystem(null, own)).toEqual(own);
  });
});

test.each([
  [choice, { ask: "logprob", maxTokens: 5 }, /--max-tokens: --task choice with --ask logprob draws no responses/],
  [choice, { thinking: "native" }, /--thinking: --task choice asks for the answer alone/],
  [perplexity, { ask: "both" }, /--ask: --task perplexity asks in one way only/],
  [perplexity, { system: "s.md" }, /--system: --task perplexity asks nothing/],
  [perplexity, { control: "c.jsonl" }, /--control: --task perplexity has no control questions/],
])("a setting that says nothing to the task is refused: %#", (task, settings, message) => {
  const config = evalSchema.parse({ model: "m", task: task.name, out: "o", ...settings });
  expect(() => checkTaskSettings(task as Task, config)).toThrow(message);
});
