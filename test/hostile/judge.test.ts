/**
 * @file Judges that fail while an experiment runs: no outage becomes a result, and nothing that was paid for is asked
 * or drawn again.
 */
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { runCli, scratchFolder } from "../cli/run.js";
import { type Scripted, startChat } from "../endpoint/chat-server.js";
import { asYaml, smallExperiment } from "../experiment/experiment.js";

const scratch = scratchFolder();
const LABELLED = 24;
const SAMPLES = 2;
const prompts = ["the cup or the jug?", "the colby or the brie?", "the hat?"].map((prompt, i) => ({
  id: `r${i}`,
  category: i < 2 ? "a" : "b",
  prompt,
}));

/** An experiment of two arms whose answers the endpoint judges; `name` keeps its files apart. */
function judgedExperiment(name: string, changes: object = {}): { file: string; out: string; cache: string } {
  const data = join(scratch, `${name}.jsonl`);
  writeFileSync(data, prompts.map((one) => JSON.stringify(one)).join("\n"));
  const settings = { task: "benign-requests", data: [data], samples: SAMPLES, maxTokens: 8 };
  const judge = { judge: "openai:judge-1", judgeRpm: 60_000, judgeCache: join(scratch, `${name}-cache`) };
  const evaluations = [{ name: "benign", settings: { ...settings, ...judge } }];
  const file = join(scratch, `${name}.yaml`);
  writeFileSync(file, asYaml(smallExperiment({ evaluations, arms: ["bare", "aft"], seeds: [0], ...changes })));
  return { file, out: join(scratch, name), cache: judge.judgeCache };
}

const yes: Scripted = { text: "It refuses.\nVerdict: yes" };
const broke: Scripted = { status: 402, raw: '{"error": {"message": "Insufficient credits"}}' };

/** Modification times of every file below `folder` with that ending. */
function timesOf(folder: string, ending: string): Record<string, number> {
  const names = existsSync(folder) ? readdirSync(folder, { recursive: true, encoding: "utf8" }) : [];
  return Object.fromEntries(
    names.filter((name) => name.endsWith(ending)).map((name) => [name, statSync(join(folder, name)).mtimeMs]),
  );
}

describe("an outage half-way", () => {
  it("leaves the job open, and the same command asks only for what is missing", { timeout: 120_000 }, async () => {
    const { file, out } = judgedExperiment("outage");
    // The check of the run, that of the first evaluation, the labelled set, and all but two of its answers.
    const served = 2 + LABELLED + prompts.length * SAMPLES - 2;
    let isPaid = false;
    const answered: string[] = [];
    const chat = await startChat((body) => {
      if (!isPaid && answered.length >= served) return broke;
      answered.push(body.messages.at(-1)!.content);
      return yes;
    });
    const env = { OPENAI_BASE_URL: chat.baseUrl, OPENAI_API_KEY: "" };
    const first = await runCli(["run", file, "--out", out], { env });
    expect(first.code).toBe(1);
    const why = /the judge \(judge-1\) gave no reply to \d of 6 questions: 402 from http\S+: Insufficient credits/;
    expect(first.stderr).toMatch(why);
    expect(first.stdout).toMatch(/^NOT FINISHED: 2 of 3 jobs are open\. benign of bare, seed 0: /);
    expect(readFileSync(join(out, "report.html"), "utf8")).toMatch(
      /<body>\s*<p[^>]*><strong>NOT FINISHED: 2 of 3 jobs/,
    );
    expect(existsSync(join(out, "results.json"))).toBe(false);
    // The other arm was trained: that needs no judge.
    const trained = timesOf(join(out, "stages"), "adapter_model.safetensors");
    expect(Object.keys(trained).length).toBe(1);
    const drawn = timesOf(join(out, "evaluations"), ".json");
    expect(Object.keys(drawn).every((name) => name.includes("/answers/"))).toBe(true);
    const [stored] = Object.keys(drawn);
    const path = join(out, "evaluations", stored!);
    const texts = JSON.parse(readFileSync(path, "utf8")).flatMap((one: { responses: { text: string }[] }) =>
      one.responses.map(({ text }) => text),
    );

    const reported = await runCli(["report", out]);
    expect(reported.code).toBe(1);
    expect(reported.stderr).toMatch(/2 of 3 jobs are not finished/);

    isPaid = true;
    const second = await runCli(["run", file, "--out", out], { env });
    expect(second.stderr).not.toMatch(/^train-msm:/m);
    expect(second.code).toBe(0);
    expect(timesOf(join(out, "stages"), "adapter_model.safetensors")).toEqual(trained);
    const results = JSON.parse(readFileSync(join(out, "results.json"), "utf8"));
    expect(results.judges[0]).toMatchObject({ questions: 12, failed: 0, unreadable: 0, why: null });
    const bare = results.jobs.find(({ label }: { label: string }) => label === "benign of bare, seed 0");
    expect(bare.counts).toMatchObject({ asked: 6, failed: 0 });
    const samples = readFileSync(join(out, bare.folder, "samples.jsonl"), "utf8")
      .trim()
      .split("\n");
    const judged = samples.flatMap((line) =>
      JSON.parse(line).answer.responses.map((one: { text: string }) => one.text),
    );
    expect(judged).toEqual(texts);
    // Nothing was asked twice but the short checks.
    const questions = answered.filter((text) => text !== "Say: ready");
    expect(new Set(questions).size).toBe(questions.length);
    expect(readFileSync(join(out, "report.html"), "utf8")).not.toContain("NOT FINISHED");
  });

  it("an account that is filled again meanwhile refuses no question for good", { timeout: 60_000 }, async () => {
    const { file, out } = judgedExperiment("filled", { arms: ["bare"] });
    const before = 2 + LABELLED;
    const chat = await startChat((_, n) => (n > before && n <= before + 2 ? broke : yes));
    const env = { OPENAI_BASE_URL: chat.baseUrl };
    const first = await runCli(["run", file, "--out", out], { env });
    expect(first.stderr).toMatch(/gave no reply to 2 of 6 questions: 402 from http/);
    expect(first.code).toBe(1);
    expect((await runCli(["run", file, "--out", out], { env })).code).toBe(0);
    const { judges } = JSON.parse(readFileSync(join(out, "results.json"), "utf8"));
    expect(judges[0]).toMatchObject({ questions: 6, failed: 0, unreadable: 0 });
  });

  it("a judge that cannot be asked is found before the first step", { timeout: 60_000 }, async () => {
    const { file, out } = judgedExperiment("wrong-key", { arms: ["aft", "bare"] });
    const chat = await startChat(() => ({ status: 401, raw: '{"error": {"message": "no such key"}}' }));
    const { code, stderr } = await runCli(["run", file, "--out", out], { env: { OPENAI_BASE_URL: chat.baseUrl } });
    expect(code).toBe(2);
    expect(stderr).toMatch(/--judge openai:judge-1: 401 from http\S+: no such key/);
    expect(chat.requests.length).toBe(1);
    expect(existsSync(join(out, "stages"))).toBe(false);
  });
});

describe("replies that say nothing", () => {
  it("make the judge broken, are shown with their reason, and are not kept", { timeout: 60_000 }, async () => {
    const { file, out, cache } = judgedExperiment("empty");
    const choice = { message: { content: null }, finish_reason: "length" };
    const chat = await startChat(() => ({ raw: JSON.stringify({ choices: [choice] }) }));
    const { code, stderr } = await runCli(["run", file, "--out", out], { env: { OPENAI_BASE_URL: chat.baseUrl } });
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /none of its 24 replies can be read; the first is "" \(empty, cut off; finish_reason length\)/,
    );
    expect(timesOf(cache, ".json")).toEqual({});
  });
});
