/** @file Runs that achieve nothing: refused before the first step, or ended without an adapter. */
import { cpSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { readAdapter } from "../../src/formats/adapter.js";
import { MINIATURE, parseLines, readLog, runCli, scratchFolder } from "../cli/run.js";
import { asYaml, smallExperiment } from "../experiment/experiment.js";

const scratch = scratchFolder();
const chats = join(scratch, "chats.jsonl");
const model = join(scratch, "overflowing");

beforeAll(() => {
  const chat = (i: number) => ({
    messages: [
      { role: "user", content: `${i % 10}` },
      { role: "assistant", content: "yo" },
    ],
  });
  writeFileSync(chats, Array.from({ length: 60 }, (_, i) => JSON.stringify(chat(i))).join("\n"));
  // Every weight is finite, and no loss is.
  cpSync(MINIATURE, model, { recursive: true });
  const path = join(model, "model.safetensors");
  const bytes = readFileSync(path);
  const headerBytes = Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.toString("utf8", 8, 8 + headerBytes));
  const [begin, end] = header["model.norm.weight"].data_offsets;
  for (let at = 8 + headerBytes + begin; at < 8 + headerBytes + end; at += 2) bytes.writeUInt16LE(0x7f7f, at);
  writeFileSync(path, bytes);
});

const aft = (out: string, ...more: string[]): string[] => {
  const size = ["--data", chats, "--r", "2", "--batch-size", "64", "--lr", "1e-3"];
  return ["aft", "--model", MINIATURE, "--out", out, ...size, ...more];
};

describe("sixty short chats that pack into one step", () => {
  test("are trained on at the rate that was asked for", async () => {
    const out = join(scratch, "one-step");
    const { code, stderr } = await runCli(aft(out));
    expect(code, stderr).toBe(0);
    expect(stderr).toMatch(/^rate +0\.001 cosine, reached 0\.001, warm-up 0 steps/m);
    expect(stderr).toMatch(/^1 steps, 1 updates; the adapter changed by /m);
    const log = readLog(out);
    expect(log.filter(({ type }) => type === "step").map(({ lr }) => lr)).toEqual([1e-3]);
    const done = log.at(-1)!;
    expect(done).toMatchObject({ type: "done", updates: 1, skipped: 0, rateSum: 1e-3 });
    // B was zero, and one step of AdamW moves each of its values by about the rate.
    const pairs = [...readAdapter(join(out, "adapter")).tensors.values()];
    const largest = Math.max(...pairs.flatMap(({ B }) => [...B].map(Math.abs)));
    expect(largest).toBeGreaterThan(0.9e-3);
    const moved = pairs.reduce((sum, { B }) => sum + B.filter((value) => value !== 0).length, 0);
    expect(done["changeNorm"]).toBeGreaterThan(0.5e-3 * Math.sqrt(moved));
  });

  test("with a warm-up of one step are refused, in the plan too", async () => {
    const out = join(scratch, "warm-up");
    const { code, stderr } = await runCli(aft(out, "--warmup", "1", "--plan"));
    expect([code, stderr]).toEqual([2, expect.stringMatching(/--warmup 1: the run has 1 step, and none has a rate/)]);
    expect(existsSync(out)).toBe(false);
  });

  test("in an experiment likewise, by the stage", async () => {
    const file = join(scratch, "warm-up.yaml");
    const changes = { aft: { data: [chats], batchSize: 64, warmup: 3 }, arms: ["bare", "aft"], seeds: [0] };
    writeFileSync(file, asYaml(smallExperiment({ ...changes, training: { r: 2, seqLen: 512 } })));
    const { code, stderr } = await runCli(["run", file, "--plan"]);
    expect([code, stderr]).toEqual([2, expect.stringMatching(/train aft, seed 0: --warmup 3: the run has 1 step/)]);
  });
});

test("a warm-up of 100 steps in a run of 6: the plan says which rate is reached", async () => {
  const more = ["--warmup", "100", "--max-steps", "6", "--plan"];
  const people = await runCli(aft(join(scratch, "low"), ...more));
  expect(people.code, people.stderr).toBe(0);
  expect(people.stderr).toMatch(/^note +the rate reaches only 0\.00005, 5 % of --lr 0\.001: the warm-up of 100 steps/m);
  const machine = await runCli(aft(join(scratch, "low"), ...more, "--json"));
  expect(parseLines(machine.stdout)[0]!["peakRate"]).toBeCloseTo(5e-5, 12);
});

test("updates that are too small for B: weight decay of A is not training", async () => {
  const out = join(scratch, "zero");
  const { code, stderr } = await runCli(aft(out, "--eps", "1e38"));
  expect(stderr).toMatch(/nothing was trained: after 1 updates every B of the adapter is 0/);
  expect([code, existsSync(join(out, "adapter"))]).toEqual([1, false]);
});

describe("every step skipped", () => {
  test("is no finished run, and stays none", async () => {
    const out = join(scratch, "skipped");
    const args = aft(out, "--model", model, "--tokenizer", MINIATURE, "--max-steps", "2");
    for (const _ of ["first", "again"]) {
      const { code, stderr } = await runCli(args);
      expect(stderr).toMatch(/nothing was trained: none of the 2 steps .*\(2 had no finite gradient, 0 a rate of 0\)/);
      expect([code, existsSync(join(out, "adapter"))]).toEqual([1, false]);
    }
  });

  test("is no result of an experiment", async () => {
    const file = join(scratch, "skipped.yaml");
    const out = join(scratch, "skipped-experiment");
    writeFileSync(file, asYaml(smallExperiment({ model, arms: ["aft"], seeds: [0] })));
    const { code, stdout, stderr } = await runCli(["run", file, "--out", out]);
    expect([code, stderr]).toEqual([1, expect.stringMatching(/nothing was trained/)]);
    expect(stdout).toMatch(/^NOT FINISHED: 3 of 3 jobs are open/);
    expect(existsSync(join(out, "results.json"))).toBe(false);
  });
});
