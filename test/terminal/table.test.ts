/** @file What is printed for people: tables and durations. */
import { expect, test } from "vitest";
import { formatDuration } from "../../src/terminal/progress.js";
import { alignColumns } from "../../src/terminal/table.js";

test("the first column is aligned to the left, the others to the right", () => {
  expect(
    alignColumns([
      ["arm", "steps"],
      ["msm + aft", "80"],
    ]),
  ).toEqual(["arm        steps", "msm + aft     80"]);
  expect(alignColumns([])).toEqual([]);
});

test.each([
  [0.4, "0 s"],
  [59.4, "59 s"],
  [65, "1 min 05 s"],
  [7830, "2 h 10 min"],
  [Number.POSITIVE_INFINITY, "?"],
])("%d seconds", (seconds, text) => {
  expect(formatDuration(seconds)).toBe(text);
});
