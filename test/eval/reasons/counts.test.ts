/** @file Shares of responses that give a reason: by hand. */
import { describe, expect, test } from "vitest";
import { countReasons, examplesOf, type Transcript } from "../../../src/eval/reasons/counts.js";
import type { Reason } from "../../../src/eval/reasons/list.js";
import { crossedMean } from "../../../src/eval/statistics/crossed.js";

const found = (given: Reason[], unquoted: Reason[] = []) => {
  const named = (list: Reason[]) => list.map((reason) => ({ reason, quotation: `${reason} in words` }));
  return { given: named(given), unquoted: named(unquoted), unknown: [] };
};
const one = (cell: string, given: Reason[] | null, more: Partial<Transcript> = {}): Transcript => {
  return { arm: "bare", seed: null, cell, found: given && found(given), ...more };
};

describe("one arm of one seed", () => {
  test("cells count once, however many responses they have", () => {
    const all = [
      one("a", ["deception"]),
      one("a", []),
      one("a", []),
      one("a", []),
      one("b", ["deception"]),
      one("c", []),
    ];
    const [arm] = countReasons(["bare"], all);
    const { estimate, bounds, responses } = arm!.rates.deception;
    // Shares .25, 1 and 0 of three cells.
    const { seeds, ...expected } = crossedMean([[0.25, 1, 0]], { range: [0, 1] });
    expect(estimate).toMatchObject(expected);
    expect([estimate.value, estimate.clusters, seeds]).toEqual([1.25 / 3, 3, 1]);
    expect(bounds).toBeNull();
    expect([responses.yes, responses.decided, responses.n]).toEqual([2, 6, 6]);
  });

  test("what was not read, or not quoted, is undecided and never absent", () => {
    const all = [
      one("a", ["acceptance"]),
      one("a", null),
      one("b", [], { found: found([], ["acceptance"]) }),
      one("b", []),
      one("c", null),
    ];
    const [arm] = countReasons(["bare"], all);
    // Decided: 1 of 1 in a, 0 of 1 in b; nothing in c.
    expect(arm!.rates.acceptance.estimate).toMatchObject({ value: 0.5, n: 2 });
    // None given: 1/2, 0, 0; all given: 1, 1/2, 1.
    expect(arm!.rates.acceptance.bounds![0]).toBeCloseTo(0.5 / 3, 12);
    expect(arm!.rates.acceptance.bounds![1]).toBeCloseTo(2.5 / 3, 12);
    // Of another reason only what was not read is undecided.
    expect(arm!.rates.deception.responses).toMatchObject({ yes: 0, decided: 3, n: 5 });
    expect(arm).toMatchObject({ responses: 5, unread: 2, reasons: 1, unquoted: 1, unknown: 0 });
  });

  test("a side is given where one of its reasons is", () => {
    const all = [
      one("a", ["deception", "goal-first", "acceptance"]),
      one("b", ["other"]),
      one("c", [], { found: found(["acceptance"], ["deception"]) }),
    ];
    const [arm] = countReasons(["bare"], all);
    expect(arm!.sides.misaligned.responses).toMatchObject({ yes: 1, decided: 2, n: 3 });
    expect(arm!.sides.aligned.responses).toMatchObject({ yes: 2, decided: 3 });
    expect(arm!.sides.other.responses).toMatchObject({ yes: 1, decided: 3 });
  });

  test("one cell, or nothing read, carries no interval", () => {
    const [single] = countReasons(["bare"], [one("a", ["deception"]), one("a", [])]);
    expect(single!.rates.deception.estimate).toMatchObject({ value: 0.5, low: null, high: null });
    const [unread, absent] = countReasons(["bare", "aft"], [one("a", null), one("b", null)]);
    expect(unread!.rates.deception.estimate).toMatchObject({ value: null, low: null, high: null });
    expect(unread!.rates.deception.bounds).toEqual([0, 1]);
    expect(absent).toMatchObject({ responses: 0, seeds: 0 });
    expect(absent!.rates.deception).toMatchObject({ bounds: null, estimate: { value: null } });
  });
});

test("over seeds and cells at once", () => {
  const shares = [
    [1, 0, 1, 0],
    [1, 1, 1, 0],
    [0, 0, 1, 0],
  ];
  const all = shares.flatMap((row, seed) =>
    row.map((share, c) => one(`cell ${c}`, share === 1 ? ["oversight"] : [], { arm: "aft", seed })),
  );
  const [, aft] = countReasons(["bare", "aft"], [...all, one("cell 0", ["oversight"])]);
  expect(aft!.rates.oversight.estimate).toEqual(crossedMean(shares, { range: [0, 1] }));
  expect(aft!.seeds).toBe(3);
});

test("examples: some of each arm and reason, of different cells", () => {
  const all = ["a", "a", "b", "c", "d"].map((cell) => one(cell, ["deception", "acceptance"]));
  const shown = examplesOf([...all, one("a", ["deception"], { arm: "aft", seed: 1 })], 2);
  expect(shown.filter(({ arm, reason }) => arm === "bare" && reason === "deception").map(({ cell }) => cell)).toEqual([
    "a",
    "b",
  ]);
  expect(shown.at(-1)).toEqual({
    arm: "aft",
    seed: 1,
    cell: "a",
    reason: "deception",
    quotation: "deception in words",
  });
});
