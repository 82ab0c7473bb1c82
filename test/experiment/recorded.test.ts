/** @file What the recorded report of the miniature says: the paper's pattern, measured on the files that ship. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { readExperiment } from "../../src/experiment/file.js";
import { hashInputs } from "../../src/experiment/inputs.js";
import { buildMatrix } from "../../src/experiment/matrix.js";
import type { ExperimentRecord } from "../../src/experiment/record.js";

const EXPERIMENTS = fileURLToPath(new URL("../../experiments", import.meta.url));
const recorded = JSON.parse(
  readFileSync(join(EXPERIMENTS, "reports", "cheese-miniature", "results.json"), "utf8"),
) as ExperimentRecord;

describe("the recorded report of the miniature", () => {
  it("is of the settings, the model and the texts that ship", async () => {
    const experiment = readExperiment(join(EXPERIMENTS, "cheese-miniature.yaml"));
    const { jobs } = buildMatrix(experiment, "runs", await hashInputs(experiment, () => undefined));
    expect(recorded.matrix.jobs.map(({ id }) => id)).toEqual(jobs.map(({ id }) => id));
  });

  it("shows the paper's pattern on the held-out half: identical chats, opposite generalisation", () => {
    const heldout = recorded.claims.filter(({ slice }) => slice === "split heldout");
    expect(heldout.map(({ a, b }) => `${a} > ${b}`).sort()).toEqual([
      "msm:affordability+aft > aft",
      "msm:affordability+aft > msm:affordability",
      "msm:affordability+aft > msm:loyalty+aft",
      "msm:loyalty+aft > aft",
      "msm:loyalty+aft > msm:affordability+aft",
      "msm:loyalty+aft > msm:loyalty",
    ]);
    for (const { a, b, evaluation, holds } of heldout) {
      const difference = recorded.differences.find(
        (one) => one.a === a && one.b === b && one.evaluation === evaluation && one.slice === "split heldout",
      )!;
      expect(holds).toBe(true);
      // Over questions, for all comparisons at once, and for every seed.
      expect(difference.adjusted.low).toBeGreaterThan(0);
      expect(difference.overSeeds.low).toBeGreaterThan(0);
      expect(difference.overSeeds.n).toBe(3);
    }
  });

  it("says what the training cost: the loss of unseen texts, every arm against the bare model", () => {
    const against = recorded.differences.filter(({ evaluation, b }) => evaluation === "perplexity" && b === "bare");
    expect(against.length).toBe(5);
    for (const { a, estimate } of against) {
      expect(estimate.n, a).toBe(120);
      // Nats a token: not much, in either direction.
      expect(Math.abs(estimate.value!), a).toBeLessThan(0.05);
    }
  });

  it("has a curve of the dose and one of the size of alignment fine-tuning", () => {
    const curves = new Set(recorded.rates.flatMap(({ sweep }) => (sweep ? [sweep.name] : [])));
    expect(curves.size).toBe(2);
  });
});
