/**
 * @file Experiment files that cannot come to an end: `run --plan` says so, and so does `run`, before the first step.
 */
import { cpSync, existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { MINIATURE, runCli, scratchFolder } from "../cli/run.js";
import { asYaml, smallExperiment } from "../experiment/experiment.js";

const scratch = scratchFolder();
const out = join(scratch, "out");
const env = { OPENAI_API_KEY: "", OPENAI_BASE_URL: "", MSM_JUDGE_PRICE: "" };
let files = 0;

function experimentFile(changes: Record<string, unknown>): string {
  const file = join(scratch, `${files++}.yaml`);
  writeFileSync(file, asYaml(smallExperiment({ seeds: [0], arms: ["aft"], ...changes })));
  return file;
}

/** The miniature as a base model. */
function withoutTemplate(): string {
  const folder = join(scratch, "base-model");
  cpSync(MINIATURE, folder, { recursive: true });
  rmSync(join(folder, "chat_template.jinja"), { force: true });
  const config = join(folder, "tokenizer_config.json");
  const { chat_template: _, ...rest } = JSON.parse(readFileSync(config, "utf8"));
  writeFileSync(config, JSON.stringify(rest));
  return folder;
}

const choice = (smallExperiment()["evaluations"] as { name: string; value: string; settings: object }[])[0]!;
const judged = (settings: object) => ({
  evaluations: [{ name: "e", settings: { task: "open-values", limit: 2, maxTokens: 8, ...settings } }],
});

describe("a file that the run would trip over", () => {
  it.each<[string, Record<string, unknown>, RegExp]>([
    ["outcome: likd", { evaluations: [{ ...choice, outcome: "likd" }] }, /outcome likd: there is none; .*liked/],
    ["two evaluations of one name", { evaluations: [choice, choice] }, /affordability is there twice/],
    ["a judge without a key", judged({ judge: "openai:gpt" }), /--judge openai:gpt: set OPENAI_API_KEY/],
    ["a judge without a name", judged({ judge: "openai:" }), /write openai:NAME/],
    ["a price that is none", judged({ judgePrice: "3", judge: "openai:gpt" }), /set OPENAI_API_KEY|two prices/],
    ["a judge that is not there", judged({ judge: "./no-such-folder" }), /no-such-folder/],
    ["a judge without a template", judged({ judge: withoutTemplate() }), /no chat template/],
    ["a judge without room", judged({ judge: "base" }), /evaluations\.e: --judge base: every question of the labelled/],
    ["seeds: [0, 0]", { seeds: [0, 0] }, /seeds 0 is there twice/],
    ["value: nobody", { evaluations: [{ ...choice, value: "nobody" }] }, /value nobody: there is none/],
    [
      "prompts that do not fit",
      judged({ judge: "none", maxTokens: 600 }),
      /evaluations\.e: a prompt of .* 512 positions/,
    ],
    ["windows that do not fit", { evaluations: [windows(4096)] }, /evaluations\.w: seqLen 4096 is more than .* 512/],
    ["thinking that the template lacks", judged({ judge: "none", thinking: "native" }), /knows no enable_thinking/],
  ])("%s", { timeout: 60_000 }, async (_name, changes, message) => {
    const { code, stderr } = await runCli(["run", experimentFile(changes), "--plan", "--out", out], { env });
    expect(stderr).toMatch(message);
    expect(code).toBe(2);
    expect(existsSync(out)).toBe(false);
  });

  it("is refused by a run as by its plan", { timeout: 60_000 }, async () => {
    const file = experimentFile({ evaluations: [{ ...choice, outcome: "likd" }] });
    const { code } = await runCli(["run", file, "--out", out], { env });
    expect([code, existsSync(out)]).toEqual([2, false]);
  });

  it("settings that a task has no use for are refused by eval too", { timeout: 60_000 }, async () => {
    const args = ["eval", "--model", MINIATURE, "--task", "capability", "--out", out, "--cells", "dev"];
    const { code, stderr } = await runCli(args, { env });
    expect([code, stderr]).toEqual([2, expect.stringMatching(/--cells: --task capability has no cells/)]);
  });
});

function windows(seqLen: number) {
  const [data] = (choice.settings as { data: string[] }).data;
  return {
    name: "w",
    settings: { task: "perplexity", data: [data!.replace(/questions-.*$/, "heldout.jsonl")], seqLen },
  };
}

it("a plan for elsewhere asks for no key", { timeout: 60_000 }, async () => {
  const file = join(import.meta.dirname, "..", "..", "experiments", "philosophy-qwen3-32b.yaml");
  const { code, stdout } = await runCli(["run", file, "--plan"], { env });
  expect(code).toBe(0);
  expect(stdout).toMatch(/judge of .*: openai:gpt-4\.1/);
});
