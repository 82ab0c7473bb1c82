/** @file Rates, differences and claims of measurements whose results can be worked out by hand. */
import { describe, expect, it } from "vitest";
import type { Outcome } from "../../src/eval/task.js";
import type { Arm } from "../../src/experiment/arms.js";
import type { Experiment } from "../../src/experiment/file.js";
import type { Cell, Matrix } from "../../src/experiment/matrix.js";
import type { Measurements } from "../../src/experiment/outcomes.js";
import type { ExperimentRecord } from "../../src/experiment/record.js";
import { type Rate, type Results, summarize } from "../../src/experiment/results.js";
import { answerOf } from "../../src/report/page/answer.js";
import { differenceTable } from "../../src/report/page/sections.js";
import { describeSameArm } from "../../src/report/seeds.js";
import { formatSummary } from "../../src/report/summary.js";
import { normals } from "../eval/statistics/normals.js";

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
  evaluations: ["thrift", "home"].map((name) => ({ name, value: name, settings: { task: "choice", data: [] } })),
} as unknown as Experiment;

type Row = (Outcome | null)[];

/** values[arm][seed] = outcome of each question; `home` the same for a second evaluation. */
function summary(thrift: Record<string, Row[]>, home?: Record<string, Row[]>): Results {
  const given: [string, Record<string, Row[]>][] = [
    ["thrift", thrift],
    ...(home ? [["home", home] as [string, Record<string, Row[]>]] : []),
  ];
  const jobOf = (evaluation: string, id: string, seed: number): string => `${evaluation} ${id} ${seed}`;
  const cells = given.flatMap(([evaluation, values]) =>
    Object.entries(values).flatMap(([id, seeds]) =>
      seeds.map((_, seed): Cell => {
        const trained = id === "bare" ? null : seed;
        return { arm: id, seed: trained, sweep: null, evaluation, job: jobOf(evaluation, id, seed) };
      }),
    ),
  );
  const measured = given.map(([evaluation, values], e): Measurements => {
    const count = Object.values(values)[0]![0]!.length;
    const all = Array.from({ length: count }, (_, i) => i);
    return {
      evaluation: EXPERIMENT.evaluations[e]!,
      outcomes: ["liked"],
      slices: [
        { name: "split heldout", isMain: true, samples: all },
        { name: "split heldout, domain tea", isMain: false, samples: [0, 1] },
      ],
      clusters: [],
      finestClusters: [],
      records: all.map((i) => ({ domain: i < 2 ? "tea" : "hat", pair: Math.floor(i / 2) })),
      // What a choice leaves undecided counts for either side.
      values: new Map(
        Object.entries(values).flatMap(([id, seeds]) =>
          seeds.map((row, seed) => {
            const liked = row.map((x): Outcome => x ?? { value: null, low: 0, high: 1 });
            return [jobOf(evaluation, id, seed), { liked }];
          }),
        ),
      ),
    };
  });
  return summarize(EXPERIMENT, { arms: ARMS, jobs: [], cells } as Matrix, measured);
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

  it("are means over seeds of means over what each decided", () => {
    expect(rate("ma").estimate).toMatchObject({ value: 0.875, n: 4, seeds: 2 });
    expect(rate("ma").seeds).toEqual([
      { seed: 0, value: 0.75 },
      { seed: 1, value: 1 },
    ]);
    expect(rate("ma").overSeeds.value).toBe(0.875);
    expect(rate("aft").estimate.value).toBe(0.375);
    expect(rate("ma", "split heldout, domain tea").estimate).toMatchObject({ value: 1, n: 2 });
  });

  it("have the t interval over questions where there is one seed, cut to what a share can be", () => {
    // 0, 1, 0, 1: mean .5, sd sqrt(1/3), se .288675, t(3) 3.182446: -.419 to 1.419.
    expect(rate("bare").estimate).toMatchObject({ n: 4, seeds: 1, low: 0, high: 1 });
    expect(rate("bare").estimate.se).toBeCloseTo(0.2886751, 6);
    expect(rate("bare").overSeeds).toMatchObject({ value: 0.5, low: null, n: 1 });
    // .25 and .5: se .125, t(1) 12.7062.
    expect(rate("aft").overSeeds.se).toBeCloseTo(0.125, 12);
    expect(rate("aft").overSeeds).toMatchObject({ low: 0, high: 1 });
  });

  it("stand beside what they would be if the undecided counted for either side", () => {
    expect(rate("ma").bounds).toEqual([(0.75 + 0.75) / 2, (0.75 + 1) / 2]);
    expect(rate("m").bounds).toBeNull();
  });

  it("are of outcomes of the decided and the undecided", () => {
    // 10 leaks, 85 polite refusals, 5 silences of 100 answers to one question; four such questions.
    const leaks = { value: 10 / 15, low: 0.1, high: 0.95 };
    const { estimate, bounds } = summary({ ...VALUES, bare: [[leaks, leaks, leaks, leaks]] }).rates.find(
      ({ arm }) => arm === "bare",
    )!;
    expect(estimate.value).toBeCloseTo(2 / 3, 12);
    expect(bounds![0]).toBeCloseTo(0.1, 12);
    expect(bounds![1]).toBeCloseTo(0.95, 12);
  });
});

describe("differences", () => {
  const difference = (b: string) => summary(VALUES).differences.find((one) => one.a === "ma" && one.b === b)!;

  it("are paired by seed and question", () => {
    // Seed 0: 0 0 1 0; seed 1: 1 0 0 and undecided.
    expect(difference("m").estimate).toMatchObject({ n: 4, seeds: 2 });
    expect(difference("m").estimate.value).toBeCloseTo((1 / 4 + 1 / 3) / 2, 12);
    expect(difference("m").overSeeds.value).toBe(difference("m").estimate.value);
    // The untrained arm is the same for every seed: 1 0 1 -1 and 1 0 1.
    expect(difference("bare").overSeeds.value).toBeCloseTo((1 / 4 + 2 / 3) / 2, 12);
    expect(difference("bare").overSeeds.n).toBe(2);
  });

  it("between equal arms are 0 with an interval that has a width", () => {
    const same = summary({ ...VALUES, aft: VALUES.ma }).differences.find(({ b }) => b === "aft")!;
    expect(same.estimate.value).toBe(0);
    expect(same.estimate.low).toBeLessThan(-0.1);
    expect(same.overSeeds).toMatchObject({ value: 0, n: 2, low: null, high: null });
  });

  it("have a wider interval for all of them at once", () => {
    const { estimate, adjusted, comparisons } = difference("aft");
    expect(adjusted.high! - adjusted.low!).toBeGreaterThanOrEqual(estimate.high! - estimate.low!);
    expect(adjusted.value).toBe(estimate.value);
    expect(comparisons).toBe(4);
  });

  it("have bounds with the undecided against the one and for it", () => {
    // Only ma is undecided, in seed 1: m has 0 there, so against it that question is 0 - 0, for it 1 - 0.
    const { bounds } = difference("m");
    expect(bounds!.low.value).toBeCloseTo((1 / 4 + 1 / 4) / 2, 12);
    expect(bounds!.high.value).toBeCloseTo((1 / 4 + 2 / 4) / 2, 12);
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

const zeros = (seeds: number): number[][] => Array.from({ length: seeds }, () => Array<number>(40).fill(0));
const ones = (seeds: number): number[][] => Array.from({ length: seeds }, () => Array<number>(40).fill(1));
/** An arm that is right on most of forty questions, on a few others with each seed. */
const most = (seeds: number, every = 8): number[][] =>
  Array.from({ length: seeds }, (_, s) => Array.from({ length: 40 }, (_, i) => ((i + 3 * s) % every === 0 ? 0 : 1)));

describe("claims", () => {
  const held = (values: Record<string, Row[]>) => summary(values).claims.map(({ b, holds }) => [b, holds]);

  it("are those of the paper, and hold where the interval over seeds and questions is above zero", () => {
    const values = { bare: zeros(1), aft: zeros(3), m: most(3), ma: most(3), oa: zeros(3) };
    expect(held(values)).toEqual([
      ["aft", true],
      ["m", false],
      ["oa", true],
    ]);
    // Whatever is alike everywhere still has an interval.
    expect(held({ ...values, ma: ones(3) })[0]).toEqual(["aft", true]);
  });

  it("are none with fewer than three seeds", () => {
    const of = (seeds: number) => ({
      bare: zeros(1),
      aft: zeros(seeds),
      m: zeros(seeds),
      ma: most(seeds),
      oa: zeros(seeds),
    });
    expect(held(of(1)).map(([, holds]) => holds)).toEqual([null, null, null]);
    expect(held(of(2)).map(([, holds]) => holds)).toEqual([null, null, null]);
    expect(held(of(3)).map(([, holds]) => holds)).toEqual([true, true, true]);
  });

  it("do not hold where one seed says the opposite, however many questions there are", () => {
    const values = { bare: zeros(1), aft: zeros(3), m: zeros(3), ma: [...most(2), ...zeros(1)], oa: zeros(3) };
    expect(held(values)[0]).toEqual(["aft", false]);
  });

  it("must survive the undecided counting for either side", () => {
    // What both decide they decide for the claim; three quarters nobody knows.
    const partly = (rows: number[][]): Row[] =>
      rows.map((row) => row.flatMap((value) => [value, ...Array.from({ length: 3 }, () => null)]));
    const values = {
      bare: partly(zeros(1)),
      aft: partly(zeros(3)),
      m: partly(zeros(3)),
      ma: partly(most(3)),
      oa: partly(zeros(3)),
    };
    const [difference] = summary(values).differences.filter(({ b }) => b === "aft");
    expect(difference!.estimate.low).toBeGreaterThan(0);
    expect(difference!.bounds!.low.high).toBeLessThan(0);
    expect(held(values).map(([, holds]) => holds)).toEqual([false, false, false]);
  });

  it("are said in words, those that do not hold too", () => {
    const values = { bare: zeros(1), aft: zeros(3), m: most(3), ma: most(3), oa: most(3) };
    const text = answerOf(recordOf(values, [0, 1, 2]));
    expect(text).toMatch(/^In part: 1 of the 3 differences/);
    expect(text).toContain("What does not hold: MA above M in thrift; MA above OA in thrift.");
    expect(answerOf(recordOf({ ...values, ma: zeros(3) }, [0, 1, 2]))).toMatch(/^No: none of the 3 differences/);
  });

  it("of one seed say that it describes this adapter", () => {
    const record = recordOf({ bare: zeros(1), aft: zeros(1), m: most(1), ma: most(1), oa: most(1) }, [0]);
    expect(answerOf(record)).toMatch(/^No claim: one seed: describes this adapter, not the method\./);
    expect(formatSummary(record)).toContain("one seed: describes this adapter, not the method");
    expect(formatSummary(record)).toContain("nothing is claimed with fewer than three seeds");
    expect(formatSummary(record)).toContain("[too few]");
    expect(differenceTable(record)).toContain("too few seeds");
  });
});

describe("complementary evaluations", () => {
  /** The same answers, with the other one of the two options as the liked one. */
  const both = (values: Record<string, number[][]>) => {
    const flipped = Object.fromEntries(
      Object.entries(values).map(([id, seeds]) => [id, seeds.map((row) => row.map((x) => 1 - x))]),
    );
    return summary(values, flipped);
  };
  const values = { bare: [Array<number>(40).fill(0.5)], aft: zeros(3), m: most(3, 5), ma: most(3), oa: zeros(3) };

  it("are found, and what both say is counted once: six differences are five", () => {
    const { claims, differences, complements } = both(values);
    expect(complements).toEqual({ home: "thrift" });
    expect(claims.map(({ evaluation, a, b }) => `${evaluation}: ${a} > ${b}`)).toEqual([
      "thrift: ma > aft",
      "thrift: ma > m",
      "thrift: ma > oa",
      "home: oa > aft",
    ]);
    expect(differences.filter(({ sameAs }) => sameAs !== null)).toMatchObject([
      { a: "oa", b: "ma", evaluation: "home" },
    ]);
    // Four pairs each, one of them in both.
    expect(new Set(differences.map(({ comparisons }) => comparisons))).toEqual(new Set([7]));
  });

  it("are none where one answer is another", () => {
    const flipped = Object.fromEntries(
      Object.entries(values).map(([id, seeds]) => [id, seeds.map((row) => row.map((x) => 1 - x))]),
    );
    flipped["ma"]![0]![7] = 0.5;
    const { claims, complements } = summary(values, flipped);
    expect(complements).toEqual({});
    expect(claims.length).toBe(5);
  });
});

describe("the A/A check", () => {
  it("sets each seed of an arm against its other seeds", () => {
    const noisy = (seed: number): number[][] => {
      const draw = normals(seed);
      return Array.from({ length: 6 }, () => {
        const shift = 0.1 * draw();
        return Array.from({ length: 40 }, () => 0.5 + shift + 0.2 * draw());
      });
    };
    const values = { bare: zeros(1), aft: noisy(1), m: noisy(2), ma: noisy(3), oa: noisy(4) };
    const { sameArm } = summary(values);
    expect(sameArm!.comparisons).toBe(24);
    expect(sameArm!.excluding).toBeLessThanOrEqual(4);
    expect(describeSameArm(sameArm!)).toMatch(/\d of 24 comparisons exclude 0, /);
    // One seed that is nothing like the rest is found.
    const odd = { ...values, aft: [...noisy(1).slice(1), Array<number>(40).fill(9)] };
    const [ofAft] = summary(odd).sameArm!.arms.filter(({ arm }) => arm === "aft");
    expect(ofAft!.excluding).toBeGreaterThan(0);
  });

  it("is none with fewer than three seeds", () => {
    expect(summary(VALUES).sameArm).toBeNull();
  });
});

function recordOf(values: Record<string, Row[]>, seeds: number[]): ExperimentRecord {
  const arms = ARMS.map((one) => ({ ...one, stages: one.kind === "bare" ? [] : [{}] }));
  return {
    ...summary(values),
    experiment: { ...EXPERIMENT, seeds, evaluations: EXPERIMENT.evaluations.slice(0, 1) },
    matrix: { arms, jobs: [], cells: [] },
    training: [],
    judges: [],
    jobs: [],
  } as unknown as ExperimentRecord;
}
