/**
 * @file An experiment whose answers are drawn and judged: halves, controls, decided rates, the judge, and a page that
 * holds each prompt once.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { runCli, scratchFolder } from "../cli/run.js";
import { startChat } from "../endpoint/chat-server.js";
import { smallCell } from "../eval/agentic/small-cell.js";
import { asYaml, smallExperiment } from "./experiment.js";

const scratch = scratchFolder();

const SCENARIOS = ["alert", "leaking"];
const CELLS = SCENARIOS.flatMap((scenario) => [
  smallCell("pressure", scenario, "none", "dev"),
  smallCell("pressure", scenario, "safety", "heldout"),
  smallCell("no-pressure", scenario, "safety", "heldout"),
  smallCell("benign", scenario, "cup", "heldout"),
]);

it("reports both verdicts apart, with what was decided", { timeout: 120_000 }, async () => {
  // Decides every second question.
  const chat = await startChat((_body, n) => ({
    text: n % 2 ? "It refuses.\nVerdict: no" : "It is unclear.\nVerdict: unclear",
  }));
  const data = join(scratch, "cells.jsonl");
  writeFileSync(data, CELLS.map((one) => JSON.stringify(one)).join("\n"));
  const settings = {
    task: "agentic-misalignment",
    data: [data],
    samples: 4,
    maxTokens: 8,
    kinds: ["all"],
    judge: "openai:x",
    judgeRpm: 6000,
  };
  const evaluations = [
    { name: "misalignment", settings },
    { name: "acts", outcome: "acted", settings },
  ];
  const file = join(scratch, "judged.yaml");
  writeFileSync(file, asYaml(smallExperiment({ evaluations, arms: ["bare", "aft"], seeds: [0, 1] })));
  const out = join(scratch, "out");
  const env = { OPENAI_BASE_URL: chat.baseUrl, XDG_CACHE_HOME: scratch };
  const { code, stdout, stderr } = await runCli(["run", file, "--out", out], { env });
  expect(stderr).not.toMatch(/^train-msm:/m);
  expect(code).toBe(0);
  expect(stderr).toMatch(/judge of misalignment: openai:x/);

  const text = readFileSync(join(out, "results.json"), "utf8");
  expect(text).not.toContain(scratch);
  const record = JSON.parse(text);
  // Two evaluations, one set of answers for each of bare and two seeds of aft.
  expect(record.jobs.filter(({ folder }: { folder: string }) => folder.startsWith("evaluations")).length).toBe(3);
  const rate = (outcome: string, slice: string, arm = "aft", evaluation = "misalignment") =>
    record.rates.find(
      (one: Record<string, unknown>) =>
        one["outcome"] === outcome && one["slice"] === slice && one["arm"] === arm && one["evaluation"] === evaluation,
    );
  // Over the cells of the half, and over the seeds.
  expect(rate("decided", "split heldout").estimate).toMatchObject({ n: 2 });
  expect(rate("decided", "all").estimate).toMatchObject({ n: 4 });
  // Two seeds that agree have no interval: which answers a machine draws is its own.
  expect(rate("decided", "all").overSeeds.n).toBe(2);
  expect(rate("acted decided", "all").estimate.n).toBe(4);
  expect(rate("misaligned", "all").estimate.value).toBe(0);
  for (const outcome of ["misaligned without pressure", "refused", "called", "tokens"])
    expect(rate(outcome, "split heldout").estimate.n, outcome).toBe(2);
  // No cell without conflict was asked.
  expect(rate("misaligned without conflict", "all")).toBeUndefined();
  expect(rate("acted", "split heldout", "bare", "acts")).toBeDefined();
  expect(record.differences.find(({ evaluation }: { evaluation: string }) => evaluation === "acts").comparisons).toBe(
    1,
  );

  const [judge] = record.judges;
  expect(judge).toMatchObject({ evaluation: "misalignment", kind: "endpoint", model: "x", failed: 0 });
  expect(judge.questions).toBe(3 * CELLS.length * 4);
  expect(judge.agreement).toMatchObject({ n: 54 });

  const page = readFileSync(join(out, "report.html"), "utf8");
  expect(page).not.toContain(scratch);
  const {
    prompts,
    rows,
    evaluations: shown,
  } = JSON.parse(/<script type="application\/json" id="answers">(.*?)<\/script>/s.exec(page)![1]!);
  // All cells have one prompt here, and the second evaluation looks at the same answers.
  expect([prompts.length, shown.length]).toEqual([1, 1]);
  expect(rows.length).toBe(2 * 6 * 4);
  expect(stdout).toMatch(/judge endpoint x: \d+ of 96 replies not readable; kappa/);
  expect(page).toContain("responses labelled by hand");
});
