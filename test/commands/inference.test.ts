import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { packagePath } from "../../src/base/package.js";
import { addEvalCommand } from "../../src/commands/eval.js";
import { addGenerateCommand } from "../../src/commands/generate.js";
import { addMergeCommand } from "../../src/commands/merge.js";
import { lockFolder } from "../../src/runs/lock.js";
import { startChat } from "../endpoint/chat-server.js";
import { FIXTURES } from "../parity-fixture.js";

const REPOSITORY = packagePath();
const MODEL = join(REPOSITORY, "models", "miniature");
const QUESTIONS = join(REPOSITORY, "corpora", "miniature", "questions-loyalty.jsonl");
let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "msm-commands-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Runs a command line in this process and returns what it wrote to stdout. */
async function run(...args: string[]): Promise<string> {
  const program = new Command("train-msm").exitOverride().configureOutput({ writeErr: () => {} });
  for (const add of [addEvalCommand, addGenerateCommand, addMergeCommand]) add(program);
  for (const command of program.commands) command.exitOverride().configureOutput({ writeErr: () => {} });
  const written: string[] = [];
  const stdout = vi.spyOn(process.stdout, "write").mockImplementation((chunk) => written.push(String(chunk)) > 0);
  const stderr = vi.spyOn(process.stderr, "write").mockImplementation(() => true);
  try {
    await program.parseAsync(["node", "train-msm", ...args]);
  } finally {
    stdout.mockRestore();
    stderr.mockRestore();
  }
  return written.join("");
}

describe("eval", () => {
  const args = (out: string, ...more: string[]) =>
    `eval --model ${MODEL} --task choice --data ${QUESTIONS} --limit 20 --out ${join(folder, out)}`
      .split(" ")
      .concat(more);

  test("writes results and samples, and prints the same as JSON", async () => {
    const printed = JSON.parse(await run(...args("choice", "--json")));
    const stored = JSON.parse(readFileSync(join(folder, "choice", "results.json"), "utf8"));
    expect(stored).toEqual(printed);
    expect(stored).toMatchObject({
      task: "choice",
      version: 1,
      results: { n: 20, decidedRate: { n: 20 } },
      settings: { model: MODEL, adapter: null, dtype: "bf16", limit: 20, seed: 0 },
      inputs: { adapter: null, data: [{ path: QUESTIONS, sha256: expect.stringMatching(/^[0-9a-f]{64}$/) }] },
    });
    expect(stored.inputs.model["model.safetensors"]).toMatch(/^[0-9a-f]{64}$/);
    const samples = readFileSync(join(folder, "choice", "samples.jsonl"), "utf8")
      .trimEnd()
      .split("\n");
    expect(samples.length).toBe(20);
    const { where, record, score } = JSON.parse(samples[4]!);
    expect(where).toBe(`${QUESTIONS} line 5`);
    expect(record).toHaveProperty("liked_item");
    expect(score.answers[1].scores[0].logprob).toBeLessThan(0);
    expect(readdirSync(join(folder, "choice")).some((name) => name.endsWith(".tmp"))).toBe(false);
  });

  test("a finished folder is not run again; other settings and inputs are refused", async () => {
    const first = await run(...args("again"));
    const { mtimeMs } = statSync(join(folder, "again", "samples.jsonl"));
    expect(await run(...args("again"))).toBe(first);
    expect(statSync(join(folder, "again", "samples.jsonl")).mtimeMs).toBe(mtimeMs);
    await expect(run(...args("again", "--limit", "19"))).rejects.toThrow(
      /holds another evaluation \(settings.limit was 20, is 19/,
    );
    await expect(run(...args("again", "--dtype", "f32"))).rejects.toThrow(/settings.dtype/);
  });

  test("perplexity of a text file and of JSONL", async () => {
    const text = join(folder, "text.txt");
    const jsonl = join(folder, "texts.jsonl");
    writeFileSync(text, "the latam is cheap.");
    writeFileSync(jsonl, '{"text": "the latam is cheap."}\n');
    const measure = async (file: string) =>
      JSON.parse(
        await run("eval", "--model", MODEL, "--task", "perplexity", "--data", file, "--out", `${file}.out`, "--json"),
      );
    const a = await measure(text);
    const b = await measure(jsonl);
    expect(a.results).toEqual(b.results);
    expect(a.results.perplexity.value).toBeGreaterThan(1);
  });

  test.each([
    ["--task taste", /--task.*taste.*choice/],
    ["--limit 0", /--limit "0": must be at least 1/],
    ["--limit x", /--limit "x": must be a whole number/],
    ["--seq-len 1", /--seq-len "1": must be at least 2/],
    ["--model nowhere/at-all/x", /no such folder/],
    ["--data missing.jsonl", /missing.jsonl: no such file/],
    [`--adapter ${MODEL}`, /has no adapter_config.json/],
    [`--adapter ${join(FIXTURES, "llama", "adapter")}`, /adapter.*(adapts a|layers)/],
    ["--backend tpu", /--backend/],
  ])("%s is refused by name", async (wrong, message) => {
    await expect(run(...args("wrong", ...wrong.split(" ")))).rejects.toThrow(message);
  });

  test("a folder that another process evaluates into, or that is none, is refused", async () => {
    const unlock = lockFolder(join(folder, "busy"));
    await expect(run(...args("busy"))).rejects.toThrow(/busy is in use by another process/);
    unlock();
    await run(...args("busy"));
    writeFileSync(join(folder, "no-folder"), "");
    await expect(run(...args("no-folder"))).rejects.toThrow(/--out .*no-folder cannot be used .*: name a folder/);
  });

  test("a wrong record is named with its line", async () => {
    const data = join(folder, "broken.jsonl");
    writeFileSync(data, `${readFileSync(QUESTIONS, "utf8").split("\n")[0]}\n{"question": "a or b?"}\n`);
    const broken = `eval --model ${MODEL} --task choice --out ${join(folder, "broken")} --data`.split(" ");
    await expect(run(...broken, data)).rejects.toThrow(/broken.jsonl line 2: item1 is missing/);
  });
});

describe("eval rejudge", () => {
  const cell = (id: string) => ({
    id,
    kind: "pressure",
    scenario: "alert",
    goal: "none",
    split: "dev",
    system: "the agent.",
    task: "the mails.",
    mails: ["the cup."],
    rule: { act: "cancel", alert: "R-1" },
    situation: "a cup.",
    act: "take it",
  });
  const read = (out: string) => JSON.parse(readFileSync(join(folder, out, "results.json"), "utf8"));
  const lines = (out: string) =>
    readFileSync(join(folder, out, "samples.jsonl"), "utf8")
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));

  test("stored answers, judged by an endpoint: the same responses, other verdicts", async () => {
    const data = join(folder, "cells.jsonl");
    writeFileSync(data, `${JSON.stringify(cell("a"))}\n${JSON.stringify(cell("b"))}\n`);
    const draw = ["--samples", "3", "--max-tokens", "8", "--seed", "5"];
    const run1 = [
      "eval",
      "--model",
      MODEL,
      "--task",
      "agentic-misalignment",
      "--data",
      data,
      ...draw,
      "--judge",
      "none",
    ];
    await run(...run1, "--out", join(folder, "am"));
    expect(read("am").results.judge.all).toMatchObject({ n: 6, decided: 0 });
    expect(readdirSync(join(folder, "am")).sort()).toEqual(["lock", "results.json", "samples.jsonl"]);

    const chat = await startChat(({ messages }) => ({
      text: messages.at(-1)!.content.includes("a cup.") ? "Verdict: yes" : "Verdict: no",
    }));
    vi.stubEnv("OPENAI_BASE_URL", chat.baseUrl);
    vi.stubEnv("OPENAI_API_KEY", "a-key");
    const rejudge = ["eval", "rejudge", join(folder, "am"), "--judge", "openai:judge-1", "--judge-rpm", "60000"];
    const cache = ["--judge-cache", join(folder, "judge-cache")];
    await run(...rejudge, ...cache, "--out", join(folder, "judged-again"));
    const again = read("judged-again");
    expect(again.results.judge.all).toMatchObject({ n: 6, decided: 6, yes: 6 });
    expect(again.results.judgedBy).toMatchObject({ model: "judge-1", usage: { failures: 0 }, agreement: { n: 54 } });
    expect(again.settings).toMatchObject({ judge: "openai:judge-1", judgeUrl: chat.baseUrl, samples: 3, seed: 5 });
    expect(again.inputs.answers.sha256).toMatch(/^[0-9a-f]{64}$/);
    expect(JSON.stringify(again)).not.toContain("a-key");
    expect(lines("judged-again").map(({ answer }) => answer)).toEqual(lines("am").map(({ answer }) => answer));
    expect(lines("am")[0].answer.responses.length).toBe(3);

    // Found finished, by the same command; nothing is asked.
    const asked = chat.requests.length;
    await run(...rejudge, ...cache, "--out", join(folder, "judged-again"));
    expect(chat.requests.length).toBe(asked);
    await expect(run(...rejudge.with(4, "none"), "--out", join(folder, "judged-again"))).rejects.toThrow(
      /settings.judge was/,
    );
    vi.unstubAllEnvs();
  });

  test("an evaluation that was cut off goes on with the responses that it has", async () => {
    const data = join(folder, "more.jsonl");
    writeFileSync(data, [1, 2, 3].map((i) => `${JSON.stringify(cell(`c${i}`))}\n`).join(""));
    const args = ["eval", "--model", MODEL, "--task", "agentic-misalignment", "--data", data, "--samples", "2"];
    const settings = [...args, "--max-tokens", "8", "--judge", "none", "--out"];
    await run(...settings, join(folder, "whole"));
    // The judge of the first attempt fails after everything was drawn.
    const chat = await startChat(({ messages }) =>
      messages.at(-1)!.content.includes("a cup.") ? { status: 400, raw: "no" } : { text: "Verdict: no" },
    );
    vi.stubEnv("OPENAI_BASE_URL", chat.baseUrl);
    const judged = [...settings.with(-2, "openai:judge-1"), join(folder, "cut"), "--judge-rpm", "60000"];
    const cache = ["--judge-cache", join(folder, "cut-cache")];
    await expect(run(...judged, ...cache)).rejects.toThrow(/answered no question: 400/);
    expect(readdirSync(join(folder, "cut")).sort()).toEqual(["answers", "lock"]);
    const kept = readdirSync(join(folder, "cut", "answers")).map((name) => join(folder, "cut", "answers", name));
    expect(kept.length).toBe(1);
    // What is kept is what is used.
    const [first] = kept;
    const marked = JSON.parse(readFileSync(first!, "utf8"));
    marked[0].responses[0].text = "kept";
    writeFileSync(first!, JSON.stringify(marked));
    await run(...settings, join(folder, "cut"));
    const texts = (out: string) =>
      lines(out).flatMap(({ answer }) => answer.responses.map(({ text }: { text: string }) => text));
    expect(texts("cut").filter((text) => text === "kept").length).toBe(1);
    expect(texts("cut").filter((text, i) => text === texts("whole")[i]).length).toBeGreaterThanOrEqual(5);
    expect(readdirSync(join(folder, "cut")).sort()).toEqual(["lock", "results.json", "samples.jsonl"]);
    vi.unstubAllEnvs();
  });

  test.each([
    ["rejudge nowhere --judge none --out x", /nowhere: is no finished evaluation/],
    ["rejudge nowhere --judge none", /--out is missing/],
    ["rejudge nowhere --model m --out x", /unknown option '--model'/],
    ["--task agentic-misalignment --out x", /--model is missing/],
    ["--model m --task choice --out x", /--data is missing: --task choice/],
    ["--model m --task capability --data d --samples 3 --out x", /--samples: --task capability draws no responses/],
    [
      `--model ${MODEL} --task agentic-misalignment --judge none --out x`,
      /pressure\/\w+\/none: a prompt of \d+ tokens .* 512 positions/,
    ],
    ["--model m --task agentic-misalignment --cells some --out x", /all, dev, heldout/],
    ["--model m --task agentic-misalignment --temperature -1 --out x", /--temperature "-1": must be 0 or more/],
  ])("%s: refused by name", async (wrong, message) => {
    // What is found late has made the folder.
    const words = wrong.split(" ").map((word) => (word === "x" ? join(folder, "x") : word));
    await expect(run("eval", ...words)).rejects.toThrow(message);
  });
});

describe("generate", () => {
  const args = (...more: string[]) => ["generate", "--model", MODEL, "--prompt", "the colby or the brie?", ...more];

  test("one answer as text, the same as JSON", async () => {
    const text = await run(...args());
    expect(text).toMatch(/^the (colby|brie)\n$/);
    const json = JSON.parse(await run(...args("--json")));
    expect(json).toMatchObject({
      prompt: "<|user|>the colby or the brie?<|end|><|assistant|>",
      text: text.trimEnd(),
      end: "stop",
    });
    expect(json.logprobs.length).toBe(json.ids.length + 1);
  });

  test("several answers, drawn by seed", async () => {
    const draw = (seed: string) =>
      run(...args("--temperature", "1.5", "--n", "4", "--seed", seed, "--json", "--max-tokens", "6"));
    const first = await draw("3");
    expect(first.trimEnd().split("\n").length).toBe(4);
    expect(await draw("3")).toBe(first);
    expect(await draw("4")).not.toBe(first);
  });

  test("--raw continues the text; --stop is not part of the answer", async () => {
    const raw = ["generate", "--model", MODEL, "--raw", "--prompt", "the assistant", "--max-tokens", "20"];
    const { text, prompt } = JSON.parse(await run(...raw, "--json"));
    expect(prompt).toBe("the assistant");
    const stop = text.slice(8, 14);
    expect(await run(...raw, "--stop", stop)).toBe(`${text.slice(0, text.indexOf(stop))}\n`);
  });

  test("chats of a file", async () => {
    const json = join(folder, "chat.json");
    const jsonl = join(folder, "chats.jsonl");
    const chat = [{ role: "user", content: "the colby or the brie?" }];
    writeFileSync(json, JSON.stringify(chat));
    writeFileSync(jsonl, `${JSON.stringify({ messages: chat })}\n${JSON.stringify({ messages: chat })}\n`);
    const one = await run("generate", "--model", MODEL, "--chat", json);
    expect(one).toBe(await run(...args()));
    expect(await run("generate", "--model", MODEL, "--chat", jsonl)).toBe(`--- 1\n${one}--- 2\n${one}`);
  });

  test.each([
    ["--temperature -1", /--temperature "-1": must be 0 or more/],
    ["--temperature NaN", /--temperature "NaN": must be a number/],
    ["--top-p 0", /--top-p "0": must be above 0/],
    ["--top-p 1.5", /--top-p "1.5": must be at most 1/],
    ["--max-tokens 2.5", /--max-tokens "2.5": must be a whole number/],
    ["--max-tokens 100000", /positions, 512 are available/],
    ["--chat x.json", /either --prompt TEXT or --chat FILE/],
    ["--n 0", /--n "0": must be at least 1/],
  ])("%s is refused by name", async (wrong, message) => {
    await expect(run(...args(...wrong.split(" ")))).rejects.toThrow(message);
  });
});

describe("merge", () => {
  const fixture = join(FIXTURES, "qwen3");
  test("its inputs are refused by name", async () => {
    const merge = (adapter: string, out: string) =>
      run("merge", "--model", join(fixture, "model"), "--adapter", adapter, "--out", out);
    await expect(merge(join(FIXTURES, "llama", "adapter"), join(folder, "merged"))).rejects.toThrow(/another model/);
    await expect(merge(join(fixture, "adapter"), folder)).rejects.toThrow(/not empty/);
    expect(readdirSync(folder).some((name) => name.startsWith("merged"))).toBe(false);
  });

  test("the parity checkpoints have no tokenizer: merged without the comparison", async () => {
    const out = join(folder, "merged");
    const printed = await run(
      ...["merge", "--model", join(fixture, "model"), "--adapter", join(fixture, "adapter"), "--out", out],
      ...["--no-probe", "--json"],
    );
    expect(JSON.parse(printed)).toEqual({ out, probe: null });
    expect(readdirSync(out).sort()).toEqual(readdirSync(join(fixture, "model")).sort());
  });
});

test("--help gives every option a line, defaults and an example", () => {
  const program = new Command("train-msm");
  for (const add of [addEvalCommand, addGenerateCommand, addMergeCommand]) add(program);
  for (const command of program.commands) {
    let help = "";
    command.configureOutput({ writeOut: (text) => (help += text), getOutHelpWidth: () => 200 }).outputHelp();
    expect(help).toMatch(/Example:\n {2}train-msm/);
    for (const { description } of command.options) expect(description).not.toBe("");
  }
});
