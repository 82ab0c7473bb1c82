/** @file Values of options as shells and YAML files give them, and what is said of bad ones. */
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { parseOptions } from "../../src/config/options.js";
import { trainSchema } from "../../src/config/train.js";
import { count, countOrZero, notNegative, positive, text } from "../../src/config/values.js";

const schema = z.strictObject({
  rows: count.default(8),
  seed: countOrZero.default(0),
  lr: positive.default(0.1),
  weightDecay: notNegative.default(0),
  out: text,
});

test("texts of numbers are numbers; what is left out is the default", () => {
  const options = parseOptions(schema, { out: "o", rows: "3", lr: "1e-4" });
  expect(options).toEqual({ out: "o", rows: 3, lr: 1e-4, seed: 0, weightDecay: 0 });
});

describe("refused, with the option as it is typed and its value", () => {
  test.each([
    [{ out: "o", rows: "0" }, '--rows "0": must be at least 1'],
    [{ out: "o", rows: "2.5" }, '--rows "2.5": must be a whole number'],
    [{ out: "o", rows: "" }, '--rows "": must be a whole number'],
    [{ out: "o", lr: "fast" }, '--lr "fast": must be a number'],
    [{ out: "o", lr: 0 }, "--lr 0: must be above 0"],
    [{ out: "o", weightDecay: "-1" }, '--weight-decay "-1": must be 0 or more'],
    [{ out: "" }, '--out "": must not be empty'],
    [{}, "--out is missing: give it"],
  ])("%j", (options, message) => {
    expect(() => parseOptions(schema, options)).toThrow(message);
  });

  test("an unknown setting", () => {
    expect(() => parseOptions(schema, { out: "o", learningRate: 1 })).toThrow(/learningRate/);
  });
});

test("a training's defaults are the paper's", () => {
  const { r, alpha, lr, warmup, schedule, weightDecay, epochs, dtype } = parseOptions(trainSchema, {
    model: "m",
    data: ["d"],
    out: "o",
  });
  expect({ r, alpha, lr, warmup, schedule, weightDecay, epochs, dtype }).toEqual({
    r: 64,
    alpha: 128,
    lr: 1e-4,
    warmup: 0.05,
    schedule: "cosine",
    weightDecay: 0.01,
    epochs: null,
    dtype: "bf16",
  });
});
