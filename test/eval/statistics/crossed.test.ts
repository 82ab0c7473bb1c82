/** @file Means over seeds and items: by hand, at their edges, and against simulations of known effect. */
import { describe, expect, test } from "vitest";
import { crossedMean, pairedDifference, pairRows, unpairedDifference } from "../../../src/eval/statistics/crossed.js";
import { meanInterval, wilson } from "../../../src/eval/statistics/intervals.js";
import { tQuantile } from "../../../src/eval/statistics/student.js";
import { normals } from "./normals.js";

describe("by hand", () => {
  // Seeds' means 2, 3, 7; items' means 3, 5. Nothing is left but seeds and items: the rest is 0.
  const additive = [
    [1, 3],
    [2, 4],
    [6, 8],
  ];

  test("two parts that add up", () => {
    const { value, se, low, high, seeds, clusters, n } = crossedMean(additive);
    expect([value, seeds, clusters, n]).toEqual([4, 3, 2, 2]);
    // Of seeds: var(2, 3, 7) / 3 = 7 / 3. Of items: var(3, 5) / 2 = 1.
    const ofSeeds = 7 / 3;
    const ofItems = 1;
    expect(se).toBeCloseTo(Math.sqrt(ofSeeds + ofItems), 12);
    const howe = Math.sqrt(tQuantile(2, 0.95) ** 2 * ofSeeds + tQuantile(1, 0.95) ** 2 * ofItems);
    // Seeds are 7 of 10 parts: .8 / 4 of 27 / 4 * .7 * .09 is taken back.
    const half = howe * (1 - 0.2 * 0.42525);
    expect(low).toBeCloseTo(4 - half, 10);
    expect(high).toBeCloseTo(4 + half, 10);
  });

  test("the rest is counted once", () => {
    // Seeds' means are alike and items' means are alike: A = 0, E = 1 / 2 ((2 - 1) (2 - 1) = 1, 4 cells).
    const { se } = crossedMean([
      [1, 0],
      [0, 1],
    ]);
    expect(se).toBeNull();
    const uneven = crossedMean([
      [2, 0],
      [0, 1],
      [0, 0],
    ]);
    // Seeds' means 1, .5, 0: .25 / 3; items' means 2 / 3, 1 / 3: A = (1 / 18) / 2, less than the rest: nothing is of
    // items.
    expect(uneven.se).toBeCloseTo(Math.sqrt(0.25 / 3), 12);
  });

  test("one seed is the t interval over items", () => {
    const { seeds, clusters, ...own } = crossedMean([[2, 4, 4, 6]]);
    const plain = meanInterval([2, 4, 4, 6]);
    for (const key of ["value", "low", "high", "se"] as const) expect(own[key]).toBeCloseTo(plain[key]!, 12);
    expect([seeds, clusters]).toEqual([1, 4]);
  });

  test("rewordings of a pair are one item", () => {
    const values = [1, 0, 1, 1, 0, 0];
    const thrice = values.flatMap((x) => [x, x, x]);
    const pairs = thrice.map((_, i) => Math.floor(i / 3));
    const clustered = crossedMean([thrice], { clusters: [pairs] });
    const plain = crossedMean([values]);
    for (const key of ["value", "low", "high", "se"] as const) expect(clustered[key]).toBeCloseTo(plain[key]!, 12);
    expect([clustered.n, clustered.clusters]).toEqual([18, 6]);
    expect(crossedMean([thrice]).se).toBeLessThan(clustered.se!);
  });

  test("six things crossed with six are no thirty-six", () => {
    // The value is the row's alone: six values of one row are one.
    const rows = [0.1, 0.4, 0.2, 0.9, 0.3, 0.5];
    const values = rows.flatMap((x) => rows.map(() => x));
    const first = values.map((_, i) => Math.floor(i / 6));
    const second = values.map((_, i) => i % 6);
    const crossed = crossedMean([values], { clusters: [first, second] });
    const { se } = meanInterval(rows);
    // A(rows) is the variance over rows; A(columns) is 0; the cells' is taken off once, 1 / 36 of the spread.
    const spread = values.reduce((sum, x) => sum + (x - 0.4) ** 2, 0);
    expect(crossed.se).toBeCloseTo(Math.sqrt(se! ** 2 - (36 / 35) * (spread / 36 ** 2)), 12);
    expect(crossed.clusters).toBe(6);
    expect(crossed.se).toBeGreaterThan(2 * crossedMean([values]).se!);
  });

  test("what is undecided is left out, seed by seed", () => {
    const { value, n, seeds } = crossedMean([
      [1, null, 0],
      [1, null, null],
      [null, null, null],
    ]);
    expect([value, n, seeds]).toEqual([0.75, 2, 2]);
  });
});

describe("no interval without the data for one", () => {
  test.each([
    ["one pair", pairedDifference([1], [0]), 1],
    ["no pair", pairedDifference([], []), null],
    ["one item of three seeds", crossedMean([[1], [0], [1]]), 2 / 3],
    ["one wording's pair", crossedMean([[1, 0, 1]], { clusters: [[7, 7, 7]] }), 2 / 3],
    ["losses that are all alike", crossedMean([[3, 3]], { range: [0, Number.POSITIVE_INFINITY] }), 3],
    ["nothing decided", crossedMean([[null, null]], { range: [0, 1] }), null],
    ["one seed against one", unpairedDifference([[1, 0, 1]], [[0, 0, 1]]), 1 / 3],
  ])("%s", (_name, { value, low, high, se }, expected) => {
    if (expected === null) expect(value).toBeNull();
    else expect(value).toBeCloseTo(expected, 12);
    expect([low, high, se]).toEqual([null, null, null]);
  });

  test("shares never leave their range and never have an interval of no width", () => {
    for (const rows of [
      [[1, 1, 1]],
      [
        [1, 1, 1, 1],
        [1, 1, 1, 1],
        [1, 1, 1, 1],
      ],
      [[0.5, 0.5]],
      [[1, 0]],
      [
        [1, 1, 1, 0],
        [1, 1, 1, 1],
        [0, 1, 1, 1],
      ],
    ]) {
      const { value, low, high } = crossedMean(rows, { range: [0, 1] });
      expect(low).toBeGreaterThanOrEqual(0);
      expect(high).toBeLessThanOrEqual(1);
      expect(high! - low!).toBeGreaterThan(0.1);
      expect(low! <= value! && value! <= high!).toBe(true);
    }
    // Wilson's for as many as there are, with the seeds' t: n / (n + t(2)^2).
    const sure = crossedMean([Array(96).fill(1), Array(96).fill(1), Array(96).fill(1)], { range: [0, 1] });
    expect(sure.low).toBeCloseTo(96 / (96 + tQuantile(2, 0.95) ** 2), 12);
    expect(crossedMean([Array(60).fill(1)], { range: [0, 1] }).low).toBeLessThan(wilson(60, 60).low!);
  });

  test("differences of shares lie in [-1, 1]; of other numbers they need not", () => {
    expect(pairedDifference([1, 0], [0, 1])).toMatchObject({ value: 0, low: -1, high: 1 });
    expect(pairedDifference([3, 0], [0, 1]).high).toBeGreaterThan(1);
    const same = pairedDifference([1, 0, 1], [1, 0, 1]);
    expect(same.value).toBe(0);
    expect(same.low).toBeLessThan(-0.1);
    expect(() => pairedDifference([1, 2], [1])).toThrow(/not pairs/);
  });

  test("seeds are paired; an arm without any is the same for all", () => {
    const bare = [[1, 0, null]];
    const rows = pairRows(
      [
        [1, 1, 1],
        [0, null, 1],
      ],
      bare,
    );
    expect(rows).toEqual([
      [0, 1, null],
      [-1, null, null],
    ]);
    expect(() => pairRows([[1], [1]], [[1], [1], [1]])).toThrow(/not pairs/);
  });
});

/** How many are asked, and standard deviations of an answer's parts: of seeds, of what is asked, and the rest. */
const WORLDS = [
  { name: "seeds differ most", items: 24, seed: 0.15, item: 0.2, rest: 0.4 },
  { name: "only seeds differ", items: 60, seed: 0.3, item: 0, rest: 0.1 },
  { name: "questions differ most", items: 24, seed: 0.03, item: 0.4, rest: 0.4 },
  { name: "only questions differ, and there are few", items: 5, seed: 0, item: 0.2, rest: 0.4 },
  { name: "seeds a little more than few questions", items: 5, seed: 0.3, item: 0.5, rest: 0.4 },
  { name: "both", items: 24, seed: 0.07, item: 0.5, rest: 0.5 },
  { name: "both, much noise", items: 12, seed: 0.1, item: 0.2, rest: 1 },
  { name: "neither", items: 12, seed: 0, item: 0, rest: 0.5 },
];
const EFFECT = 0.3;
const TRIALS = 800;
/** Of the short runs of coverage: a share of .95 in so many has a standard deviation of .006. */
const COVERAGE_TRIALS = 1500;
const SLACK = 0.006;

describe("simulations of known effect", () => {
  for (const seeds of [3, 5, 10])
    test.each(WORLDS)(`${seeds} seeds, $name: 95 %% intervals cover`, ({ items, seed, item, rest }) => {
      const draw = normals(seeds);
      let covered = 0;
      for (let trial = 0; trial < COVERAGE_TRIALS; trial++) {
        const ofItems = Array.from({ length: items }, () => EFFECT + item * draw());
        const rows = Array.from({ length: seeds }, () => {
          const ofSeed = seed * draw();
          return ofItems.map((x) => x + ofSeed + rest * draw());
        });
        const { low, high } = crossedMean(rows);
        if (low! <= EFFECT && EFFECT <= high!) covered++;
      }
      expect(covered / COVERAGE_TRIALS).toBeGreaterThan(0.93 - SLACK);
      expect(covered / COVERAGE_TRIALS).toBeLessThan(0.97 + SLACK);
    });

  test.each([3, 5, 10])("%d seeds, forced choices between six things and six of five kinds: cover", (seeds) => {
    const draw = normals(100 + seeds);
    const kinds = 5;
    const things = 6;
    const labels = Array.from({ length: kinds * things * things }, (_, i) => {
      const kind = Math.floor(i / things ** 2);
      return [kind * things + (Math.floor(i / things) % things), kind * things + (i % things)] as const;
    });
    const clusters = [labels.map(([liked]) => liked), labels.map(([, other]) => other)];
    // The chance of the liked thing, from what both bring along; answers are 0, a half (the orders differ), or 1.
    let covered = 0;
    const trials = 300;
    for (let trial = 0; trial < trials; trial++) {
      const [liked, other] = [0, 1].map(() => Array.from({ length: kinds * things }, () => 0.12 * draw()));
      const rows = Array.from({ length: seeds }, () => {
        const ofSeed = 0.05 * draw();
        return labels.map(([a, b]) => {
          const x = 0.5 + ofSeed + liked![a]! + other![b]! + 0.3 * draw();
          return x > 0.75 ? 1 : x < 0.25 ? 0 : 0.5;
        });
      });
      const { low, high } = crossedMean(rows, { clusters, range: [0, 1] });
      if (low! <= 0.5 && 0.5 <= high!) covered++;
    }
    expect(covered / trials).toBeGreaterThan(0.92);
    expect(covered / trials).toBeLessThan(0.985);
  });

  test.each([3, 5, 10])("A/A, %d seeds: an arm against itself excludes 0 at most seldom", (seeds) => {
    const draw = normals(200 + seeds);
    const items = 40;
    let paired = 0;
    let single = 0;
    let comparisons = 0;
    for (let trial = 0; trial < TRIALS; trial++) {
      const ofItems = Array.from({ length: items }, () => 0.3 * draw());
      const arm = (count: number): number[][] =>
        Array.from({ length: count }, () => {
          const ofSeed = 0.1 * draw();
          return ofItems.map((x) => x + ofSeed + 0.4 * draw());
        });
      const a = arm(seeds);
      const b = arm(seeds);
      const { low, high } = crossedMean(pairRows(a, b));
      if (low! > 0 || high! < 0) paired++;
      const one = unpairedDifference([a[0]!], a.slice(1));
      comparisons++;
      if (one.low! > 0 || one.high! < 0) single++;
    }
    expect(paired / TRIALS).toBeLessThanOrEqual(0.07);
    expect(single / comparisons).toBeLessThanOrEqual(0.07);
    expect(single + paired).toBeGreaterThan(0);
  });

  test("over one seed's questions alone, equal arms differ", () => {
    const draw = normals(5);
    let excluding = 0;
    for (let trial = 0; trial < 300; trial++) {
      const [a, b] = [0, 1].map(() => {
        const ofSeed = 0.1 * draw();
        return Array.from({ length: 180 }, () => ofSeed + 0.3 * draw());
      });
      const { low, high } = pairedDifference(a!, b!);
      if (low! > 0 || high! < 0) excluding++;
    }
    // Five in a hundred would be right: this is why one seed claims nothing.
    expect(excluding / 300).toBeGreaterThan(0.4);
  });
});
