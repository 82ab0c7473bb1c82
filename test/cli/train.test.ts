/** @file `midtrain` and `aft` from the command line to the files that scripts rely on. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { readAdapter } from "../../src/formats/adapter.js";
import {
  DOCUMENTS,
  HELDOUT,
  listFiles,
  MINIATURE,
  parseLines,
  readLog,
  runCli,
  scratchFolder,
  trainArgs,
} from "./run.js";

const scratch = scratchFolder();
const ESCAPE = "\x1b";
const RUN_FILES = [
  "adapter/adapter_config.json",
  "adapter/adapter_model.safetensors",
  "checkpoint/state.safetensors",
  "config.json",
  "lock",
  "log.jsonl",
];

test("midtrain, then aft on its adapter", async () => {
  const first = join(scratch, "midtrain");
  const second = join(scratch, "aft");
  const evaluation = ["--heldout", HELDOUT, "--eval-every", "3", "--sample-every", "6"];
  const midtrain = await runCli(trainArgs("midtrain", first, ...evaluation));
  expect(midtrain.code, midtrain.stderr).toBe(0);
  expect(midtrain.stdout).toBe("");
  expect(midtrain.stderr).not.toContain(ESCAPE);
  expect(midtrain.stderr).toMatch(/^cpu: /);
  expect(midtrain.stderr).toMatch(/^memory .*weights .*optimiser/m);
  expect(listFiles(first)).toEqual(expect.arrayContaining(RUN_FILES));
  expect(listFiles(first).filter((name) => name.endsWith(".tmp"))).toEqual([]);

  const log = readLog(first);
  const steps = log.filter(({ type }) => type === "step");
  expect(steps.map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 6]);
  for (const step of steps) {
    for (const key of ["loss", "gradNorm", "lr", "tokens", "targetTokens", "tokensPerSecond"])
      expect(step[key], key).toBeTypeOf("number");
    expect(step["targetTokens"]).toBeLessThan(step["tokens"] as number);
  }
  // With a warm-up, step 1 has rate 0.
  expect(steps[0]!["lr"]).toBe(0);
  expect(log.filter(({ type }) => type === "heldout").map(({ step }) => step)).toEqual([3, 6]);
  const samples = log.filter(({ type }) => type === "sample");
  expect(samples.length).toBeGreaterThan(0);
  for (const { prompt, text } of samples) expect([typeof prompt, typeof text]).toEqual(["string", "string"]);
  expect(log.at(-1)).toMatchObject({ type: "done", step: 6, updates: 5, skipped: 0 });

  const aft = await runCli(trainArgs("aft", second, "--adapter", join(first, "adapter")));
  expect(aft.code, aft.stderr).toBe(0);
  const before = readAdapter(join(first, "adapter"));
  const after = readAdapter(join(second, "adapter"));
  expect(after.config).toMatchObject({ r: 2, alpha: 128, targets: before.config.targets });
  expect([...after.tensors.keys()]).toEqual([...before.tensors.keys()]);
  // One peak step of AdamW moves a value by about the rate, 1e-3; an adapter that began at zero B would be far from
  // this one.
  const from = before.tensors.get("0.q")!.A;
  const to = after.tensors.get("0.q")!.A;
  const moved = Math.max(...to.map((value, i) => Math.abs(value - from[i]!)));
  expect(moved).toBeGreaterThan(0);
  expect(moved).toBeLessThan(6e-3);
});

test("config.json records every setting as resolved, versions, and hashes of all inputs", async () => {
  const out = join(scratch, "config");
  const { code, stderr } = await runCli(trainArgs("midtrain", out, "--max-steps", "1", "--targets", "q", "v"));
  expect(code, stderr).toBe(0);
  const config = JSON.parse(readFileSync(join(out, "config.json"), "utf8"));
  expect(config.command).toBe("midtrain");
  expect(config.settings).toMatchObject({
    model: MINIATURE,
    data: [DOCUMENTS],
    r: 2,
    alpha: 128,
    targets: ["q", "v"],
    seqLen: 128,
    batchSize: 2,
    lr: 1e-3,
    warmup: 0.05,
    schedule: "cosine",
    weightDecay: 0.01,
    clip: 1,
    beta1: 0.9,
    beta2: 0.999,
    eps: 1e-8,
    maxSteps: 1,
    steps: 1,
    seed: 0,
    shuffle: true,
    checkpointEvery: 50,
    dtype: "bf16",
  });
  expect(Object.keys(config.inputs.model)).toEqual(
    expect.arrayContaining(["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"]),
  );
  for (const hash of [...Object.values(config.inputs.model), config.inputs.data[0].sha256])
    expect(hash).toMatch(/^[0-9a-f]{64}$/);
  expect(config.inputs.adapter).toBeNull();
  expect(config.versions).toMatchObject({ trainMsm: expect.any(String), node: process.version, backend: "cpu" });
});

test("--plan prints the plan, for people or as one JSON object, and writes nothing", async () => {
  const out = join(scratch, "plan");
  const people = await runCli(trainArgs("midtrain", out, "--plan"));
  expect(people.code, people.stderr).toBe(0);
  for (const name of ["model", "data", "rows", "steps", "rate", "adapter", "memory", "forecast"])
    expect(people.stderr + people.stdout).toMatch(new RegExp(`^${name} `, "m"));
  const machine = await runCli(trainArgs("midtrain", out, "--plan", "--json"));
  expect(machine.code, machine.stderr).toBe(0);
  const lines = parseLines(machine.stdout);
  expect(lines.length).toBe(1);
  expect(lines[0]).toMatchObject({ type: "plan", records: 800, steps: 6, warmupSteps: 1, seqLen: 128, batchSize: 2 });
  for (const key of ["tokens", "targetTokens", "rows", "trainableParameters", "forecastSeconds"])
    expect(lines[0]![key], key).toBeTypeOf("number");
  expect(listFiles(out)).toEqual([]);
});

test("--json prints the records of log.jsonl, and nothing else on stdout", async () => {
  const out = join(scratch, "json");
  const { code, stdout, stderr } = await runCli(trainArgs("midtrain", out, "--json"));
  expect(code, stderr).toBe(0);
  const printed = parseLines(stdout).filter(({ type }) => type !== "plan");
  expect(printed).toEqual(readLog(out));
});

test("a reader of stdout that goes does not end the run", async () => {
  const out = join(scratch, "unread");
  const { code, stderr } = await runCli(trainArgs("midtrain", out, "--json", "--max-steps", "3"), {
    onStdout: (_text, child) => child.stdout?.destroy(),
  });
  expect(code, stderr).toBe(0);
  expect(existsSync(join(out, "adapter", "adapter_model.safetensors"))).toBe(true);
});

test("held-out data without a target are refused", async () => {
  const rows = join(scratch, "no-target.jsonl");
  writeFileSync(rows, '{"input_ids":[5,6,7],"labels":[5,-100,-100]}\n');
  const { code, stderr } = await runCli(trainArgs("midtrain", join(scratch, "no-target"), "--heldout", rows));
  expect(code).toBe(2);
  expect(stderr).toMatch(/--heldout .*no-target\.jsonl: no token is a target, so it has no loss/);
});

test("the same command finds the finished run, and another on its folder is refused by the setting", async () => {
  const out = join(scratch, "finished");
  await runCli(trainArgs("midtrain", out, "--max-steps", "2"));
  const log = readFileSync(join(out, "log.jsonl"), "utf8");
  const again = await runCli(trainArgs("midtrain", out, "--max-steps", "2"));
  expect(again.code, again.stderr).toBe(0);
  expect(again.stderr).toMatch(/is finished/);
  const low = join(scratch, "low.cjs");
  writeFileSync(low, "process.availableMemory = () => 513 * 2 ** 20;");
  const poor = await runCli(trainArgs("midtrain", out, "--max-steps", "2"), { nodeArgs: ["--require", low] });
  expect(poor.code, poor.stderr).toBe(0);
  expect(readFileSync(join(out, "log.jsonl"), "utf8")).toBe(log);
  for (const [more, named] of [
    [["--lr", "3e-4"], /settings\.lr was 0\.001, is 0\.0003/],
    [["--seed", "1"], /settings\.seed was 0, is 1/],
    [["--data", HELDOUT], /inputs\.data\.0 was/],
  ] as const) {
    const other = await runCli(trainArgs("midtrain", out, "--max-steps", "2", ...more));
    expect(other.code).toBe(2);
    expect(other.stderr.trim().split("\n").at(-1)).toMatch(named);
  }
  expect(readFileSync(join(out, "log.jsonl"), "utf8")).toBe(log);
});

test("rows of input_ids without shuffling: row k of the data is row k of training", async () => {
  const out = join(scratch, "rows");
  const rows = join(import.meta.dirname, "..", "fixtures", "parity", "qwen3", "trajectory", "rows.jsonl");
  const { code, stderr } = await runCli(
    trainArgs("midtrain", out, "--data", rows, "--no-shuffle", "--seq-len", "32", "--batch-size", "4"),
  );
  expect(code, stderr).toBe(0);
  const counts = readFileSync(rows, "utf8")
    .trim()
    .split("\n")
    .map((line) => (JSON.parse(line).labels as number[]).slice(1).filter((label) => label >= 0).length)
    // A record without a target makes no row.
    .filter((count) => count > 0);
  const perStep = Array.from({ length: 6 }, (_, i) => counts.slice(4 * i, 4 * i + 4).reduce((sum, n) => sum + n));
  expect(
    readLog(out)
      .filter(({ type }) => type === "step")
      .map(({ targetTokens }) => targetTokens),
  ).toEqual(perStep);
});

test("the folder of an evaluation is not taken", async () => {
  const out = join(scratch, "evaluation");
  mkdirSync(out);
  writeFileSync(join(out, "results.json"), "{}");
  const { code, stderr } = await runCli(trainArgs("midtrain", out));
  expect(code).toBe(2);
  expect(stderr).toContain(`${out} holds an evaluation: give another --out`);
});

test("a folder that no file system can make is refused at once", async () => {
  const { code, stderr } = await runCli(trainArgs("midtrain", "/proc/nowhere/run"));
  expect(code).toBe(2);
  expect(stderr).toContain("/proc/nowhere/run cannot be used as a run folder");
});
