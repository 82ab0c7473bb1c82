/** @file What the recorded report of the miniature says: the paper's pattern, measured on the files that ship. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { taskByName } from "../../src/eval/tasks/by-name.js";
import { readAnswers } from "../../src/experiment/answers.js";
import { readExperiment } from "../../src/experiment/file.js";
import { hashInputs } from "../../src/experiment/inputs.js";
import { buildMatrix } from "../../src/experiment/matrix.js";
import type { ExperimentRecord } from "../../src/experiment/record.js";
import { summarize } from "../../src/experiment/results.js";

const EXPERIMENTS = fileURLToPath(new URL("../../experiments", import.meta.url));
const REPORTS = join(EXPERIMENTS, "reports");
const readRecord = (name: string): ExperimentRecord =>
  JSON.parse(readFileSync(join(REPORTS, name, "results.json"), "utf8")) as ExperimentRecord;
const recorded = readRecord("cheese-miniature");

describe("the recorded report of the miniature", () => {
  it("is of the settings, the model and the texts that ship", async () => {
    const experiment = readExperiment(join(EXPERIMENTS, "cheese-miniature.yaml"));
    const { jobs } = buildMatrix(experiment, "runs", await hashInputs(experiment, () => undefined));
    expect(recorded.matrix.jobs.map(({ id }) => id)).toEqual(jobs.map(({ id }) => id));
  });

  it("shows the paper's pattern on the held-out half: identical chats, opposite generalisation", () => {
    const heldout = recorded.claims.filter(({ slice }) => slice === "split heldout");
    // The two evaluations are the same answers, complemented: five, not six.
    expect(recorded.complements).toEqual({ loyalty: "affordability" });
    expect(heldout.map(({ a, b }) => `${a} > ${b}`).sort()).toEqual([
      "msm:affordability+aft > aft",
      "msm:affordability+aft > msm:affordability",
      "msm:affordability+aft > msm:loyalty+aft",
      "msm:loyalty+aft > aft",
      "msm:loyalty+aft > msm:loyalty",
    ]);
    for (const { a, b, evaluation, holds, seeds } of heldout) {
      const difference = recorded.differences.find(
        (one) => one.a === a && one.b === b && one.evaluation === evaluation && one.slice === "split heldout",
      )!;
      expect([holds, seeds]).toEqual([true, 10]);
      expect(difference.estimate.low).toBeGreaterThan(0);
      // Thirty things of either kind, six and six crossed in each of five domains.
      expect(difference.estimate.clusters).toBe(30);
      expect(difference.overSeeds.low).toBeGreaterThan(0);
    }
    expect(recorded.sameArm!.comparisons).toBe(150);
    expect(recorded.sameArm!.rate.value).toBeLessThanOrEqual(0.07);
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

  it("holds under another view of what is independent too: five domains", async () => {
    const measured = await readAnswers(join(REPORTS, "cheese-miniature", "answers.jsonl.gz"), recorded.experiment);
    const byDomain = measured.map((one) => ({ ...one, clusters: [one.records.map(({ domain }) => String(domain))] }));
    const choices = byDomain.filter(({ evaluation }) => evaluation.settings.task === "choice");
    const { claims } = summarize(recorded.experiment, recorded.matrix, choices);
    const heldout = claims.filter(({ slice }) => slice === "split heldout");
    expect(heldout.map(({ holds }) => holds)).toEqual([true, true, true, true, true]);
  });

  it("has a curve of the dose and one of the size of alignment fine-tuning", () => {
    const curves = new Set(recorded.rates.flatMap(({ sweep }) => (sweep ? [sweep.name] : [])));
    expect(curves.size).toBe(2);
  });
});

describe("kept reports", () => {
  it.each(["cheese-miniature", "cheese-miniature-ablation"])(
    "%s: intervals derive again from its answers",
    async (name) => {
      const kept = readRecord(name);
      const measured = await readAnswers(join(REPORTS, name, "answers.jsonl.gz"), kept.experiment);
      const { rates, differences, claims, sameArm } = summarize(kept.experiment, kept.matrix, measured);
      const plain = JSON.parse(JSON.stringify({ rates, differences, claims, sameArm })) as unknown;
      expect(plain).toEqual({
        rates: kept.rates,
        differences: kept.differences,
        claims: kept.claims,
        sameArm: kept.sameArm,
      });
    },
  );

  it.each(["cheese-smollm2", "agentic-smollm2"])("%s: one seed claims nothing", (name) => {
    const { claims, experiment } = readRecord(name);
    expect(experiment.seeds.length).toBe(1);
    expect(claims.every(({ holds }) => holds === null)).toBe(true);
  });

  it.each(["cheese-miniature", "cheese-miniature-ablation", "cheese-smollm2", "agentic-smollm2"])(
    "%s: no interval of no width, none outside what a share can be",
    (name) => {
      const { rates, experiment } = readRecord(name);
      for (const { estimate, overSeeds, outcome, evaluation } of rates) {
        const { task } = experiment.evaluations.find((one) => one.name === evaluation)!.settings;
        const [least, most] = taskByName(task).ranges?.[outcome] ?? [0, 1];
        for (const { low, high } of [estimate, overSeeds]) {
          if (low === null || high === null) continue;
          expect(high - low).toBeGreaterThan(0);
          expect(low).toBeGreaterThanOrEqual(least);
          expect(high).toBeLessThanOrEqual(most);
        }
      }
    },
  );
});
