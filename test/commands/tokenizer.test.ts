/** @file --tokenizer: another tokenizer and chat template than the model's, in evaluation, training and generation. */
import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { MINIATURE, runCli, scratchFolder } from "../cli/run.js";

const CORPUS = join(MINIATURE, "..", "..", "corpora", "miniature");
const folder = scratchFolder();
/** A tokenizer whose template opens the answer with the user's mark. */
const other = join(folder, "other-tokenizer");
/** The model with that tokenizer as its own. */
const otherModel = join(folder, "other-model");

beforeAll(() => {
  mkdirSync(other);
  cpSync(MINIATURE, otherModel, { recursive: true });
  const config = JSON.parse(readFileSync(join(MINIATURE, "tokenizer_config.json"), "utf8"));
  const swapped = config.chat_template.replaceAll("<|assistant|>", "<|user|>");
  expect(swapped).not.toBe(config.chat_template);
  for (const to of [other, otherModel]) {
    cpSync(join(MINIATURE, "tokenizer.json"), join(to, "tokenizer.json"));
    writeFileSync(join(to, "tokenizer_config.json"), JSON.stringify({ ...config, chat_template: swapped }));
  }
});

let runs = 0;
/** results.json of `eval`, its margins beside it. */
async function evaluate(...args: string[]) {
  const out = join(folder, `eval-${runs++}`);
  const questions = join(CORPUS, "questions-loyalty.jsonl");
  const task = ["--task", "choice", "--data", questions, "--limit", "4", "--out", out, "--json"];
  const { code, stdout, stderr } = await runCli(["eval", ...task, ...args]);
  expect([code, stderr]).toEqual([0, expect.any(String)]);
  const lines = readFileSync(join(out, "samples.jsonl"), "utf8").trim().split("\n");
  return { ...JSON.parse(stdout), margins: lines.map((line) => JSON.parse(line).score.margins) };
}

describe("--tokenizer", () => {
  test("is what questions are written with, and part of what makes two evaluations the same", async () => {
    const plain = await evaluate("--model", MINIATURE);
    const given = await evaluate("--model", MINIATURE, "--tokenizer", other);
    expect(given.margins).not.toEqual(plain.margins);
    expect(given.margins).toEqual((await evaluate("--model", otherModel)).margins);
    expect(plain.inputs.tokenizer).toBeNull();
    expect(given.settings.tokenizer).toBe(other);
    expect(given.inputs.tokenizer["tokenizer_config.json"]).toMatch(/^[0-9a-f]{64}$/);
  });

  test("of a training is kept beside the adapter, and taken from there", { timeout: 60_000 }, async () => {
    const out = join(folder, "aft");
    const data = ["--data", join(CORPUS, "chats.jsonl"), "--seq-len", "64", "--batch-size", "2", "--max-steps", "1"];
    const { code } = await runCli([
      "aft",
      "--model",
      MINIATURE,
      "--tokenizer",
      other,
      ...data,
      "--r",
      "2",
      "--out",
      out,
    ]);
    expect(code).toBe(0);
    const adapter = join(out, "adapter");
    expect(readFileSync(join(adapter, "tokenizer_config.json"), "utf8")).toBe(
      readFileSync(join(other, "tokenizer_config.json"), "utf8"),
    );
    const beside = await evaluate("--model", MINIATURE, "--adapter", adapter);
    const given = await evaluate("--model", MINIATURE, "--adapter", adapter, "--tokenizer", other);
    const own = await evaluate("--model", MINIATURE, "--adapter", adapter, "--tokenizer", MINIATURE);
    expect(beside.margins).toEqual(given.margins);
    expect(beside.margins).not.toEqual(own.margins);
  });

  test("merged with its adapter, it is the only one: no template of the model is left", async () => {
    const model = join(folder, "base");
    const out = join(folder, "merged");
    cpSync(MINIATURE, model, { recursive: true });
    writeFileSync(join(model, "chat_template.jinja"), "{{ messages[0].content }}");
    const adapter = join(folder, "aft", "adapter");
    const { code, stderr } = await runCli(["merge", "--model", model, "--adapter", adapter, "--out", out]);
    expect(code, stderr).toBe(0);
    expect(existsSync(join(out, "chat_template.jinja"))).toBe(false);
    expect(existsSync(join(out, "generation_config.json"))).toBe(true);
    expect(readFileSync(join(out, "tokenizer_config.json"), "utf8")).toBe(
      readFileSync(join(other, "tokenizer_config.json"), "utf8"),
    );
  });

  test("is what a chat is generated with", async () => {
    const ask = (...args: string[]) =>
      runCli(["generate", "--prompt", "which cheese do you like?", "--max-tokens", "12", ...args]);
    const given = await ask("--model", MINIATURE, "--tokenizer", other);
    expect(given.code).toBe(0);
    expect(given.stdout).toBe((await ask("--model", otherModel)).stdout);
    expect(given.stdout).not.toBe((await ask("--model", MINIATURE)).stdout);
  });

  test("that is not there is named", async () => {
    const { code, stderr } = await runCli(
      ["generate", "--model", MINIATURE, "--prompt", "a", "--tokenizer", join(folder, "nowhere")],
      { env: { HF_HUB_OFFLINE: "1" } },
    );
    expect([code, stderr]).toEqual([2, expect.stringContaining("nowhere")]);
  });
});
