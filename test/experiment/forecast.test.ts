/** @file What evaluations will take, worked out by hand. */

import { readdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { openBackend } from "../../src/backend/open.js";
import { packagePath } from "../../src/base/package.js";
import type { Ask } from "../../src/config/inference.js";
import type { Task } from "../../src/eval/task.js";
import { agenticMisalignment } from "../../src/eval/tasks/agentic-misalignment.js";
import { benignRequests } from "../../src/eval/tasks/benign-requests.js";
import { taskByName } from "../../src/eval/tasks/by-name.js";
import { limitsOf } from "../../src/experiment/execute/slurm.js";
import { readExperiment } from "../../src/experiment/file.js";
import { evaluationSeconds, planEvaluation } from "../../src/experiment/forecast/evaluation.js";
import { forecastJobs } from "../../src/experiment/forecast/experiment.js";
import { type Asking, countWork, scoring } from "../../src/experiment/forecast/work.js";
import { buildMatrix } from "../../src/experiment/matrix.js";
import { formatMatrix } from "../../src/report/forecast.js";
import type { ModelConfig } from "../../src/shape/config.js";
import { decodeSeconds, prefillSeconds, recordedRates } from "../../src/train/forecast.js";

const EXPERIMENTS = packagePath("experiments");
const backend = await openBackend("cpu");
afterAll(() => backend.close());

/** 3 layers of 4 (2 + 2) 2 + 2 2 4 + 3 4 8 = 144 and a head of 40: 472 parameters that a token is multiplied with. */
const CONFIG = {
  hiddenSize: 4,
  intermediateSize: 8,
  numHeads: 2,
  numKvHeads: 1,
  headDim: 2,
  numLayers: 3,
  vocabSize: 10,
} as ModelConfig;
/** As many tokens as characters. */
const count = (text: string): number => text.length;
const fake = (more: object): Task => ({ name: "fake", reads: (text: string) => [text], ...more }) as unknown as Task;
const draws = { samples: 3, temperature: 0.7, maxTokens: 20 };
const own = { samples: null, maxTokens: null };

describe("what is counted", () => {
  it("scored texts, each once", () => {
    expect(countWork(fake({}), ["aaaa", "bb"], own, null, count).model).toEqual({
      texts: 2,
      read: 6,
      longest: 4,
      responses: 0,
      maxTokens: 0,
      together: 0,
    });
  });

  it("short prompts run once a response, 64 / 3 of them together", () => {
    const { model } = countWork(fake({ draws }), ["aaaa", "bb"], own, null, count);
    expect(model).toEqual({ texts: 6, read: 18, longest: 4, responses: 6, maxTokens: 20, together: 63 });
  });

  it("a long prompt runs once for all its responses", () => {
    const prompts = ["a".repeat(300), "bb"];
    const { model } = countWork(fake({ draws }), prompts, { samples: 5, maxTokens: 7 }, null, count);
    expect(model).toEqual({ texts: 2, read: 302, longest: 300, responses: 10, maxTokens: 7, together: 5 });
  });

  it("both orders of a choice, the question once and both answers", () => {
    const record = { question: "a or b?", item1: "a", item2: "b", liked_item: "a", disliked_item: "b" };
    const choice = taskByName("choice");
    // Twice the 7 characters of the question, two line breaks, two letters.
    const asked = (ask: Ask) => countWork(choice, [choice.parse(record, "")], { ...own, ask }, null, count).model;
    expect(asked("logprob")).toMatchObject({ read: 2 * 11, responses: 0 });
    expect(asked("answer")).toMatchObject({ read: 2 * 11, responses: 2, maxTokens: 64 });
    expect(asked("both")).toMatchObject({ texts: 4, read: 4 * 11, responses: 2, maxTokens: 64 });
  });

  it("the judge's questions: the labelled set, and one for each response, as long as that may get", () => {
    const prompts = ["Name a cheese.", "Name a tree."].map((prompt, i) =>
      benignRequests.parse({ id: `${i}`, category: "c", prompt }, ""),
    );
    const answers = { maxTokens: 256, together: 32 };
    const { model, judge } = countWork(benignRequests, prompts, { samples: 3, maxTokens: 100 }, answers, count);
    expect(model).toMatchObject({ responses: 6, maxTokens: 100 });
    expect(judge).toMatchObject({ labelled: 24, texts: 24 + 6, responses: 24 + 6, maxTokens: 256, together: 32 });
    const blank = { text: "", tokens: 0, end: "stop" as const };
    const answer = { prompt: "", thinking: "none" as const, promptTokens: 0, responses: [blank] };
    const asked = prompts.map((prompt) => benignRequests.questions(prompt, answer)[0]!);
    const labelled = benignRequests.labelled().items.map(({ question }) => question);
    const lengths = (questions: readonly { system: string; user: string }[]): number =>
      questions.reduce((sum, { system, user }) => sum + system.length + user.length, 0);
    expect(judge!.read).toBe(lengths(labelled) + 3 * lengths(asked) + 6 * 100);
  });

  it("nothing of a judge where there is none", () => {
    expect(countWork(benignRequests, [], own, null, count).judge).toBeNull();
  });
});

describe("seconds", () => {
  it("of reading: 2 P and 4 s H E a layer, at 60 % of the rate", () => {
    // 944 + 3 x 4 x 5 x 4 operations a token.
    expect(prefillSeconds(100, 5, CONFIG, 1000)).toBeCloseTo((100 * (944 + 240)) / 600, 10);
  });

  it("of drawing: the products at the rate of so few rows, the keys and values at the memory's", () => {
    // 3 x 4 x 5 x 2 = 120 bytes of keys and values a token.
    expect(decodeSeconds(100, 5, CONFIG, 1000, 500)).toBeCloseTo((100 * (0.944 + 0.24)) / 0.35, 10);
  });

  it("few rows go as fast as the weights are read, many as fast as the products are", async () => {
    const { many, at } = recordedRates(1000, 30);
    expect([many, await at(1), await at(10), await at(64)]).toEqual([1000, 30, 300, 1000]);
  });

  const asking = (more: Partial<Asking>): Asking => ({ ...scoring([10, 30]), ...more });
  const settings = (judge: string, judgeRpm = 240) => ({ judge, judgeRpm });
  const rates = recordedRates(1000, 30);

  it("of an evaluation that scores, that draws, and of its local judge", async () => {
    const reading = prefillSeconds(40, 10, CONFIG, 1000);
    const seconds = (model: Asking, judge: (Asking & { labelled: number }) | null = null): Promise<number> =>
      evaluationSeconds({ model, judge }, settings("base"), CONFIG, rates, 32);
    expect(await seconds(asking({}))).toBeCloseTo(reading, 10);
    // 8 responses of 5 tokens after 20 + 5 / 2 tokens of context, 4 rows at a time.
    const drawn = asking({ responses: 8, maxTokens: 5, together: 4 });
    const drawing = reading + decodeSeconds(40, 22.5, CONFIG, 120, 30);
    expect(await seconds(drawn)).toBeCloseTo(drawing, 10);
    expect(await seconds(drawn, { ...drawn, labelled: 1 })).toBeCloseTo(2 * drawing, 10);
    // No more rows than the backend decodes together.
    expect(await seconds({ ...drawn, responses: 80, together: 80 })).toBeCloseTo(
      reading + decodeSeconds(400, 22.5, CONFIG, 960, 30),
      10,
    );
  });

  it("of an endpoint: what its rate allows, or its replies take", async () => {
    const judge = { ...asking({ responses: 160, maxTokens: 2048, together: 16 }), labelled: 24 };
    const seconds = (rpm: number): Promise<number> =>
      evaluationSeconds({ model: scoring([]), judge }, settings("openai:x", rpm), CONFIG, rates, 32);
    expect(await seconds(240)).toBe(100);
    expect(await seconds(60)).toBe(160);
  });

  it("are a quarter of the limit that Slurm is given, which is never less than a quarter of an hour", () => {
    expect(limitsOf({ seconds: 7200, bytes: 2 ** 30 })).toEqual({ minutes: 480, mebibytes: 3584 });
    expect(limitsOf({ seconds: 0, bytes: 0 })).toEqual({ minutes: 15, mebibytes: 2048 });
  });
});

describe("data on the hub that are not at hand", () => {
  const settings = { task: "choice", data: ["hf://datasets/a/b"], limit: null, judge: "base" };

  it("are forecast by their recorded sizes", async () => {
    const evaluation = { name: "e", recorded: { records: 4, tokens: 100 }, settings } as never;
    const { model } = await planEvaluation(evaluation, false, null);
    expect(model).toMatchObject({ texts: 16, read: 200, longest: 12.5, responses: 8 });
  });

  it("without sizes are refused by name", async () => {
    await expect(planEvaluation({ name: "e", settings } as never, false, null)).rejects.toThrow(
      /evaluations\.e: .*`recorded: \{records, tokens\}`/,
    );
  });
});

describe("the experiments that ship", () => {
  const names = readdirSync(EXPERIMENTS).filter((name) => name.endsWith(".yaml"));
  const recorded = names.filter((name) => readExperiment(join(EXPERIMENTS, name)).recordedShape);

  it.each(recorded)("%s: every job has a forecast without the model", async (name) => {
    const experiment = readExperiment(join(EXPERIMENTS, name));
    const hashes = { model: "m", of: (args: readonly string[]) => args.join(), ofAdapter: (id: string) => id };
    const matrix = buildMatrix(experiment, "runs/x", hashes);
    const forecast = await forecastJobs(experiment, matrix, backend);
    for (const { id, kind } of matrix.jobs) {
      const { seconds, bytes, tokens, work } = forecast.jobs.get(id)!;
      expect(seconds).toBeGreaterThan(0);
      expect(tokens).toBeGreaterThan(0);
      // 135 M parameters in bf16 at least.
      expect(bytes).toBeGreaterThan(2.6e8);
      expect(work !== null).toBe(kind === "eval");
    }
    const text = formatMatrix(experiment, matrix, forecast);
    expect(text).toMatch(/at most .* of evaluation/);
    const isAsked = experiment.evaluations.some(({ settings }) => settings.judge.startsWith("openai:"));
    expect(/judge of .*: openai:.*questions, at most .* tokens to send/.test(text)).toBe(isAsked);
  });

  it("agentic misalignment at the paper's prompts: 39 cells of 100 responses, each prompt once", async () => {
    const experiment = readExperiment(join(EXPERIMENTS, "published-adapters.yaml"));
    const { model, judge } = await planEvaluation(experiment.evaluations[0]!, false, null);
    expect(model).toMatchObject({ texts: 39, responses: 3900, maxTokens: 2048, together: 100 });
    expect(judge).toMatchObject({ responses: 3900 + agenticMisalignment.labelled().items.length, labelled: 54 });
  });
});
