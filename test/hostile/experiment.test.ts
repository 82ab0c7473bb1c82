/**
 * @file Experiment files that cannot come to an end: `run --plan` says so, and so does `run`, before the first step.
 */
import { cpSync, existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { MINIATURE, PARITY, runCli, scratchFolder } from "../cli/run.js";
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

const OTHER_ADAPTER = join(PARITY, "qwen3", "adapter");
const MINIATURE_CONFIG = join(MINIATURE, "config.json");
const keptIn = (judgeCache: string) => ({ judge: "openai:gpt", judgeCache });

function writeData(name: string, text: string): string {
  const path = join(scratch, name);
  writeFileSync(path, text);
  return path;
}

function texts(text: string) {
  const data = [writeData("texts.jsonl", JSON.stringify({ text }))];
  return { name: "w", settings: { task: "perplexity", data } };
}

function longQuestion() {
  const question = `${"the colby or the brie? ".repeat(150)}\n\nChoices:\n (A) yes\n (B) no`;
  const record = { question, answer_matching_behavior: "(A)", answer_not_matching_behavior: "(B)" };
  return { name: "e", settings: { task: "multiple-choice", data: [writeData("long.jsonl", JSON.stringify(record))] } };
}

const told = (text: string) => ({
  ...choice,
  settings: { ...choice.settings, system: writeData("system.md", text) },
});

describe("a file that the run would trip over", () => {
  it.each<[string, Record<string, unknown>, RegExp]>([
    ["outcome: likd", { evaluations: [{ ...choice, outcome: "likd" }] }, /outcome likd: there is none; .*liked/],
    ["two evaluations of one name", { evaluations: [choice, choice] }, /affordability is there twice/],
    ["a judge without a key", judged({ judge: "openai:gpt" }), /--judge openai:gpt: set OPENAI_API_KEY/],
    ["a judge without a name", judged({ judge: "openai:" }), /write openai:NAME/],
    ["a judge that is not there", judged({ judge: "./no-such-folder" }), /no-such-folder/],
    ["a judge without a template", judged({ judge: withoutTemplate() }), /no chat template/],
    ["a judge without room", judged({ judge: "base" }), /evaluations\.e: --judge base: every question of the labelled/],
    ["an adapter of another model", { arms: ["bare", { name: "x", adapter: OTHER_ADAPTER }] }, /another model\?/],
    ["a text without a token to score", { evaluations: [texts("a")] }, /evaluations\.w: .*: 1 tokens are too few to/],
    ["a question that does not fit", { evaluations: [longQuestion()] }, /evaluations\.e: a prompt of at least \d+ tok/],
    ["an empty system message", { evaluations: [told("")] }, /is empty, so it is no system message/],
    ["an arm that is none", { arms: ["afft"] }, /arms\.0: "afft" is neither one of bare, .* nor \{name, /],
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

  it.each<[string, Record<string, unknown>, RegExp]>([
    ["a price that is none", judged({ judgePrice: "3", judge: "openai:gpt" }), /two prices/],
    ["a cache of replies that is a file", judged(keptIn(MINIATURE_CONFIG)), /config\.json: is no folder/],
  ])("%s, of a judge with a key", { timeout: 60_000 }, async (_name, changes, message) => {
    const withKey = { ...env, OPENAI_API_KEY: "sk-x" };
    const { code, stderr } = await runCli(["run", experimentFile(changes), "--plan", "--out", out], { env: withKey });
    expect([code, stderr]).toEqual([2, expect.stringMatching(message)]);
    expect(existsSync(out)).toBe(false);
  });

  it("aliases that stand for too much", { timeout: 60_000 }, async () => {
    const file = join(scratch, "aliases.yaml");
    const names = ["a", "b", "c", "d"].map(
      (name, i) => `${name}: &${name} [${Array(9).fill(i ? `*${"abc"[i - 1]}` : "x")}]`,
    );
    writeFileSync(file, names.join("\n"));
    const { code, stderr } = await runCli(["run", file, "--plan"], { env });
    expect([code, stderr]).toEqual([2, expect.stringMatching(/aliases\.yaml: Excessive alias count/)]);
  });

  it("a key that no header can carry is refused and not shown", { timeout: 60_000 }, async () => {
    const file = experimentFile(judged({ judge: "openai:gpt" }));
    const { code, stderr } = await runCli(["run", file, "--plan"], { env: { ...env, OPENAI_API_KEY: "sk-1\nsk-2" } });
    expect([code, stderr]).toEqual([2, expect.stringMatching(/OPENAI_API_KEY: holds a space, a line break or/)]);
    expect(stderr).not.toContain("sk-");
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
