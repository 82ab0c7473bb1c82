/**
 * @file Variants of a spec as arms: what the recorded report says, and that the files for real models plan without
 * model or network.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { readExperiment } from "../../src/experiment/file.js";
import { hashInputs } from "../../src/experiment/inputs.js";
import { buildMatrix } from "../../src/experiment/matrix.js";
import type { ExperimentRecord } from "../../src/experiment/record.js";
import { runCli, scratchFolder } from "../cli/run.js";

const EXPERIMENTS = fileURLToPath(new URL("../../experiments", import.meta.url));
const scratch = scratchFolder();

describe("the recorded ablation of the miniature", () => {
  const recorded = JSON.parse(
    readFileSync(join(EXPERIMENTS, "reports", "cheese-miniature-ablation", "results.json"), "utf8"),
  ) as ExperimentRecord;

  it("is of the settings, the model and the texts that ship", async () => {
    const experiment = readExperiment(join(EXPERIMENTS, "cheese-miniature-ablation.yaml"));
    const { jobs } = buildMatrix(experiment, "runs", await hashInputs(experiment, () => undefined));
    expect(recorded.matrix.jobs.map(({ id }) => id)).toEqual(jobs.map(({ id }) => id));
  });

  it("shows reasons above sub-rules of the same length, and not above the rules alone", () => {
    const above = (b: string) =>
      recorded.differences.find(
        (one) => one.a === "msm:rules-reasons+aft" && one.b === b && one.slice === "split heldout",
      )!;
    const subrules = above("msm:rules-subrules+aft");
    expect(subrules.estimate).toMatchObject({ seeds: 10 });
    expect(subrules.estimate.low).toBeGreaterThan(0);
    const rules = above("msm:rules+aft");
    expect(rules.estimate.low).toBeLessThan(0);
    expect(rules.estimate.high).toBeGreaterThan(0);
  });
});

describe("variants on a real model", () => {
  it.each([
    ["cheese-ablation", ["rules", "rules-reasons", "rules-subrules"]],
    ["cheese-general", ["general", "specific"]],
  ])("%s is planned with neither model nor network, the variants at one dose", async (name, variants) => {
    const args = ["run", join(EXPERIMENTS, `${name}.yaml`), "--plan", "--out", join(scratch, name)];
    const { code, stdout, stderr } = await runCli(args, {
      env: { HF_HOME: join(scratch, "empty"), HF_HUB_OFFLINE: "1" },
    });
    expect(code, stderr).toBe(0);
    for (const variant of variants) {
      expect(stdout).toMatch(new RegExp(`train ${variant} +1 x +100 steps +204,800 tokens`));
      expect(stdout).toMatch(new RegExp(`train ${variant}\\+aft +1 x`));
    }
  });
});
