/** @file `bench` at the command line: every measurement once, small; the same figures as lines, JSON and CSV. */
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { TEST_BACKEND } from "../backend.js";
import { MINIATURE, runCli, scratchFolder } from "./run.js";

const scratch = scratchFolder();
const texts = join(scratch, "texts.jsonl");
writeFileSync(texts, '{"text":"take the cheap one"}\n{"text":"no"}\n');

interface Figure {
  bench: string;
  model: string;
  case: string;
  value: number;
  unit: string;
  share: number | null;
}

const SMALL = [
  "--shape",
  "tiny",
  "--backend",
  TEST_BACKEND,
  "--rows",
  "1",
  "--seq-len",
  "32",
  "--steps",
  "1",
  "--batch",
  "2",
  "--r",
  "4",
];

/** The figures of `bench what` with --json. */
async function figures(what: string, args: string[]): Promise<Figure[]> {
  const { code, stdout, stderr } = await runCli(["bench", what, ...args, "--json"]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  const lines = stdout.trimEnd().split("\n");
  return lines.map((line) => JSON.parse(line) as Figure);
}

test.concurrent.each([
  ["kernels", ["attention backward [1 x 32, 4/2 x 16]", "adamw [4194304]"]],
  ["train", ["step 1 x 32, r 4", "limit of the products 1 x 32, r 4", "start to end of first step"]],
  ["decode", ["prefill batch 2", "decode batch 2"]],
  ["load", ["read of the file", "weights onto the device", "time to first step"]],
])("bench %s of a tiny shape", async (what, cases) => {
  const found = await figures(what, SMALL);
  for (const { bench, model, value } of found) {
    expect({ bench, model }).toEqual({ bench: what, model: "tiny" });
    expect(value).toBeGreaterThan(0);
  }
  expect(found.map((figure) => figure.case)).toEqual(expect.arrayContaining(cases));
});

test("the share of the limit is the speed over the limit", async () => {
  const [step, limit] = await figures("train", SMALL);
  expect(step!.share).toBeCloseTo(step!.value / limit!.value, 10);
});

test("the tokenizer needs no weights", async () => {
  const folder = join(scratch, "only-tokenizer");
  mkdirSync(folder);
  for (const file of ["tokenizer.json", "tokenizer_config.json"])
    copyFileSync(join(MINIATURE, file), join(folder, file));
  const found = await figures("tokenizer", ["--model", folder, "--data", texts]);
  expect(found.map(({ model, unit }) => [model, unit])).toEqual([
    ["only-tokenizer", "tokens/s"],
    ["only-tokenizer", "MB/s"],
  ]);
});

test("lines for people, and a CSV file that grows", async () => {
  const csv = join(scratch, "bench.csv");
  const args = ["bench", "tokenizer", "--model", MINIATURE, "--data", texts, "--csv", csv];
  const { stdout } = await runCli(args);
  expect(stdout).toMatch(/^encode +[\d.]+ tokens\/s +2 texts\nencode, bytes +[\d.]+ MB\/s/);
  await runCli(args);
  const lines = readFileSync(csv, "utf8").trimEnd().split("\n");
  expect(lines).toHaveLength(5);
  expect(lines[0]).toBe("date,machine,isa,threads,library,bench,model,dtype,case,value,unit,share,note");
  for (const line of lines.slice(1)) expect(line.split(",").length).toBeGreaterThanOrEqual(13);
});

test.concurrent.each([
  [["bench", "everything"], "bench everything: choose kernels, train, decode, load, tokenizer"],
  [["bench", "train", "--shape", "tiny", "--rows", "0"], "--rows 0: expected a whole number from 1"],
  [["bench", "load", "--model", MINIATURE], "give --shape instead of --model"],
  [["bench", "tokenizer", "--model", MINIATURE], "bench tokenizer needs --model, whose tokenizer it is, and --data"],
  [["bench", "train", "--model", join(scratch, "nowhere")], "nowhere"],
])("%j is refused", async (args, message) => {
  const { code, stderr } = await runCli(args);
  expect(code).toBe(2);
  expect(stderr).toContain(message);
});
