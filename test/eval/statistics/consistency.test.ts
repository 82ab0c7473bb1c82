/** @file Agreement across wordings and domains, worked out by hand. */
import { expect, it } from "vitest";
import { signAgreement, wordingAgreement } from "../../../src/eval/statistics/consistency.js";

it("counts questions whose wordings are all decided alike", () => {
  const decisions = [
    [true, true, true],
    [false, false],
    [true, false, true],
    [null, null],
    [true, null],
  ];
  expect(wordingAgreement(decisions)).toMatchObject({ value: 2 / 5, n: 5 });
  expect(wordingAgreement([])).toMatchObject({ value: null, n: 0 });
});

it("counts domains on the side of the whole", () => {
  // All: 5 of 8 above a half; domains .75, .5 (on neither side), 1, .25.
  const domains = [[1, 1, 0.5, 0.5], [1, 0], [1], [0.25]];
  expect(signAgreement(domains)).toMatchObject({ value: 2 / 4, n: 4 });
  // No side to agree with.
  expect(signAgreement([[1], [0]])).toMatchObject({ value: 0, n: 2 });
});
