import { describe, expect, test } from "vitest";
import type { Schedule } from "../../src/config/train.js";
import { checkRates, peakRate, resolveWarmup, scheduleFactor } from "../../src/train/schedule.js";

/** Factors of a run of `steps` steps. */
function factors(schedule: Schedule, steps: number, warmup: number): number[] {
  return Array.from({ length: steps }, (_, i) => scheduleFactor(schedule, i + 1, steps, warmup));
}

function expectClose(got: number[], want: number[]): void {
  expect(got.length).toBe(want.length);
  for (const [i, value] of want.entries()) expect(got[i], `step ${i + 1}`).toBeCloseTo(value, 14);
}

// Worked by hand from the lambdas of transformers' optimization.py: at `done` steps, before step done + 1,
// warm-up done / warmup; cosine (1 + cos(pi p)) / 2 and linear 1 - p with p = (done - warmup) / (steps - warmup).
const R2 = Math.SQRT1_2;
const R3 = Math.sqrt(3) / 2;

describe("factors are those of get_*_schedule_with_warmup", () => {
  test("cosine, 2 of 8 steps of warm-up: p = 0, 1/6 ... 5/6", () => {
    const want = [0, 0.5, 1, (1 + R3) / 2, 0.75, 0.5, 0.25, (1 - R3) / 2];
    expectClose(factors("cosine", 8, 2), want);
  });

  test("cosine without warm-up: p = 0, 1/4, 1/2, 3/4", () => {
    expectClose(factors("cosine", 4, 0), [1, (1 + R2) / 2, 0.5, (1 - R2) / 2]);
  });

  test("linear, 2 of 6 steps of warm-up", () => {
    expectClose(factors("linear", 6, 2), [0, 0.5, 1, 0.75, 0.5, 0.25]);
  });

  test("linear without warm-up", () => {
    expectClose(factors("linear", 4, 0), [1, 0.75, 0.5, 0.25]);
  });

  test("constant, with and without warm-up", () => {
    expectClose(factors("constant", 5, 4), [0, 0.25, 0.5, 0.75, 1]);
    expectClose(factors("constant", 3, 0), [1, 1, 1]);
  });

  test("one step, and a warm-up as long as the run or longer", () => {
    expectClose(factors("cosine", 1, 0), [1]);
    expectClose(factors("cosine", 1, 1), [0]);
    expectClose(factors("linear", 3, 3), [0, 1 / 3, 2 / 3]);
    expectClose(factors("cosine", 3, 6), [0, 1 / 6, 2 / 6]);
  });
});

test("a share leaves a step at the peak rate, a number of steps need not", () => {
  expect(resolveWarmup(0.05, 1)).toBe(0);
  expect(resolveWarmup(0.9, 3)).toBe(2);
  expect(resolveWarmup(1, 1)).toBe(1);
  const peak = (warmup: number, steps: number, schedule: Schedule = "cosine") =>
    peakRate({ lr: 2, warmup, schedule }, steps);
  expect(peak(0.05, 1)).toBe(2);
  expect(peak(0.9, 3)).toBe(2);
  expect(peak(100, 6)).toBeCloseTo(0.1, 14);
  expect(peak(1, 1)).toBe(0);
  for (const schedule of ["cosine", "linear", "constant"] as const)
    for (const [warmup, steps] of [
      [0, 1],
      [0.5, 7],
      [3, 3],
      [4, 9],
      [9, 4],
    ] as const) {
      const rates = factors(schedule, steps, resolveWarmup(warmup, steps)).map((factor) => 2 * factor);
      expect(peak(warmup, steps, schedule), `${schedule} ${warmup} of ${steps}`).toBe(Math.max(...rates));
    }
});

test("rates that are all 0 are refused, with what would do", () => {
  const check = (lr: number, warmup: number, steps: number) => () =>
    checkRates({ lr, warmup, schedule: "cosine" }, steps);
  expect(check(1e-4, 5, 1)).toThrow(/--warmup 5: the run has 1 step, and none has a rate above 0.*--warmup 0/);
  expect(check(1e-50, 0, 4)).toThrow(/--lr 1e-50 is 0 in single precision/);
  check(1e-4, 0.05, 1)();
  check(1e-4, 100, 2)();
});

test("a warm-up below 1 is a share of the steps, rounded up; otherwise a number of steps", () => {
  expect(resolveWarmup(0, 100)).toBe(0);
  expect(resolveWarmup(0.05, 100)).toBe(5);
  expect(resolveWarmup(0.05, 101)).toBe(6);
  expect(resolveWarmup(0.05, 6)).toBe(1);
  expect(resolveWarmup(1, 100)).toBe(1);
  expect(resolveWarmup(30, 100)).toBe(30);
});

test("rounding is that of transformers: math.ceil(0.07 * 100) is 8, int(2.9) is 2", () => {
  expect(resolveWarmup(0.07, 100)).toBe(8);
  expect(resolveWarmup(2.9, 100)).toBe(2);
});
