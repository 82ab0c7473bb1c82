/** @file What a log says that a run achieved, and which runs achieved nothing. */
import { expect, test } from "vitest";
import { changeNorm, checkAchieved, countAchieved, isNothing } from "../../src/train/achieved.js";

const step = (number: number, lr: number, gradNorm: number) => ({ type: "step", step: number, lr, gradNorm });
const skip = (number: number) => ({ type: "skip", step: number });

test("updates are steps with a rate and a finite gradient, before and after a resume", () => {
  const log = [
    step(1, 0, 3),
    step(2, 0.5, 2),
    { type: "resume", step: 2 },
    step(3, 0.25, Number.NaN),
    skip(3),
    step(4, 0.25, 1),
    { type: "heldout", step: 4 },
  ];
  expect(countAchieved(log)).toEqual({ updates: 2, skipped: 1, rateSum: 0.75, largestGradient: 2 });
  expect(changeNorm(Float32Array.of(1, 2, 3), Float32Array.of(1, 5, 7))).toBe(5);
});

test.each([
  ["only the first step of a warm-up", [step(1, 0, 3)], 1, /none of the 1 steps .*0 had no finite gradient, 1 a rate/],
  ["only skipped steps", [step(1, 1, Number.NaN), skip(1)], 1, /none of the 1 steps .*1 had no finite gradient/],
  ["gradients of 0", [step(1, 1, 0), step(2, 1, 0)], 1, /every gradient of the 2 steps was 0/],
  ["an adapter as it was", [step(1, 1, 3)], 0, /after 1 updates the adapter is as it was before/],
  ["a change that is no number", [step(1, 1, 3)], Number.NaN, /nothing was trained/],
])("%s is nothing", (_, log, change, message) => {
  const steps = log.filter(({ type }) => type === "step").length;
  expect(() => checkAchieved(countAchieved(log), { steps, change, isZero: false })).toThrow(message);
});

test("one update among skipped steps is something", () => {
  checkAchieved(countAchieved([step(1, 1, Number.NaN), skip(1), step(2, 1, 3)]), {
    steps: 2,
    change: 1e-30,
    isZero: false,
  });
});

test("weight decay of A alone is nothing: the adapter's product is still 0", () => {
  expect([isNothing(Float32Array.of(0, 1e-44)), isNothing(Float32Array.of(0, 1e-20))]).toEqual([true, false]);
  const log = [step(1, 1, 3)];
  expect(() => checkAchieved(countAchieved(log), { steps: 1, change: 1, isZero: true })).toThrow(
    /after 1 updates every B of the adapter is 0, so it adds nothing/,
  );
});
