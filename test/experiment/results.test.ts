/** @file Rates, differences and claims of measurements whose results can be worked out by hand. */
import { describe, expect, it } from "vitest";
import type { Arm } from "../../src/experiment/arms.js";
import type { Experiment } from "../../src/experiment/file.js";
import type { Cell, Matrix } from "../../src/experiment/matrix.js";
import type { Measurements } from "../../src/experiment/outcomes.js";
import { type Rate, type Results, summarize } from "../../src/experiment/results.js";
import { answerOf } from "../../src/report/page/answer.js";

const arm = (id: string, kind: Arm["kind"], spec: string | null = null): Arm => {
  return { id, label: id.toUpperCase(), kind, spec, adapter: null, stages: [] };
};
const ARMS = [
  arm("bare", "bare"),
  arm("aft", "aft"),
  arm("m", "msm", "thrift"),
  arm("ma", "msm+aft", "thrift"),
  arm("oa", "msm+aft", "home"),
];
const EXPERIMENT = {
  question: "?",
  evaluations: [{ name: "thrift", value: "thrift", settings: { task: "choice", data: [] } }],
} as unknown as Experiment;

/** values[arm][seed] = outcome of each of four questions. */
function summary(values: Record<string, (number | null)[][]>): Results {
  const cells = Object.entries(values).flatMap(([id, seeds]) =>
    seeds.map(
      (_, seed): Cell => ({
        arm: id,
        seed: id === "bare" ? null : seed,
        sweep: null,
        evaluation: "thrift",
        job: `${id}${seed}`,
      }),
    ),
  );
  const measured: Measurements = {
    evaluation: EXPERIMENT.evaluations[0]!,
    outcomes: ["liked"],
    slices: [
      { name: "split heldout", isMain: true, samples: [0, 1, 2, 3] },
      { name: "split heldout, domain tea", isMain: false, samples: [0, 1] },
    ],
    records: [
      { domain: "tea", pair: 0 },
      { domain: "tea", pair: 0 },
      { domain: "hat", pair: 1 },
      { domain: "hat", pair: 1 },
    ],
    values: new Map(
      Object.entries(values).flatMap(([id, seeds]) => seeds.map((liked, seed) => [`${id}${seed}`, { liked }])),
    ),
  };
  return summarize(EXPERIMENT, { arms: ARMS, jobs: [], cells } as Matrix, [measured]);
}

const VALUES = {
  bare: [[0, 1, 0, 1]],
  aft: [
    [0, 1, 0, 0],
    [0, 1, 0, 1],
  ],
  m: [
    [1, 1, 0, 0],
    [0, 1, 1, 0],
  ],
  ma: [
    [1, 1, 1, 0],
    [1, 1, 1, null],
  ],
  oa: [
    [0, 0, 0, 0],
    [0, 0, 0, 1],
  ],
};

describe("rates", () => {
  const rate = (id: string, slice = "split heldout"): Rate =>
    summary(VALUES).rates.find((one) => one.arm === id && one.slice === slice)!;

  it("are means over questions of means over the seeds that decided", () => {
    // Questions 1, 1, 1, and 0 of the one seed that decided.
    expect(rate("ma").estimate.value).toBe(0.75);
    expect(rate("ma").seeds).toEqual([
      { seed: 0, value: 0.75 },
      { seed: 1, value: 1 },
    ]);
    expect(rate("aft").estimate.value).toBe(0.375);
    expect(rate("ma", "split heldout, domain tea").estimate).toMatchObject({ value: 1, n: 2 });
  });

  it("have the t interval over questions, and over seeds", () => {
    // 0, 1, 0, 1: mean .5, sd sqrt(1/3), se .288675, t(3) 3.182446
    expect(rate("bare").estimate).toMatchObject({ n: 4 });
    expect(rate("bare").estimate.low).toBeCloseTo(0.5 - 3.182446 * 0.2886751, 5);
    expect(rate("bare").overSeeds).toMatchObject({ value: 0.5, low: null, n: 1 });
    // .25 and .5: se .125, t(1) 12.7062
    expect(rate("aft").overSeeds.high).toBeCloseTo(0.375 + 12.7062 * 0.125, 3);
  });
});

describe("differences", () => {
  const difference = (b: string) => summary(VALUES).differences.find((one) => one.a === "ma" && one.b === b)!;

  it("are paired by question", () => {
    // ma 1 1 1 0, m .5 1 .5 0
    expect(difference("m").estimate).toMatchObject({ value: 0.25, n: 4 });
    // Seeds: .75 - .5 and 1 - .5
    expect(difference("m").overSeeds.value).toBe(0.375);
    // The untrained arm is the same for every seed: .75 - .5 and 1 - .5.
    expect(difference("bare").overSeeds).toMatchObject({ value: 0.375, n: 2 });
  });

  it("between equal arms are 0 with an empty interval", () => {
    const same = summary({ ...VALUES, aft: VALUES.ma }).differences.find(({ b }) => b === "aft")!;
    expect(same.estimate).toMatchObject({ value: 0, low: 0, high: 0 });
    expect(same.overSeeds).toMatchObject({ value: 0, n: 2 });
  });

  it("have a wider interval for all of them at once", () => {
    const { estimate, adjusted, comparisons } = difference("aft");
    expect(adjusted.high! - adjusted.low!).toBeGreaterThanOrEqual(estimate.high! - estimate.low!);
    expect(adjusted.value).toBe(estimate.value);
    expect(comparisons).toBe(4);
  });
});

describe("consistency", () => {
  const consistency = (id: string) => summary(VALUES).consistency.find(({ arm }) => arm === id)!;

  it("counts domains on the side of the whole, seed by seed", () => {
    // Seed 0: 1 1 | 1 0 is above a half, hats are on neither side. Seed 1: 1 1 | 1 - : both are above.
    expect(consistency("ma").domains).toMatchObject({ value: 0.75, n: 2 });
    // 0 1 | 0 1 is on no side as a whole.
    expect(consistency("bare").domains).toMatchObject({ value: 0, n: 2 });
    // Seed 0: all below. Seed 1: 0 0 | 0 1, hats on neither side.
    expect(consistency("oa").domains).toMatchObject({ value: 0.75, n: 2 });
  });

  it("counts questions of which all wordings are decided alike", () => {
    // Seed 0: 1 1 alike, 1 0 not. Seed 1: 1 1 alike, 1 and undecided not.
    expect(consistency("ma").wordings).toMatchObject({ value: 0.5, n: 2 });
    expect(consistency("oa").wordings).toMatchObject({ value: 0.75, n: 2 });
    expect(consistency("bare").wordings).toMatchObject({ value: 0, n: 2 });
  });
});

describe("claims", () => {
  it("are those of the paper, and hold where the interval is above zero", () => {
    const claims = summary(VALUES).claims.map(({ b, holds }) => [b, holds]);
    // ma - aft: 1, 0, 1, -.5: the bootstrap's interval holds 0. ma - m: .5, 0, .5, 0. ma - oa: 1, 1, 1, -.5.
    expect(claims).toEqual([
      ["aft", false],
      ["m", false],
      ["oa", false],
    ]);
    const clear = summary({
      ...VALUES,
      aft: [[0, 0, 0, 0]],
      ma: [[1, 1, 1, 1]],
      oa: [[0, 0, 0, 0]],
      m: [[1, 1, 1, 1]],
    });
    expect(clear.claims.map(({ b, holds }) => [b, holds])).toEqual([
      ["aft", true],
      ["m", false],
      ["oa", true],
    ]);
  });

  it("are said in words, those that do not hold too", () => {
    const record = {
      ...summary(VALUES),
      experiment: EXPERIMENT,
      matrix: { arms: ARMS, jobs: [], cells: [] },
      training: [],
      judges: [],
      jobs: [],
    };
    const text = answerOf(record);
    expect(text).toMatch(/^No: none of the 3 differences/);
    expect(text).toContain("MA reaches .750, against .375 of AFT, .500 of M, .125 of OA.");
    expect(text).toContain("What does not hold: MA above AFT in thrift; MA above M in thrift; MA above OA in thrift.");
  });
});
