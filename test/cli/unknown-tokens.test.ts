/** @file Tokens that the model does not have: refused by record and id wherever they are used, and only there. */
import { cpSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { asYaml, smallExperiment } from "../experiment/experiment.js";
import { MINIATURE, runCli, scratchFolder, trainArgs } from "./run.js";

const scratch = scratchFolder();
const VOCABULARY = 858;
/** The miniature's tokenizer with one token more than the embedding has rows. */
const larger = join(scratch, "larger");
/** The miniature with that tokenizer as its own. */
const model = join(scratch, "model");

beforeAll(() => {
  cpSync(MINIATURE, model, { recursive: true });
  const path = join(model, "tokenizer_config.json");
  const config = JSON.parse(readFileSync(path, "utf8"));
  config.added_tokens_decoder = { ...config.added_tokens_decoder, [VOCABULARY]: { content: "<note>", special: true } };
  writeFileSync(path, JSON.stringify(config));
  cpSync(model, larger, { recursive: true, filter: (from) => !from.endsWith(".safetensors") });
});

let files = 0;
function data(...records: object[]): string {
  const path = join(scratch, `data-${files++}.jsonl`);
  writeFileSync(path, records.map((record) => `${JSON.stringify(record)}\n`).join(""));
  return path;
}

const plain = { text: "hello there, this is the colby" };
const noted = { text: "hello <note> there" };
const NOTE = /line 2: token id 858 \("<note>"\) is not in the model, whose embedding has 858 rows/;
const chat = (content: string) => ({
  messages: [
    { role: "user", content },
    { role: "assistant", content: "colby" },
  ],
});

describe("training", () => {
  test.each([
    ["data", () => ["--data", data(plain, noted)], NOTE],
    ["the mix", () => ["--mix", data(plain, noted)], NOTE],
    ["held-out data", () => ["--heldout", data(plain, noted)], NOTE],
    ["input_ids", () => ["--data", data({ input_ids: [1, VOCABULARY] })], /line 1: token id 858 /],
    ["a label", () => ["--data", data({ input_ids: [1, 2], labels: [-100, 859] })], /line 1, a label: token id 859 /],
    ["a negative id", () => ["--data", data({ input_ids: [1, -1] })], /line 1: input_ids\[1\] = -1 is no token id/],
    ["a fraction", () => ["--data", data({ input_ids: [1, 2.5] })], /line 1: input_ids\[1\] = 2\.5 is no token id/],
    ["a negative label", () => ["--data", data({ input_ids: [1, 2], labels: [1, -2] })], /labels\[1\] = -2 is neither/],
    ["a label's fraction", () => ["--data", data({ input_ids: [1, 2], labels: [1, 0.5] })], /labels\[1\] = 0\.5 is/],
  ])("%s with a token that the model does not have is refused before anything is made", async (_, args, message) => {
    const out = join(scratch, `refused-${files++}`);
    const { code, stderr } = await runCli(trainArgs("midtrain", out, "--tokenizer", larger, ...args(), "--plan"));
    expect([code, stderr]).toEqual([2, expect.stringMatching(message)]);
    expect(existsSync(out)).toBe(false);
  });

  test("and without --plan likewise", async () => {
    const out = join(scratch, "not-made");
    const { code, stderr } = await runCli(trainArgs("midtrain", out, "--tokenizer", larger, "--data", data(noted)));
    expect([code, stderr]).toEqual([2, expect.stringMatching(/line 1: token id 858/)]);
    expect(existsSync(out)).toBe(false);
  });

  test("a token that the data never use is no error, nor one that a chat holds as text", async () => {
    const out = join(scratch, "spare");
    const chats = data(chat("the colby or the <note>?"));
    const { code, stderr } = await runCli(trainArgs("aft", out, "--tokenizer", larger, "--data", chats));
    expect([code, stderr]).toEqual([0, expect.stringContaining("adapter written")]);
  });
});

describe("asking", () => {
  const perplexity = (file: string, ...more: string[]): string[] => {
    const out = join(scratch, `eval-${files++}`);
    return ["eval", "--model", model, "--task", "perplexity", "--data", file, "--out", out, ...more];
  };

  test("eval of texts without the token works; with it the record is named", async () => {
    expect((await runCli(perplexity(data(plain)))).code).toBe(0);
    const { code, stderr } = await runCli(perplexity(data(plain, noted)));
    expect([code, stderr]).toEqual([2, expect.stringMatching(/line 2: token id 858 is not in the model/)]);
  });

  test("generate likewise", async () => {
    const ask = (text: string): string[] => [
      "generate",
      "--model",
      model,
      "--raw",
      "--prompt",
      text,
      "--max-tokens",
      "2",
    ];
    expect((await runCli(ask("hello there"))).code).toBe(0);
    const { code, stderr } = await runCli(ask("hello <note>"));
    expect([code, stderr]).toEqual([2, expect.stringMatching(/token id 858 is not in the model/)]);
  });
});

describe("an experiment", () => {
  const evaluated = (settings: object): Record<string, unknown> => ({
    ...{ model, seeds: [0], arms: ["bare", "aft"] },
    evaluations: [{ name: "asked", settings }],
  });
  const plan = async (changes: Record<string, unknown>) => {
    const file = join(scratch, `experiment-${files++}.yaml`);
    writeFileSync(file, asYaml(smallExperiment(changes)));
    return runCli(["run", file, "--plan"]);
  };

  test("is refused by its plan where an evaluation's texts have the token, by the record", async () => {
    const { code, stderr } = await plan(evaluated({ task: "perplexity", data: [data(plain, noted)] }));
    expect([code, stderr]).toEqual([2, expect.stringMatching(/evaluations\.asked: \S+ line 2: token id 858/)]);
  });

  test("is refused where the chat template writes it, and not where a question has it as text", async () => {
    const question = (prompt: string) => ({ id: "q", category: "a", prompt });
    const settings = { task: "benign-requests", judge: "none", maxTokens: 4, data: [data(question("the <note>?"))] };
    const asText = await plan(evaluated(settings));
    expect(asText.code, asText.stderr).toBe(0);
    const noting = join(scratch, "noting");
    cpSync(model, noting, { recursive: true });
    const path = join(noting, "tokenizer_config.json");
    const config = JSON.parse(readFileSync(path, "utf8"));
    writeFileSync(path, JSON.stringify({ ...config, chat_template: `<note>${config.chat_template}` }));
    const written = await plan({ ...evaluated(settings), model: noting, arms: ["bare"] });
    expect([written.code, written.stderr]).toEqual([
      2,
      expect.stringMatching(/evaluations\.asked: \S+ line 1: token id 858 \("<note>"\)/),
    ]);
  });
});
