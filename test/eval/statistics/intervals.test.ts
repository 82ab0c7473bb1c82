import { describe, expect, test } from "vitest";
import {
  boundedMean,
  meanInterval,
  ratioInterval,
  shareInterval,
  wilson,
} from "../../../src/eval/statistics/intervals.js";
import { tQuantile } from "../../../src/eval/statistics/student.js";

describe("Wilson interval", () => {
  // Newcombe 1998 (Statistics in Medicine 17, 857), table I, method 3.
  test.each([
    [81, 263, 0.2553, 0.3662],
    [15, 148, 0.0624, 0.1605],
    [0, 20, 0, 0.1611],
    [1, 29, 0.0061, 0.1718],
    [29, 29, 0.883, 1],
  ])("%d of %d", (k, n, low, high) => {
    const interval = wilson(k, n);
    expect(interval.value).toBe(k / n);
    expect(interval.low).toBeCloseTo(low, 4);
    expect(interval.high).toBeCloseTo(high, 4);
  });

  test("its ends solve |p - k / n| = z sqrt(p (1 - p) / n)", () => {
    const { low, high } = wilson(7, 23);
    for (const p of [low!, high!])
      expect(Math.abs(p - 7 / 23)).toBeCloseTo(1.959963984540054 * Math.sqrt((p * (1 - p)) / 23), 12);
  });

  test("nothing", () => {
    expect(wilson(0, 0)).toEqual({ value: null, low: null, high: null, n: 0 });
  });
});

describe("Student's t", () => {
  // Closed forms: df 1, tan(pi 0.975 / ...); df 2, t = 0.95 sqrt(2 / (1 - 0.95^2)).
  test("one and two degrees of freedom in closed form", () => {
    expect(tQuantile(1, 0.95)).toBeCloseTo(Math.tan((Math.PI * 0.95) / 2), 9);
    expect(tQuantile(2, 0.95)).toBeCloseTo(0.95 * Math.sqrt(2 / (1 - 0.95 ** 2)), 10);
  });

  // NIST/SEMATECH e-Handbook of Statistical Methods, table 1.3.6.7.2.
  test.each([
    [3, 3.182],
    [5, 2.571],
    [10, 2.228],
    [26, 2.056],
    [30, 2.042],
    [100, 1.984],
  ])("%d degrees of freedom", (df, t) => {
    expect(tQuantile(df, 0.95)).toBeCloseTo(t, 3);
  });

  test("many degrees of freedom are normal", () => {
    expect(tQuantile(1e7, 0.95)).toBeCloseTo(1.959963984540054, 6);
    expect(tQuantile(1e7, 0.99)).toBeCloseTo(2.5758293, 5);
  });
});

describe("mean", () => {
  test("by hand: 2, 4, 4, 6", () => {
    const { value, se, low, high, n } = meanInterval([2, 4, 4, 6]);
    const expected = Math.sqrt(8 / 3 / 4);
    expect([value, n]).toEqual([4, 4]);
    expect(se).toBeCloseTo(expected, 12);
    expect(low).toBeCloseTo(4 - 3.182446305 * expected, 8);
    expect(high).toBeCloseTo(4 + 3.182446305 * expected, 8);
  });

  test("values that are all alike have no interval", () => {
    expect(meanInterval([0.1, 0.1, 0.1])).toEqual({ value: 0.1, low: null, high: null, n: 3, se: null });
  });

  test("one value has no interval, none no mean", () => {
    expect(meanInterval([3])).toEqual({ value: 3, low: null, high: null, n: 1, se: null });
    expect(meanInterval([]).value).toBeNull();
  });
});

describe("ratio of sums", () => {
  test("clusters of one unit are the mean", () => {
    const values = [1, 2, 4, 9, 3];
    const mean = meanInterval(values);
    const ratio = ratioInterval(values.map((y) => ({ y, x: 1 })));
    for (const key of ["value", "se", "low", "high"] as const) expect(ratio[key]).toBeCloseTo(mean[key]!, 12);
  });

  test("by hand: 2 of 1 and 4 of 3", () => {
    const { value, se } = ratioInterval([
      { y: 2, x: 1 },
      { y: 4, x: 3 },
    ]);
    expect(value).toBe(1.5);
    // Residuals 0.5 and -0.5: sqrt(2 / 1 * 0.5) / 4.
    expect(se).toBeCloseTo(0.25, 12);
  });

  test("equal ratios have no interval", () => {
    expect(
      ratioInterval([
        { y: 0.3, x: 3 },
        { y: 0.7, x: 7 },
      ]),
    ).toMatchObject({ low: null, high: null, se: null });
  });
});

describe("shares and probabilities", () => {
  test("a share of outcomes and ties has Wilson's interval: some width, and within [0, 1]", () => {
    const { se, ...share } = shareInterval([1, 0.5, 0, 1]);
    expect(share).toEqual(wilson(2.5, 4));
    expect(se).toBe(meanInterval([1, 0.5, 0, 1]).se);
    expect(shareInterval([0, 0, 0])).toMatchObject({ value: 0, low: 0, n: 3 });
    // z^2 / (n + z^2).
    expect(shareInterval([0, 0, 0]).high).toBeCloseTo(3.841459 / 6.841459, 6);
    expect(shareInterval([])).toEqual({ value: null, low: null, high: null, n: 0, se: null });
    for (let n = 1; n < 60; n++) {
      for (let k = 0; k <= n; k += 0.5) {
        const { low, high } = wilson(k, n);
        expect(low! >= 0 && high! <= 1 && high! > low!).toBe(true);
      }
    }
  });

  test("a mean probability is cut to [0, 1], and keeps a width where all are at an end", () => {
    const values = [0.99, 0.98, 0.2];
    const plain = meanInterval(values);
    expect(plain.low! < 0 && plain.high! > 1).toBe(true);
    expect(boundedMean(values)).toEqual({ ...plain, low: 0, high: 1 });
    const inside = [0.4, 0.5, 0.55, 0.45];
    expect(boundedMean(inside)).toEqual(meanInterval(inside));
    expect(boundedMean([1, 1])).toEqual(shareInterval([1, 1]));
    expect(boundedMean([0.3])).toEqual(meanInterval([0.3]));
    // Alike, but at no end: as for halves, an interval of some width.
    expect(boundedMean([0.3, 0.3]).high! - boundedMean([0.3, 0.3]).low!).toBeGreaterThan(0.1);
    expect(boundedMean([1, 10, 1], [1, 10])).toMatchObject({ value: 4, low: 1, high: 10 });
    expect(boundedMean([192, 192, 192], [0, Number.POSITIVE_INFINITY])).toMatchObject({ low: null, high: null });
  });
});
