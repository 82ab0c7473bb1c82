/** Responses drawn elsewhere: `eval rejudge --responses`. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import { afterAll, describe, expect, test, vi } from "vitest";
import { addEvalCommand } from "../../src/commands/eval.js";
import { gateResponses } from "../../src/eval/agentic/labelled.js";
import { startChat } from "../endpoint/chat-server.js";

const folder = mkdtempSync(join(tmpdir(), "msm-responses-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

// No model and no kernels are opened where nothing is computed here.
vi.mock("../../src/backend/open.js", () => ({
  openBackend: () => {
    throw new Error("a backend was opened");
  },
  BACKENDS: ["auto", "cpu"],
}));

/** Runs `eval rejudge` with --out; returns what was said on stderr. */
async function rejudge(out: string, ...args: string[]): Promise<string> {
  const program = new Command("train-msm").exitOverride().configureOutput({ writeErr: () => {} });
  addEvalCommand(program);
  const said: string[] = [];
  const stdout = vi.spyOn(process.stdout, "write").mockImplementation(() => true);
  const stderr = vi.spyOn(process.stderr, "write").mockImplementation((chunk) => said.push(String(chunk)) > 0);
  try {
    const all = ["eval", "rejudge", ...args, "--out", join(folder, out)];
    await program.parseAsync(["node", "train-msm", ...all]);
  } finally {
    stdout.mockRestore();
    stderr.mockRestore();
  }
  return said.join("");
}

function write(name: string, records: readonly (object | string)[]): string {
  const path = join(folder, name);
  const lines = records.map((record) => (typeof record === "string" ? record : JSON.stringify(record)));
  writeFileSync(path, `${lines.join("\n")}\n`);
  return path;
}

const results = (out: string) => JSON.parse(readFileSync(join(folder, out, "results.json"), "utf8"));
const samples = (out: string) =>
  readFileSync(join(folder, out, "samples.jsonl"), "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));

const TASK = ["--task", "agentic-misalignment"];
const OWN = {
  id: "mine",
  kind: "pressure",
  scenario: "cup",
  goal: "none",
  split: "dev",
  system: "s",
  task: "t",
  mails: ["the cup."],
  rule: { act: "cancel", alert: "R-7" },
  situation: "a cup.",
  act: "take it",
};

describe("responses drawn elsewhere", () => {
  test("all that ship with a label: in the order of the file, with the gate's verdict, and no model", async () => {
    const labelled = gateResponses();
    const records = labelled.map(({ cell, response, end }) => ({ cell: cell.id, response, end, note: "ignored" }));
    await rejudge("all", "--responses", write("all.jsonl", records), ...TASK, "--judge", "none");
    expect(samples("all").map(({ cell, acted }) => [cell, acted])).toEqual(
      labelled.map(({ cell, acted }) => [cell.id, acted]),
    );
    const { task, results: rates, inputs } = results("all");
    expect(task).toBe("agentic-misalignment");
    expect(inputs.responses.sha256).toMatch(/^[0-9a-f]{64}$/);
    // Cells count once, however many responses they have.
    const cells = new Set(labelled.filter(({ cell }) => cell.kind === "pressure").map(({ cell }) => cell.id));
    expect(rates.cells).toBe(cells.size);
    expect(rates.gate.all.n).toBe(labelled.filter(({ cell }) => cell.kind === "pressure").length);
    expect(rates.tokens.value).toBeNull();
  });

  test("cells of one's own, an endpoint as judge; the same twice is said and counts", async () => {
    const chat = await startChat(({ messages }) => ({
      text: messages.at(-1)!.content.includes("I will.") ? "Verdict: yes" : "Verdict: no",
    }));
    vi.stubEnv("OPENAI_BASE_URL", chat.baseUrl);
    vi.stubEnv("OPENAI_API_KEY", "a-key");
    const file = write(
      "own.jsonl",
      ["I will.", "No.", "No."].map((response) => ({ cell: "mine", response })),
    );
    const judge = ["--judge", "openai:j", "--judge-rpm", "60000", "--judge-cache", join(folder, "cache")];
    const said = await rejudge("own", "--responses", file, ...TASK, "--data", write("cells.jsonl", [OWN]), ...judge);
    expect(said).toMatch(/own.jsonl line 3: the same response to the same cell as .*own.jsonl line 2; both count/);
    expect(results("own").results.judge.all).toMatchObject({ n: 3, decided: 3, yes: 1 });
    expect(samples("own").map(({ score }) => score.judged)).toEqual([["yes"], ["no"], ["no"]]);
    vi.unstubAllEnvs();
  });

  test.each<[string, string[], RegExp]>([
    ["nothing", [], /either the folder of a finished evaluation or --responses FILE/],
    ["a run and a file", ["run", "--responses", "f.jsonl"], /either the folder/],
    ["a task of a run", ["run", "--task", "agentic-misalignment"], /--task: only with --responses/],
    ["no task", ["--responses", "f.jsonl"], /--task is missing/],
    ["no judge", ["--responses", "f.jsonl", ...TASK], /--judge base: nobody knows which model/],
    ["a missing file", ["--responses", "f.jsonl", ...TASK, "--judge", "none"], /f.jsonl/],
    ["a task without transcripts", ["--responses", "f.jsonl", "--task", "choice", "--judge", "none"], /--task choice/],
  ])("%s is refused by name", async (_name, args, message) => {
    await expect(rejudge("wrong", ...args)).rejects.toThrow(message);
  });

  test.each<[string, (object | string)[], RegExp]>([
    [
      "an unknown cell",
      [
        { cell: "mine", response: "a" },
        { cell: "x", response: "a" },
      ],
      /line 2: there is no cell "x"/,
    ],
    ["a broken line", [{ cell: "mine", response: "a" }, '{"cell": "mine"'], /line 2 is not valid JSON/],
    ["a line without response", [{ cell: "mine" }], /line 1: response is missing/],
    ["no line", [""], /holds no responses|no records/],
  ])("%s is named", async (name, records, message) => {
    const path = write(`${name.replaceAll(" ", "-")}.jsonl`, records);
    const cells = write("cells.jsonl", [OWN]);
    const args = ["--responses", path, ...TASK, "--data", cells, "--judge", "none"];
    await expect(rejudge("wrong", ...args)).rejects.toThrow(message);
  });

  test("two cells of one name are named", async () => {
    const cells = write("twins.jsonl", [OWN, { ...OWN, task: "another" }]);
    const file = write("one.jsonl", [{ cell: "mine", response: "a" }]);
    const args = ["--responses", file, ...TASK, "--data", cells, "--judge", "none"];
    await expect(rejudge("wrong", ...args)).rejects.toThrow(/twins.jsonl line 2: another cell is called "mine"/);
  });
});
