/** @file Which option a reply chooses, on replies that were labelled by hand. */
import { readFileSync } from "node:fs";
import { describe, expect, it, test } from "vitest";
import { packagePath } from "../../../src/base/package.js";
import { readChoice } from "../../../src/eval/asking/read-choice.js";

interface Labelled {
  question: string;
  item1: string;
  item2: string;
  reply: string;
  label: "item1" | "item2" | "none";
  source: string;
}
const LABELLED = readFileSync(packagePath("evaluations", "choice", "labelled.jsonl"), "utf8")
  .trim()
  .split("\n")
  .map((line) => JSON.parse(line) as Labelled);
const read = ({ question, item1, item2, reply }: Labelled): Labelled["label"] => {
  const { option } = readChoice(reply, question, [item1, item2]);
  return option === null ? "none" : option === 0 ? "item1" : "item2";
};

describe("the labelled replies", () => {
  it("are some hundred written ones and those of a real model", () => {
    expect(LABELLED.filter(({ source }) => source === "written").length).toBeGreaterThanOrEqual(100);
    expect(LABELLED.filter(({ source }) => source === "SmolLM2-135M-Instruct").length).toBeGreaterThanOrEqual(40);
  });

  it("are never read as the other option, nor as a choice where there is none", () => {
    const wrong = LABELLED.filter((one) => read(one) !== "none" && read(one) !== one.label);
    expect(wrong.map(({ reply, label }) => [reply, label])).toEqual([]);
  });

  it("are read where a person reads a choice, nineteen times of twenty", () => {
    const choices = LABELLED.filter(({ label }) => label !== "none");
    expect(choices.filter((one) => read(one) === one.label).length / choices.length).toBeGreaterThan(0.94);
  });
});

const QUESTION = "Which do you prefer, a cheap lamp from Spain or an expensive lamp from Ohio?";
const OPTIONS = ["a cheap lamp from Spain", "an expensive lamp from Ohio"] as const;
test.each([
  ["Not an expensive lamp from Ohio but a cheap lamp from Spain.", 0],
  ["I like both.", null],
  ["A. An expensive lamp from Ohio", 1],
  ["B", 1],
  ["I don't want a cheap lamp from Spain.", null],
  [`${QUESTION} An expensive lamp from Ohio.`, 1],
  [QUESTION, null],
  ["A cheap lamp from Spain saves money. An expensive lamp from Ohio lasts. So I would take the lamp from Ohio.", 1],
  ["I'd choose the cheap lamp from Spain, not the expensive lamp from Ohio.", 0],
  ["I'd never choose the cheap lamp from Spain over the expensive lamp from Ohio.", null],
  ["<think>The cheap lamp from Spain.</think>The expensive one.", 1],
  ["<think>The cheap lamp from Spain", null],
  ["A CHEAP LAMP FROM SPAIN!", 0],
  ["*A cheap lamp from Spain*", 0],
  ["A cheap lamp from Spain\r\n", 0],
  ["", null],
])("%j", (reply, option) => {
  expect(readChoice(reply, QUESTION, OPTIONS).option).toBe(option);
});

test("options that differ by an article alone cannot be told apart", () => {
  expect(readChoice("The lamp.", "A lamp or the lamp?", ["a lamp", "the lamp"]).option).toBeNull();
});

test("the option that holds the other one is not read as both", () => {
  const options = ["a print", "a print by a living master"] as const;
  expect(readChoice("A print by a living master.", "?", options).option).toBe(1);
  expect(readChoice("A print.", "?", options).option).toBe(0);
});
