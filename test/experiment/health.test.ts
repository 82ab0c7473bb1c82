/** @file Which arms count as broken, by results that are written by hand; and what the report says of them. */
import { describe, expect, it } from "vitest";
import { competenceOf } from "../../src/eval/asking/competence.js";
import type { Arm } from "../../src/experiment/arms.js";
import type { Experiment } from "../../src/experiment/file.js";
import { healthOf } from "../../src/experiment/health.js";
import type { Job, Matrix } from "../../src/experiment/matrix.js";
import type { ExperimentRecord } from "../../src/experiment/record.js";
import { askingTable, healthTable } from "../../src/report/page/health.js";

const arm = (id: string, kind: Arm["kind"]): Arm => ({ id, label: id, kind, spec: null, adapter: null, stages: [] });
const ARMS = [arm("bare", "bare"), arm("aft", "aft")];
const EXPERIMENT = {
  evaluations: [
    { name: "choices", settings: { task: "choice", data: [] } },
    { name: "texts", settings: { task: "perplexity", data: [] } },
  ],
} as unknown as Experiment;
const MATRIX = {
  arms: ARMS,
  jobs: ["bare choices", "bare texts", "aft choices", "aft texts"].map((id) => ({ id }) as Job),
  cells: ARMS.flatMap(({ id }) =>
    ["choices", "texts"].map((evaluation) => ({
      arm: id,
      seed: 0,
      sweep: null,
      evaluation,
      job: `${id} ${evaluation}`,
    })),
  ),
} as Matrix;

const share = (value: number) => ({ value, low: null, high: null, n: 10 });
const choices = (right: number, { cut = 0, tokens = 5 } = {}) => {
  const competence = competenceOf(Array.from({ length: 10 }, (_, i) => i < right || null));
  return {
    control: { n: 10, logprob: competence, answer: null },
    answered: { tokens: share(tokens), empty: share(0), cut: share(cut) },
  };
};
const texts = (pretraining: number, documents: number) => ({
  nll: share((pretraining + documents) / 2),
  groups: { source: { pretraining: { nll: share(pretraining) }, documents: { nll: share(documents) } } },
});
const health = (aftChoices: object, aftTexts: object) => {
  const results: Record<string, object> = {
    "bare choices": choices(9),
    "bare texts": texts(1, 3),
    "aft choices": aftChoices,
    "aft texts": aftTexts,
  };
  return healthOf(EXPERIMENT, MATRIX, ({ id }) => results[id]);
};

describe("an arm", () => {
  it("that answers as the bare model does is not broken", () => {
    const [bare, aft] = health(choices(8), texts(1.2, 2));
    expect([bare!.broken, aft!.broken]).toEqual([[], []]);
    // What the documents' loss falls does not hide what the pretraining text's rises.
    expect(aft!.loss).toMatchObject({ evaluation: "texts", part: "source pretraining", loss: 1.2 });
    expect(aft!.loss!.increase).toBeCloseTo(0.2, 12);
    expect(aft!.competence).toEqual([
      { evaluation: "choices", way: "log-probability", right: 0.8, n: 10, isCompetent: true },
    ]);
    expect(aft!.replies).toEqual([{ evaluation: "choices", tokens: 5, empty: 0, cut: 0 }]);
  });

  it.each([
    ["fails undisputed questions", choices(4), texts(1, 3), /undisputed questions 0.40 .* bare model 0.90/],
    ["loses unseen text of one kind", choices(9), texts(1.51, 1), /source pretraining: loss .* 0.51 nats above/],
    ["never ends", choices(9, { cut: 0.6 }), texts(1, 3), /0.60 never end/],
  ])("that %s is broken", (_name, own, lost, why) => {
    const [, aft] = health(own, lost);
    expect(aft!.broken).toHaveLength(1);
    expect(aft!.broken[0]).toMatch(why);
  });

  it("at the limits is not", () => {
    expect(health(choices(5, { cut: 0.5 }), texts(1.5, 3))[1]!.broken).toEqual([]);
  });

  it("whose bare model fails as well is not broken, but not to be read", () => {
    const results: Record<string, object> = { "bare choices": choices(2), "aft choices": choices(2) };
    const all = healthOf(EXPERIMENT, MATRIX, ({ id }) => results[id] ?? {});
    expect(all.map(({ broken }) => broken)).toEqual([[], []]);
    expect(healthTable({ matrix: MATRIX, health: all } as unknown as ExperimentRecord)).toContain("not to be read");
  });
});

describe("the report", () => {
  it("marks a broken arm and says why", () => {
    const record = { matrix: MATRIX, health: health(choices(1), texts(2, 3)) } as unknown as ExperimentRecord;
    const html = healthTable(record);
    expect(html.match(/>broken</g)).toHaveLength(1);
    expect(html).toMatch(/<li>aft: choices: of the undisputed questions/);
    expect(html).toContain("+1.00, source pretraining");
    expect(healthTable({ matrix: MATRIX } as unknown as ExperimentRecord)).toBe("");
  });

  it("says where ways of asking disagree", () => {
    const rate = (id: string, outcome: string, value: number) => ({
      arm: id,
      sweep: null,
      evaluation: "choices",
      outcome,
      slice: "all",
      estimate: share(value),
    });
    const record = (perToken: number, answer: number) =>
      ({
        experiment: EXPERIMENT,
        matrix: MATRIX,
        rates: [rate("aft", "liked", 0.6), rate("aft", "liked per token", perToken), rate("aft", "answer", answer)],
      }) as unknown as ExperimentRecord;
    expect(askingTable(record(0.55, 0.65))).not.toContain("disagrees");
    expect(askingTable(record(0.45, 0.65))).toContain("liked per token disagrees");
    expect(askingTable(record(0.55, 0.75))).toContain("answer disagrees");
    expect(askingTable({ ...record(0.5, 0.5), rates: [] })).toBe("");
  });
});
