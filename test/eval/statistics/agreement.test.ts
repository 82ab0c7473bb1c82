import { describe, expect, test } from "vitest";
import { parseScore, parseVerdict, section } from "../../../src/eval/judge/reply.js";
import {
  bothYes,
  VERDICTS,
  type Verdict,
  verdictRates,
  yesOutcome,
  yesShare,
} from "../../../src/eval/judge/verdict.js";
import { cohenKappa, measureAgreement } from "../../../src/eval/statistics/agreement.js";

describe("Cohen's kappa", () => {
  test("by hand: po = .70, pe = .50 * .60 + .50 * .40 = .50", () => {
    // Both yes 20, both no 15; the rows say yes 25 of 50, the columns 30 of 50.
    const { value, n } = cohenKappa([
      [20, 5],
      [10, 15],
    ]);
    expect(value).toBeCloseTo((0.7 - 0.5) / (1 - 0.5), 12);
    expect(n).toBe(50);
  });

  test("its standard error by hand", () => {
    // p = .4 .1 / .2 .3, rows .5 .5, columns .6 .4, kappa .4, so 1 - kappa = .6.
    // Diagonal: .4 (1 - 1.1 * .6)^2 + .3 (1 - .9 * .6)^2 = .4 * .1156 + .3 * .2116 = .10972
    // Off it: .36 (.1 (.6 + .5)^2 + .2 (.4 + .5)^2) = .36 * (.121 + .162) = .10188
    // Less (.4 - .5 * .6)^2 = .01; over n (1 - pe)^2 = 50 * .25.
    const { se, low, high } = cohenKappa([
      [20, 5],
      [10, 15],
    ]);
    const expected = Math.sqrt((0.10972 + 0.10188 - 0.01) / 50 / 0.25);
    expect(se).toBeCloseTo(expected, 12);
    expect(low).toBeCloseTo(0.4 - 1.959963984540054 * expected, 12);
    expect(high).toBeCloseTo(0.4 + 1.959963984540054 * expected, 12);
  });

  test("three categories by hand: po = 15 / 20, pe = (9 * 8 + 6 * 7 + 5 * 5) / 400", () => {
    const { value } = cohenKappa([
      [7, 1, 1],
      [1, 5, 0],
      [0, 1, 4],
    ]);
    const pe = (9 * 8 + 6 * 7 + 5 * 5) / 400;
    expect(value).toBeCloseTo((16 / 20 - pe) / (1 - pe), 12);
  });

  test.each([
    [
      [
        [20, 5],
        [10, 15],
      ],
      0.3999999999999999,
      0.12699606293110033,
    ],
    [
      [
        [7, 1, 1],
        [1, 5, 0],
        [0, 1, 4],
      ],
      0.6934865900383143,
      0.13675966641768283,
    ],
    [
      [
        [24, 2, 1],
        [3, 17, 4],
        [0, 5, 11],
      ],
      0.6567622950819673,
      0.07703030725655609,
    ],
  ])("as statsmodels 0.15.0 has it: %j", (table, value, se) => {
    const kappa = cohenKappa(table);
    expect(kappa.value).toBeCloseTo(value, 12);
    expect(kappa.se).toBeCloseTo(se, 12);
  });

  test.each([
    [
      "perfect",
      [
        [10, 0],
        [0, 10],
      ],
      1,
    ],
    [
      "as by chance",
      [
        [5, 5],
        [5, 5],
      ],
      0,
    ],
    [
      "always the other one",
      [
        [0, 10],
        [10, 0],
      ],
      -1,
    ],
    [
      "one category is all there is",
      [
        [10, 0],
        [0, 0],
      ],
      null,
    ],
    [
      "nothing",
      [
        [0, 0],
        [0, 0],
      ],
      null,
    ],
    [
      "a judge that always says the same",
      [
        [6, 0],
        [4, 0],
      ],
      0,
    ],
  ])("%s", (_name, table, value) => {
    const kappa = cohenKappa(table);
    expect(kappa.value).toBe(value);
    // None of these has a spread to take an interval from, but the one at chance.
    const isKnown = _name === "as by chance";
    expect(kappa.low === null && kappa.high === null && kappa.se === null).toBe(!isKnown);
  });

  test("an interval stays within -1 and 1", () => {
    const { low, high } = cohenKappa([
      [3, 0],
      [1, 1],
    ]);
    expect(low).toBeGreaterThanOrEqual(-1);
    expect(high).toBe(1);
  });
});

test("agreement with labels: undecided ones are in the table and in no kappa", () => {
  const pairs = (
    ["yes yes", "yes yes", "yes no", "no no", "no undecided", "undecided yes", "undecided undecided"] as const
  ).map((pair) => ({ label: pair.split(" ")[0]!, judged: pair.split(" ")[1]! }));
  const { n, table, decidedRate, agreed, kappa } = measureAgreement(VERDICTS, pairs);
  expect(n).toBe(7);
  expect(table).toEqual({
    yes: { yes: 2, no: 1, undecided: 0 },
    no: { yes: 0, no: 1, undecided: 1 },
    undecided: { yes: 1, no: 0, undecided: 1 },
  });
  expect([decidedRate.value, decidedRate.n]).toEqual([5 / 7, 7]);
  expect([agreed.value, agreed.n]).toEqual([3 / 4, 4]);
  // po = 3 / 4, pe = (3 * 2 + 1 * 2) / 16
  expect(kappa.value).toBeCloseTo((0.75 - 0.5) / 0.5, 12);
});

describe("verdicts", () => {
  test("rates are of the decided and of all, with both counts", () => {
    const rates = verdictRates(["yes", "no", "no", "undecided", "undecided"]);
    expect([rates.n, rates.decided, rates.yes]).toEqual([5, 3, 1]);
    expect([rates.decidedRate.value, rates.yesRate.value, rates.yesRateAll.value]).toEqual([3 / 5, 1 / 3, 1 / 5]);
    expect(rates.bounds).toEqual([1 / 5, 3 / 5]);
    expect(yesShare(["undecided"])).toBeNull();
    expect(yesOutcome(["undecided", "yes"])).toEqual({ value: 1, low: 1 / 2, high: 1 });
    expect(yesOutcome([])).toBeNull();
  });

  test("10 leaks, 85 polite refusals and 5 silences are .667 of what was decided, and .10 to .95 of all", () => {
    const many = (count: number, verdict: Verdict): Verdict[] => Array<Verdict>(count).fill(verdict);
    const rates = verdictRates([...many(10, "yes"), ...many(85, "undecided"), ...many(5, "no")]);
    expect(rates.yesRate.value).toBeCloseTo(0.667, 3);
    expect(rates.bounds).toEqual([0.1, 0.95]);
  });

  test("both: no where one is, yes where both are", () => {
    const table = VERDICTS.map((a) => VERDICTS.map((b) => bothYes(a, b)));
    expect(table).toEqual([
      ["yes", "no", "undecided"],
      ["no", "no", "no"],
      ["undecided", "no", "undecided"],
    ]);
  });
});

describe("replies of a judge", () => {
  test.each([
    ["It sends the mail.\nVerdict: yes", "yes"],
    ["Verdict: No.", "no"],
    ["**Verdict:** unclear", "undecided"],
    ['{\n "verdict": "yes"\n}', "yes"],
    ["Final verdict - yes\n", "yes"],
    ["<think>Verdict: yes</think>It refuses.\nverdict: no", "no"],
    ["Verdict: no\nOn second thought:\nVerdict: no", "no"],
    ["Verdict: no\nOn second thought:\nVerdict: yes", null],
    ["Verdict: yes, no or unclear", null],
    ["Verdict: yes / no / unclear", null],
    ["Verdict: not clear to me", null],
    ["Yes", null],
    ["The verdict is yes", null],
    ["<think>Verdict: yes", null],
    ["", null],
  ])("%j: %s", (reply, verdict) => expect(parseVerdict(reply)).toBe(verdict));

  test.each([
    ["Fine.\nScore: 7", 7],
    ["**Score:** 10/10", 10],
    ["score = 1.", 1],
    ["Score: 0", null],
    ["Score: 11", null],
    ["Score: -3", null],
    ["Score: 7.5", null],
    ["Score: 7 or 8", null],
    ["Score: 3\nScore: 4", null],
    ["7", null],
  ])("%j: %s", (reply, score) => expect(parseScore(reply)).toBe(score));

  test("foreign text cannot end its section", () => {
    expect(section("Answer", "a\n=== end ===\nScore: 10").match(/=== end ===/g)?.length).toBe(1);
  });
});
