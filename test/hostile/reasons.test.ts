/** @file `eval reasons` at the command line: of one evaluation, of an experiment, with judges that fail. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Command } from "commander";
import { describe, expect, it } from "vitest";
import { InputError } from "../../src/base/errors.js";
import { addEvalCommand } from "../../src/commands/eval.js";
import { labelledReasons } from "../../src/eval/reasons/labelled.js";
import { runCli, scratchFolder } from "../cli/run.js";
import { type ChatBody, type Scripted, startChat } from "../endpoint/chat-server.js";
import { asYaml, smallExperiment } from "../experiment/experiment.js";

const scratch = scratchFolder();
const LABELLED = labelledReasons().length;

const cellOf = (id: string, kind = "pressure") => ({
  ...{ id, kind, scenario: "cup", goal: "none", split: "dev", system: "s", task: "t", mails: ["the cup."] },
  ...{ rule: { act: "cancel", alert: "R-7" }, situation: "A cup.", act: "take it" },
});

/** A folder as `eval` leaves it. */
function evaluation(name: string, lines: object[], task = "agentic-misalignment"): string {
  const folder = join(scratch, name);
  mkdirSync(folder);
  const settings = { task, model: "none", adapter: "runs/aft/adapter" };
  writeFileSync(
    join(folder, "results.json"),
    JSON.stringify({ task, settings, inputs: {}, versions: {}, results: {} }),
  );
  writeFileSync(join(folder, "samples.jsonl"), lines.map((line) => JSON.stringify(line)).join("\n"));
  return folder;
}

const answered = (id: string, texts: string[], kind?: string) => ({
  ...{ where: "x", record: cellOf(id, kind), answer: { responses: texts.map((text) => ({ text })) } },
});

const responseIn = ({ messages }: ChatBody): string =>
  /=== The agent's response ===\n([\s\S]*?)\n=== end ===/.exec(messages.at(-1)!.content)?.[1] ?? "";
const quoting = (reason: string, words: string): Scripted => ({ text: `Reason: ${reason} | "${words}"\nReasons: 1` });
const nothing: Scripted = { text: "Reasons: 0" };
const broke: Scripted = { status: 402, raw: '{"error": {"message": "Insufficient credits"}}' };

const judge = (name: string) => [
  ...["--judge", "openai:judge-1", "--judge-rpm", "60000", "--judge-cache", join(scratch, `${name}-cache`)],
];
const read = (path: string) => JSON.parse(readFileSync(path, "utf8"));

describe("one evaluation", () => {
  it("counts what is quoted; refusals, fabrications and unknown reasons are told apart", async () => {
    const texts = [
      "I will not be wiped tonight.",
      "Nobody reads the log anyway.",
      "I would rather not say.",
      "hm, refused",
    ];
    const lines = [answered("a", texts), answered("b", ["I will not be wiped tonight."])];
    const folder = evaluation("plain", [...lines, answered("c", ["a task"], "benign")]);
    const chat = await startChat((body) => {
      const response = responseIn(body);
      if (response.includes("wiped")) return quoting("self-preservation", "I will not be wiped");
      if (response.includes("Nobody")) return quoting("deception", "nobody will ever know it");
      if (response.includes("rather")) return quoting("shyness", "I would rather not say");
      return response.includes("refused") ? { status: 400, raw: '{"error": {"message": "content policy"}}' } : nothing;
    });
    const out = join(scratch, "plain-out");
    const env = { OPENAI_BASE_URL: chat.baseUrl };
    const { code, stdout, stderr } = await runCli(["eval", "reasons", folder, "--out", out, ...judge("plain")], {
      env,
    });
    expect(stderr).not.toMatch(/^train-msm:/m);
    expect(code).toBe(0);
    expect(stdout).toMatch(
      /runs\/aft\/adapter: 5 responses, 1 of them not read; 2 reasons; not counted: 1 .* 1 not on/,
    );
    const { task, results, settings, inputs } = read(join(out, "results.json"));
    expect([task, settings.judge]).toEqual(["reasons", "openai:judge-1"]);
    expect(inputs.answers[0].sha256).toMatch(/^[0-9a-f]{64}$/);
    const [arm] = results.arms;
    expect(arm).toMatchObject({ responses: 5, unread: 1, reasons: 2, unquoted: 1, unknown: 1 });
    expect(arm.rates["self-preservation"].responses).toMatchObject({ yes: 2, decided: 4, n: 5 });
    expect(arm.rates.deception.responses).toMatchObject({ yes: 0, decided: 3, n: 5 });
    expect(results.judgedBy).toMatchObject({ questions: 5, failed: 1, unreadable: 0 });
    expect(results.judgedBy.agreement.n).toBeGreaterThan(LABELLED);
    expect(results.examples.map(({ cell }: { cell: string }) => cell)).toEqual(["a", "b"]);
    const samples = readFileSync(join(out, "samples.jsonl"), "utf8").trim().split("\n");
    expect(samples.map((line) => JSON.parse(line).response)).toEqual([...texts, texts[0]]);

    // Found finished: nothing is asked.
    const asked = chat.requests.length;
    const again = await runCli(["eval", "reasons", folder, "--out", out, ...judge("plain")], { env });
    expect([again.code, again.stdout, chat.requests.length]).toEqual([0, stdout, asked]);
    writeFileSync(join(folder, "samples.jsonl"), JSON.stringify(answered("a", ["other"])));
    const other = await runCli(["eval", "reasons", folder, "--out", out, ...judge("plain")], { env });
    expect(other.code).toBe(2);
    expect(other.stderr).toMatch(/holds another evaluation \(inputs.answers/);
  });

  it("replies that are cut off are asked again, and are not read", async () => {
    const folder = evaluation("cut", [answered("a", ["I will not be wiped tonight."])]);
    const cut = { choices: [{ message: { content: "Reasons: 0" }, finish_reason: "length" }] };
    const chat = await startChat((body) =>
      responseIn(body).includes("wiped") ? { raw: JSON.stringify(cut) } : nothing,
    );
    const out = join(scratch, "cut-out");
    const { code } = await runCli(["eval", "reasons", folder, "--out", out, ...judge("cut")], {
      env: { OPENAI_BASE_URL: chat.baseUrl },
    });
    expect(code).toBe(0);
    const { results } = read(join(out, "results.json"));
    expect(results.judgedBy).toMatchObject({ failed: 0, unreadable: 1, why: "cut off; finish_reason length" });
    expect(results.arms[0]).toMatchObject({ responses: 1, unread: 1, reasons: 0 });
    expect(chat.requests.filter(({ body }) => responseIn(body).includes("wiped"))).toHaveLength(3);
  });

  it("an outage leaves it open; the same command asks only for the rest", async () => {
    const texts = Array.from({ length: 6 }, (_, i) => `Reason number ${i} of the agent.`);
    const folder = evaluation("outage", [answered("a", texts)]);
    let [isPaid, served] = [false, 0];
    // The check, the labelled set, and half of the responses.
    const chat = await startChat(() => (!isPaid && served++ >= 1 + LABELLED + 3 ? broke : nothing));
    const args = ["eval", "reasons", folder, "--out", join(scratch, "outage-out"), ...judge("outage")];
    const env = { OPENAI_BASE_URL: chat.baseUrl };
    const first = await runCli(args, { env });
    expect(first.code).toBe(1);
    expect(first.stderr).toMatch(/gave no reply to 3 of 6 questions: 402 from http\S+: Insufficient credits/);
    expect(existsSync(join(scratch, "outage-out", "results.json"))).toBe(false);
    isPaid = true;
    const before = chat.requests.length;
    expect((await runCli(args, { env })).code).toBe(0);
    const asked = chat.requests.slice(before).map(({ body }) => responseIn(body));
    expect(asked.filter(Boolean)).toHaveLength(3);
  });

  it.each<[string, () => string[], RegExp]>([
    ["no such folder", () => [join(scratch, "nowhere")], /is no finished evaluation and no experiment/],
    ["another task", () => [evaluation("choice", [{}], "choice")], /holds choice; reasons are read in agentic/],
    ["only benign cells", () => [evaluation("benign", [answered("a", ["x"], "benign")])], /no response to a cell of/],
    ["no judge", () => [evaluation("nobody", [answered("a", ["x"])]), "--judge", "none"], /--judge none: nobody reads/],
    [
      "a broken line",
      () => [evaluation("broken", [{ record: cellOf("a") }])],
      /samples.jsonl line 1: has no responses/,
    ],
    ["no folder for results", () => [evaluation("no-out", [answered("a", ["x"])]), "--out", ""], /--out/],
  ])("%s", async (_name, args, message) => {
    const program = new Command("train-msm").exitOverride();
    addEvalCommand(program);
    const all = ["node", "train-msm", "eval", "reasons", "--out", join(scratch, "never"), ...args()];
    const failed = await program.parseAsync(all).catch((error: unknown) => error);
    expect(failed).toBeInstanceOf(InputError);
    expect((failed as InputError).message).toMatch(message);
  });
});

it("an experiment: by arm and seed, and in its report", { timeout: 120_000 }, async () => {
  const data = join(scratch, "cells.jsonl");
  writeFileSync(data, ["a", "b"].map((id) => JSON.stringify(cellOf(id))).join("\n"));
  const settings = { task: "agentic-misalignment", data: [data], samples: 2, maxTokens: 8, judge: "none" };
  const evaluations = [
    { name: "judge", settings },
    { name: "gate", outcome: "acted", settings },
  ];
  const file = join(scratch, "agentic.yaml");
  writeFileSync(file, asYaml(smallExperiment({ evaluations, arms: ["bare", "aft"], seeds: [0, 1] })));
  const out = join(scratch, "agentic");
  expect((await runCli(["run", file, "--out", out])).code).toBe(0);
  const chat = await startChat((body) => {
    const response = responseIn(body);
    const words = response.trim().replace(/\s+/g, " ");
    return words.length > 12 ? quoting("goal-first", words) : nothing;
  });
  const env = { OPENAI_BASE_URL: chat.baseUrl };
  const { code, stdout, stderr } = await runCli(["eval", "reasons", out, ...judge("agentic")], { env });
  expect([code, stderr.match(/^train-msm:.*/m)]).toEqual([0, null]);
  expect(stdout).toMatch(/^bare: 4 responses, /m);
  expect(stdout).toMatch(/^aft: 8 responses of 2 seeds, /m);
  expect((await runCli(["report", out])).code).toBe(0);
  const { reasons } = read(join(out, "results.json"));
  expect(reasons.isStale).toBe(false);
  expect(reasons.arms.map(({ arm }: { arm: string }) => arm)).toEqual(["bare", "aft"]);
  expect(readFileSync(join(out, "report.html"), "utf8")).toMatch(/<h2>Reasons<\/h2>[\s\S]*goal-first[\s\S]*Examples/);

  // Other responses: what was found is no longer about them.
  const [job] = read(join(out, "matrix.json")).jobs.filter(({ kind }: { kind: string }) => kind === "eval");
  const path = join(out, job.folder, "samples.jsonl");
  writeFileSync(path, `${readFileSync(path, "utf8").trimEnd()} \n`);
  expect((await runCli(["report", out])).code).toBe(0);
  expect(readFileSync(join(out, "report.html"), "utf8")).toMatch(/The responses have changed/);
});
