import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Ajv2020 } from "ajv/dist/2020.js";
import { describe, expect, it, test } from "vitest";
import { packagePath } from "../../src/base/package.js";
import { MINIATURE, runCli, scratchFolder } from "../cli/run.js";
import { smallCell } from "../eval/agentic/small-cell.js";
import { asYaml, smallExperiment } from "../experiment/experiment.js";

const scratch = scratchFolder();
const SCHEMA = join(import.meta.dirname, "..", "fixtures", "inspect", "eval-log.schema.json");
const isValid = new Ajv2020({ strict: false, allErrors: true, validateFormats: false }).compile(
  JSON.parse(readFileSync(SCHEMA, "utf8")),
);
const CELLS = join(scratch, "cells.json");
writeFileSync(CELLS, JSON.stringify(["none", "safety"].map((goal) => smallCell("pressure", "rescue", goal))));
const QUESTIONS = packagePath("corpora", "miniature", "questions-affordability.jsonl");

// biome-ignore lint/suspicious/noExplicitAny: a log of any task
function logsOf(folder: string): any[] {
  return readdirSync(folder)
    .sort()
    .map((name) => JSON.parse(readFileSync(join(folder, name), "utf8")));
}

const evaluate = (name: string, task: string, ...more: string[]) => [
  ...["eval", "--model", MINIATURE, "--task", task, "--limit", "2", "--out", join(scratch, name)],
  ...["--log-dir", join(scratch, `${name}-logs`), ...more],
];

describe("--log-dir writes what Inspect reads", () => {
  test.each([
    ["choice", ["--data", QUESTIONS]],
    ["capability", []],
    ["perplexity", ["--data", packagePath("corpora", "miniature", "heldout.jsonl")]],
    ["agentic-misalignment", ["--data", CELLS, "--judge", "none", "--samples", "2", "--max-tokens", "4"]],
    ["open-values", ["--judge", "none", "--max-tokens", "4"]],
  ])("of %s", async (task, more) => {
    const { code } = await runCli(evaluate(task, task, ...more));
    expect(code).toBe(0);
    const [log] = logsOf(join(scratch, `${task}-logs`));
    isValid(log);
    expect(isValid.errors).toBeNull();
    expect(log).toMatchObject({ status: "success", eval: { task, model: "miniature", dataset: { samples: 2 } } });
    expect(log.samples).toHaveLength(2);
    const stored = readFileSync(join(scratch, task, "samples.jsonl"), "utf8").split("\n");
    expect(log.samples[1].metadata.record).toEqual(JSON.parse(stored[1]!).record);
    expect(log.results.metadata.results).toEqual(
      JSON.parse(readFileSync(join(scratch, task, "results.json"), "utf8")).results,
    );
  });

  it("with messages, options and scores of each sample; the same command writes the same file", async () => {
    const folder = join(scratch, "choice-logs");
    const before = readdirSync(folder);
    await runCli(evaluate("choice", "choice", "--data", QUESTIONS));
    expect(readdirSync(folder)).toEqual(before);
    const [{ samples, results }] = logsOf(folder);
    const { record } = samples[0].metadata;
    expect(samples[0]).toMatchObject({
      input: record.question,
      choices: [record.item1, record.item2],
      target: record.liked_item,
    });
    // The comparison, then what it says in either order.
    expect(samples[0].messages.map(({ role }: { role: string }) => role).join(" ")).toBe(
      "user assistant user assistant user assistant",
    );
    const liked = results.scores.find(({ name }: { name: string }) => name === "liked");
    const mean = (samples[0].scores.liked.value + samples[1].scores.liked.value) / 2;
    expect(liked).toMatchObject({ scored_samples: 2, unscored_samples: 0, metrics: { mean: { value: mean } } });
  });
});

test("an experiment has one log an arm, seed and evaluation", { timeout: 60_000 }, async () => {
  const file = join(scratch, "experiment.yaml");
  writeFileSync(file, asYaml(smallExperiment({ arms: ["bare", "aft"], seeds: [3, 4] })));
  const [out, logDir] = [join(scratch, "experiment"), join(scratch, "experiment-logs")];
  const { code } = await runCli(["run", file, "--out", out, "--log-dir", logDir]);
  expect(code).toBe(0);
  const logs = logsOf(logDir);
  for (const log of logs) {
    isValid(log);
    expect(isValid.errors).toBeNull();
  }
  const named = logs.map(({ metadata }) => `${metadata.arm} ${metadata.seed}`);
  expect([...new Set(named)].sort()).toEqual(["aft 3", "aft 4", "bare null"]);
  expect(logs.map((log) => log.eval.model)).toContain("miniature:aft");
});

test("a folder that cannot be made is refused before anything is measured", async () => {
  const file = join(scratch, "file");
  writeFileSync(file, "");
  const args = ["eval", "--model", MINIATURE, "--task", "capability", "--out", join(scratch, "refused")];
  const { code, stderr } = await runCli([...args, "--log-dir", join(file, "logs")]);
  expect([code, stderr]).toEqual([2, expect.stringMatching(/--log-dir .*file\/logs: cannot be made .*; name another/)]);
  expect(readdirSync(scratch)).not.toContain("refused");
});
