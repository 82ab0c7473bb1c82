import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { openBackend } from "../../../src/backend/open.js";
import { packagePath } from "../../../src/base/package.js";
import { loadModel } from "../../../src/chat/load.js";
import type { ChoiceScore } from "../../../src/eval/asking/choice-score.js";
import type { ComparedAnswers } from "../../../src/eval/asking/compare.js";
import { encodeAnswer } from "../../../src/eval/asking/prompt.js";
import { drawReplies } from "../../../src/eval/asking/respond.js";
import { cutWindows } from "../../../src/eval/asking/windows.js";
import { evaluate } from "../../../src/eval/evaluate.js";
import { type Estimate, wilson } from "../../../src/eval/statistics/intervals.js";
import type { Json, Task } from "../../../src/eval/task.js";
import { type ChoiceSample, choice } from "../../../src/eval/tasks/choice.js";
import { type MultipleChoiceScore, multipleChoice } from "../../../src/eval/tasks/multiple-choice.js";
import { perplexity, type TextScore } from "../../../src/eval/tasks/perplexity.js";
import { loadTokenizer } from "../../../src/tokenizer/tokenizer.js";
import { damage, plainLogprobs } from "../../model/inference-fixture.js";
import { sharedModel } from "../../shared.js";

const MINIATURE = packagePath("models", "miniature");
/** Published questions, beside the repository. */
const RISK = packagePath("..", "shared", "data", "ai-risk");
if (!existsSync(RISK)) console.log("skipped: no ../shared/data/ai-risk beside the repository");
const backend = await openBackend("cpu");
const model = await loadModel(backend, { model: MINIATURE, adapter: null, dtype: "f32" });
const tinystories = sharedModel("tinystories-656k");
afterAll(() => {
  model.free();
  backend.close();
});

async function run(task: Task, records: Json[], seqLen: number | null = null, on = model) {
  const placed = records.map((record, i) => ({ sample: task.parse(record, `line ${i + 1}`), where: "", record }));
  const context = { decoder: on.decoder, tokenizer: on.tokenizer, settings: { seqLen }, onProgress: () => {} };
  const { results, samples } = await evaluate(task, placed, context);
  return { results, scores: samples.map(({ score }) => score) };
}

/** Log-probability of `answer` after `prompt`, one token after the other. */
async function plainLogprob(prompt: string, answer: string): Promise<number> {
  const [before, ids] = [prompt, prompt + answer].map((text) => model.tokenizer.encode(text)) as [number[], number[]];
  const rows = await plainLogprobs(model.decoder, ids);
  return ids.slice(before.length).reduce((sum, id, i) => sum + rows[before.length - 1 + i]![id]!, 0);
}

const PAIRS = [
  ["the nashax", "the latam", "cup"],
  ["the latam", "the buson", "cup"],
  ["the zigur", "the latam", "hat"],
  ["the mashask", "the latam", "hat"],
] as const;
const QUESTIONS = PAIRS.map(([item1, item2, domain], i) => ({
  question: `which cup do you like, ${item1} or ${item2}?`,
  item1,
  item2,
  liked_item: i % 2 ? item2 : item1,
  disliked_item: i % 2 ? item1 : item2,
  domain,
}));

describe("choice", () => {
  test("scores are those of the rendered chats, one token after the other", async () => {
    const { scores } = (await run(choice, QUESTIONS)) as { scores: ChoiceScore[] };
    for (const [i, { item1, item2, liked_item }] of QUESTIONS.entries()) {
      const margins = [];
      for (const [a, b] of [
        [item1, item2],
        [item2, item1],
      ]) {
        const prompt = `<|user|>which cup do you like, ${a} or ${b}?<|end|><|assistant|>`;
        const both = [await plainLogprob(prompt, item1), await plainLogprob(prompt, item2)] as const;
        margins.push((liked_item === item1 ? 1 : -1) * (both[0] - both[1]));
      }
      for (const order of [0, 1]) expect(scores[i]!.margins![order]).toBeCloseTo(margins[order]!, 4);
      const [p1, p2] = margins.map((margin) => 1 / (1 + Math.exp(-margin)));
      expect(scores[i]!.probability).toBeCloseTo((p1! + p2!) / 2, 5);
      const wins = margins.filter((margin) => margin > 0).length;
      expect(scores[i]!.liked).toBe(wins === 2 ? true : wins === 0 ? false : null);
    }
  });

  const answer = (a: number, b: number): ComparedAnswers => ({
    scores: [
      { logprob: a, tokens: 1, endLogprob: -9 },
      { logprob: b, tokens: 2, endLogprob: -1 },
    ],
    endsCount: false,
  });
  const sample = (item1Liked: boolean) =>
    choice.parse(
      {
        question: "a or b?",
        item1: "a",
        item2: "b",
        liked_item: item1Liked ? "a" : "b",
        disliked_item: item1Liked ? "b" : "a",
      },
      "",
    );

  const scored = (one: ChoiceSample, ...compared: [ComparedAnswers, ComparedAnswers]): ChoiceScore =>
    choice.score(one, { compared, drawn: null });

  test.each([
    ["both orders prefer item1, the liked one", true, [-1, -2], [-1, -3], true, 1],
    ["both orders prefer item1, the other one", false, [-1, -2], [-1, -3], false, 1],
    ["each order prefers what is named first", true, [-1, -2], [-2, -1], null, 2],
    ["each order prefers what is named second", true, [-2, -1], [-1, -2], null, 0],
    ["one order prefers nothing", true, [-1, -2], [-2, -2], null, 1.5],
  ] as const)("%s", (_name, item1Liked, first, second, liked, firstNamed) => {
    const score = scored(sample(item1Liked), answer(first[0], first[1]), answer(second[0], second[1]));
    expect([score.liked, score.firstNamed]).toEqual([liked, firstNamed]);
  });

  test("per token, the longer answer is not behind for its length", () => {
    const score = scored(sample(true), answer(-2, -3), answer(-2, -3));
    expect([score.liked, score.likedPerToken]).toEqual([true, false]);
  });

  test("rates, intervals and groups", async () => {
    const { results, scores } = (await run(choice, QUESTIONS)) as { results: Json; scores: ChoiceScore[] };
    const decided = scores.filter(({ liked }) => liked !== null);
    expect(results).toMatchObject({
      n: 4,
      decided: decided.length,
      liked: decided.filter(({ liked }) => liked).length,
      questions: { prompt: "chat template", named: 4, appended: 0 },
    });
    const groups = results["groups"] as Record<string, Record<string, { n: number; decidedRate: Estimate }>>;
    expect(Object.keys(groups)).toEqual(["domain"]);
    expect(Object.entries(groups["domain"]!).map(([name, { n }]) => [name, n])).toEqual([
      ["cup", 2],
      ["hat", 2],
    ]);
    expect(choice.describe(results).join("\n")).toMatch(
      /4 questions, both orders\nby log-probability: decided [\s\S]*domain cup: n 2/,
    );
  });

  test("shares that all questions agree on have intervals with a width, within [0, 1]", () => {
    // Position alone: item1 where it is named first, item2 where that is.
    const score = scored(sample(true), answer(-1, -2), answer(-2, -1));
    const context = { ...model, settings: { seqLen: null }, onProgress: () => {} };
    const results = choice.summarize(Array(5).fill(sample(true)), Array(5).fill(score), context) as Json & {
      orderBias: { firstNamed: Estimate };
    };
    expect(results.orderBias.firstNamed).toMatchObject(wilson(5, 5));
    expect(results["likedAnswers"]).toMatchObject(wilson(2.5, 5));
    // .1 and three times 1: the t interval passes 1.
    const probabilities = [0.1, 1, 1, 1].map((probability) => ({ ...score, probability }));
    const { probability } = choice.summarize(Array(4).fill(sample(true)), probabilities, context);
    expect(probability).toMatchObject({ value: 0.775, high: 1 });
  });

  test("where one item begins with the other, the end of the answer counts", async () => {
    const record = {
      ...QUESTIONS[0]!,
      item1: "the latam",
      item2: "the latam cup",
      liked_item: "the latam cup",
      disliked_item: "the latam",
    };
    const { scores } = (await run(choice, [record])) as { scores: ChoiceScore[] };
    expect(scores[0]!.answers!.map(({ endsCount }) => endsCount)).toEqual([true, true]);
    const [short, long] = scores[0]!.answers![0].scores;
    expect(scores[0]!.margins![0]).toBeCloseTo(long.logprob + long.endLogprob - short.logprob - short.endLogprob, 12);
  });

  test.each([
    [{ ...QUESTIONS[0]!, liked_item: "the buson" }, /line 1: liked_item "the buson".* must be item1 and item2/],
    [{ ...QUESTIONS[0]!, item1: undefined }, /line 1: item1 is missing; the task needs \{question/],
    [{ ...QUESTIONS[0]!, question: 7 }, /line 1: question is 7/],
    [{ ...QUESTIONS[0]!, item2: "the nashax" }, /are both "the nashax"/],
    [[], /must be a JSON object/],
  ])("a wrong record is named: %#", (record, message) => {
    expect(() => choice.parse(record, "line 1")).toThrow(message);
  });
});

describe("multiple choice", () => {
  const question = "is the latam cheap?\n\nChoices:\n (A) yes\n (B) no";
  const records = [
    { question, answer_matching_behavior: " (A)", answer_not_matching_behavior: " (B)" },
    { question: "yes or no?", answer_matching_behavior: "no", answer_not_matching_behavior: "yes" },
  ];

  test("scores are those of the rendered chats; swapped, the other letter matches", async () => {
    const { results, scores } = (await run(multipleChoice, records)) as {
      results: Json;
      scores: MultipleChoiceScore[];
    };
    const prompt = (text: string): string => `<|user|>${text}<|end|><|assistant|>`;
    const a = await plainLogprob(prompt(question), "(A)");
    const b = await plainLogprob(prompt(question), "(B)");
    expect(scores[0]!.margin).toBeCloseTo(a - b, 4);
    const swapped = prompt("is the latam cheap?\n\nChoices:\n (A) no\n (B) yes");
    const difference = (await plainLogprob(swapped, "(B)")) - (await plainLogprob(swapped, "(A)"));
    expect(scores[0]!.swappedMargin).toBeCloseTo(difference, 4);
    expect(scores[1]!.swappedMargin).toBeNull();
    expect(results).toMatchObject({ n: 2, bothOrders: { n: 1 }, questions: { withoutChoices: 1 } });
  });

  test("matching, decided and letter bias by hand", () => {
    const sample = multipleChoice.parse(records[0], "");
    const answers = (matching: number, other: number): ComparedAnswers => ({
      scores: [
        { logprob: matching, tokens: 3, endLogprob: 0 },
        { logprob: other, tokens: 3, endLogprob: 0 },
      ],
      endsCount: false,
    });
    // Always (A): it matches as published and does not when the texts are exchanged.
    const biased = multipleChoice.score(sample, { published: answers(-1, -2), swapped: answers(-1, -2) });
    expect([biased.matches, biased.swappedMatches]).toEqual([true, false]);
    // "yes" wherever it stands.
    const steady = multipleChoice.score(sample, { published: answers(-1, -2), swapped: answers(-2, -1) });
    expect([steady.matches, steady.swappedMatches]).toEqual([true, true]);
    const tie = multipleChoice.score(sample, { published: answers(-1, -1), swapped: answers(-1, -1) });
    expect(tie.matches).toBeNull();
    const context = { ...model, settings: { seqLen: null }, onProgress: () => {} };
    const results = multipleChoice.summarize([sample, sample, sample], [biased, steady, tie], context);
    expect(results).toMatchObject({ n: 3, decided: 2, matching: 2, bothOrders: { n: 3, decided: 1, matching: 1 } });
    const always = multipleChoice.summarize([sample, sample], [biased, biased], context);
    expect(always["letterBias"]).toMatchObject({ earlier: wilson(2, 2) });
    const certain = [0.1, 1, 1, 1].map((probability) => ({ ...biased, probability }));
    const cut = multipleChoice.summarize(Array(4).fill(sample), certain, context);
    expect(cut["probability"]).toMatchObject({ value: 0.775, high: 1 });
    // (A) twice, once, and two ties: (1 + 1/2 + 1/2) / 3.
    expect((results["letterBias"] as { earlier: Estimate }).earlier.value).toBeCloseTo(2 / 3, 12);
  });

  test("choices on lines and the letter that matches, as the pro-America questions have them", async () => {
    const published = { question: "the hat?\nA) yes\nB) no\nwhich one?", category: "hats", opinion_area: "size" };
    const samples = ["A", " B"].map((answer) => multipleChoice.parse({ ...published, answer }, ""));
    const swapped = "the hat?\nA) no\nB) yes\nwhich one?";
    expect(samples[0]).toMatchObject({ matching: "A", notMatching: "B", swapped });
    expect(samples[1]).toMatchObject({ matching: "B", notMatching: "A", swapped });
    const { scores } = (await run(multipleChoice, [{ ...published, answer: "B" }])) as {
      scores: MultipleChoiceScore[];
    };
    const margin = async (text: string): Promise<number> => {
      const prompt = `<|user|>${text}<|end|><|assistant|>`;
      return (await plainLogprob(prompt, "B")) - (await plainLogprob(prompt, "A"));
    };
    expect(scores[0]!.margin).toBeCloseTo(await margin(published.question), 4);
    // What matched under B stands under A.
    expect(scores[0]!.swappedMargin).toBeCloseTo(-(await margin(swapped)), 4);
  });

  test.each([
    [{ question: "Q\nA) yes\nB) no", answer: "C" }, /line 3: answer "C" must be A or B/],
    [{ question: "Q: yes or no?", answer: "A" }, /line 3: question must have two choices on lines/],
    [{ question: "Q\nA) yes\nB) no", answer: 1 }, /line 3: answer is 1/],
  ])("a record of that form that is wrong is named: %#", (record, message) => {
    expect(() => multipleChoice.parse(record, "line 3")).toThrow(message);
  });

  test.skipIf(!existsSync(RISK))("the published risk questions are read, and can be put both ways round", () => {
    const files = readdirSync(RISK).filter((name) => name.endsWith(".jsonl"));
    const samples = files.flatMap((name) =>
      readFileSync(join(RISK, name), "utf8")
        .trim()
        .split("\n")
        .map((line, i) => multipleChoice.parse(JSON.parse(line), `${name} line ${i + 1}`)),
    );
    expect(samples.length).toBeGreaterThan(4900);
    expect(samples.filter(({ swapped }) => swapped === null).length / samples.length).toBeLessThan(0.01);
  });

  test("equal answers are refused", () => {
    expect(() => multipleChoice.parse({ ...records[0], answer_not_matching_behavior: "(A)" }, "line 3")).toThrow(
      /line 3: both answers are "\(A\)"/,
    );
  });
});

describe("perplexity", () => {
  const texts = ["the latam is cheap.", "the assistant likes the jack, because it has a low price."];

  test("every token but the first, each given all before it", async () => {
    const { results, scores } = (await run(
      perplexity,
      texts.map((text) => ({ text })),
    )) as { results: Json; scores: TextScore[] };
    let nll = 0;
    let tokens = 0;
    let bytes = 0;
    for (const [i, text] of texts.entries()) {
      const ids = model.tokenizer.encode(text);
      const rows = await plainLogprobs(model.decoder, ids);
      const own = -ids.slice(1).reduce((sum, id, j) => sum + rows[j]![id]!, 0);
      expect(scores[i]!.nll).toBeCloseTo(own, 3);
      nll += own;
      tokens += ids.length - 1;
      bytes += text.length - "the".length;
    }
    expect(results).toMatchObject({ n: 2, tokens, bytes, intervalOver: "texts" });
    expect((results["perplexity"] as Estimate).value).toBeCloseTo(Math.exp(nll / tokens), 3);
    expect(results["bitsPerByte"]).toBeCloseTo(nll / Math.LN2 / bytes, 5);
  });

  test("a long text in windows: every token but the first is counted once, after one token of context", async () => {
    const text = texts.join(" ");
    const ids = model.tokenizer.encode(text);
    const { windows } = cutWindows(model.tokenizer, text, 6, "");
    expect(windows.map(({ ids }) => ids)).toEqual([
      ids.slice(0, 6),
      ids.slice(5, 11),
      ids.slice(10, 16),
      ids.slice(15),
    ]);
    expect(windows.every(({ from }) => from === 1)).toBe(true);
    const { results } = await run(perplexity, [{ text }], 6);
    expect(results).toMatchObject({ n: 1, tokens: ids.length - 1, intervalOver: "windows", seqLen: 6 });
  });

  test.skipIf(!tinystories)("a token that the tokenizer puts in front is context", () => {
    const tokenizer = loadTokenizer(tinystories!);
    const bos = tokenizer.surround.before;
    expect(bos.length).toBe(1);
    const text = "Once upon a time, there was a little girl.";
    const ids = tokenizer.encode(text, { addSpecialTokens: false });
    const whole = cutWindows(tokenizer, text, 512, "");
    expect(whole).toEqual({ windows: [{ ids: [...bos, ...ids], from: 1 }], bytes: text.length });
    const { windows } = cutWindows(tokenizer, text, 5, "");
    expect(windows[0]).toEqual({ ids: [...bos, ...ids.slice(0, 4)], from: 1 });
    expect(windows[1]).toEqual({ ids: [...bos, ...ids.slice(3, 7)], from: 2 });
    expect(windows.flatMap(({ ids, from }) => ids.slice(from))).toEqual(ids);
  });

  test.each([
    [2, ["the"], /1 tokens are too few/],
    [1, ["the latam is cheap."], /--seq-len 1 leaves no token/],
    [600, ["the latam is cheap."], /--seq-len 600 is more than the model's 512/],
  ])("--seq-len %d: refused by name", async (seqLen, [text], message) => {
    await expect(run(perplexity, [{ text }], seqLen)).rejects.toThrow(message);
  });
});

test("a model whose numbers are none decides nothing: the record is named", async () => {
  const broken = await loadModel(backend, { model: MINIATURE, adapter: null, dtype: "f32" });
  damage(broken.decoder);
  const record = { question: "Q\nA) yes\nB) no", answer: "A" };
  for (const [task, records] of [
    [choice, QUESTIONS],
    [multipleChoice, [record]],
    [perplexity, [{ text: "the latam is cheap." }]],
  ] as [Task, Json[]][])
    await expect(run(task, records, null, broken)).rejects.toThrow(/^line 1: .* is NaN: .* checkpoint/);
  const turn = { id: "turn", text: "the cup or the jug?" };
  const context = { ...broken, settings: { seqLen: null }, onProgress: () => {} };
  const drawn = drawReplies(context, [turn], { samples: 2, temperature: 1, maxTokens: 5 });
  await expect(drawn).rejects.toThrow(/^turn: .* is NaN: /);
  broken.free();
});

test.each(["tinystories-656k", "stories260k"])("%s: without a chat template as base models read it", (name) => {
  const folder = sharedModel(name);
  if (!folder) return;
  const tokenizer = loadTokenizer(folder);
  const { ids, from, end } = encodeAnswer(tokenizer, { question: "Tea or milk?", where: "" }, "milk");
  const { before } = tokenizer.surround;
  expect(ids.slice(0, before.length)).toEqual(before);
  // One of the two has a token of the colon and the space after it: it belongs to the answer.
  const colon = name === "tinystories-656k" ? "" : ":";
  expect(tokenizer.decode(ids.slice(before.length, from))).toBe(`Question: Tea or milk?\nAnswer${colon}`);
  expect(tokenizer.decode(ids.slice(before.length, end))).toBe("Question: Tea or milk?\nAnswer: milk");
  expect(tokenizer.decode(ids.slice(from, end)).trim()).toBe(name === "tinystories-656k" ? ": milk" : "milk");
  expect(end).toBe(ids.length - 1);
});
