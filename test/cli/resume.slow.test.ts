/**
 * @file Exact resume: however a run is ended, the same command continues it, and the adapter is byte for byte that of
 * an uninterrupted run.
 */
import type { ChildProcess } from "node:child_process";
import { cpSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { beforeAll, describe, expect, test } from "vitest";
import { randomUint32 } from "../../src/base/random.js";
import { TEST_BACKEND } from "../backend.js";
import { buildEmulated } from "../ops/builds.js";
import { adapterBytes, type LogLine, listFiles, parseLines, readLog, runCli, scratchFolder, trainArgs } from "./run.js";

const scratch = scratchFolder();
/** The emulated GPU takes a second a step: fewer of everything. */
const isSlow = TEST_BACKEND === "cuda-emulated";
if (isSlow) buildEmulated();
const STEPS = isSlow ? 8 : 24;
/** Fifteen processes one after the other. */
const CRASHES_LIMIT_MS = 240_000;
/** A checkpoint every second step: kills hit steps, checkpoint writing and what lies between. */
const args = (out: string): string[] =>
  trainArgs(
    "midtrain",
    out,
    "--max-steps",
    `${STEPS}`,
    "--checkpoint-every",
    "2",
    "--seq-len",
    "64",
    "--targets",
    "q",
    "--json",
  );

const full = join(scratch, "full");
const stepsOf = (log: LogLine[]) =>
  log
    .filter(({ type }) => type === "step")
    .map(({ step, loss, gradNorm, lr, tokens, targetTokens }) => ({ step, loss, gradNorm, lr, tokens, targetTokens }));

beforeAll(async () => {
  const { code, stderr } = await runCli(args(full));
  expect(code, stderr).toBe(0);
});

function expectSameAsFull(out: string): void {
  expect(adapterBytes(out).equals(adapterBytes(full))).toBe(true);
  expect(stepsOf(readLog(out))).toEqual(stepsOf(readLog(full)));
  // What a kill cut short is cleaned up.
  expect(listFiles(out)).toEqual(listFiles(full));
}

/** Calls `act` once, when the record of `step` is on stdout. */
function atStep(step: number, act: (child: ChildProcess) => void): (text: string, child: ChildProcess) => void {
  let done = false;
  return (text, child) => {
    if (done || !text.includes(`"type":"step","step":${step},`)) return;
    done = true;
    act(child);
  };
}

const SIGNALS = ["SIGTERM", "SIGINT"] as const;

describe.each(isSlow ? SIGNALS.slice(0, 1) : SIGNALS)("%s", (signal) => {
  test("saves, exits with 1 and says how to go on; the same command continues", async () => {
    const out = join(scratch, signal);
    const stopped = await runCli(args(out), { onStdout: atStep(3, (child) => child.kill(signal)) });
    expect(stopped.code, stopped.stderr).toBe(1);
    expect(stopped.stderr).toMatch(/stopped after step \d+ of \d+, which is saved: the same command continues/);
    expect(existsSync(join(out, "adapter"))).toBe(false);
    const continued = await runCli(args(out));
    expect(continued.code, continued.stderr).toBe(0);
    expect(parseLines(continued.stdout).some(({ type }) => type === "resume")).toBe(true);
    expectSameAsFull(out);
  });
});

test.each(isSlow ? [1] : [1, 2, 3])("SIGKILL at random moments (seed %i)", async (seed) => {
  const out = join(scratch, `killed-${seed}`);
  let step = 0;
  for (let kill = 0; step < STEPS - 6; kill++) {
    step += 1 + (randomUint32(seed, kill, 0) % 6);
    const delayMs = randomUint32(seed, kill, 1) % 40;
    await runCli(args(out), { onStdout: atStep(step, (child) => setTimeout(() => child.kill("SIGKILL"), delayMs)) });
  }
  const { code, stderr } = await runCli(args(out));
  expect(code, stderr).toBe(0);
  expectSameAsFull(out);
});

describe.skipIf(isSlow)("killed right before each change to the file system", () => {
  const crash = (out: string, from: string, at: number) =>
    runCli(args(out), {
      nodeArgs: ["--import", pathToFileURL(join(import.meta.dirname, "crash.mjs")).href],
      env: { CRASH_FOLDER: out, CRASH_FROM: from, CRASH_AT: `${at}` },
    });

  // One folder for all: a run that gets further each time. Of the adapter, its 8 tensors are 8 writes.
  test.each([
    ["of the first steps and the first checkpoint", "", [1, 2, 3, 4, 6, 7, 9, 10, 11, 12, 13, 14, 15, 16, 17]],
    ["of the adapter", "adapter", [1, 2, 3, 8, 11, 12, 13, 14, 15, 16, 18, 19, 21, 22]],
  ])("%s", { timeout: CRASHES_LIMIT_MS }, async (_, from, changes) => {
    const out = join(scratch, `crash-${from}`);
    for (const at of changes) {
      const { code, stderr } = await crash(out, from, at);
      expect(code === null || code === 0, stderr).toBe(true);
    }
    const { code, stderr } = await runCli(args(out));
    expect(code, stderr).toBe(0);
    expectSameAsFull(out);
  });
});

test("two processes on one folder: the second is refused with exit code 2, the first goes on", async () => {
  const out = join(scratch, "locked");
  let second: ReturnType<typeof runCli> | undefined;
  const start = atStep(1, (child) => {
    child.kill("SIGSTOP");
    second = runCli(args(out)).finally(() => child.kill("SIGCONT"));
  });
  const first = await runCli(args(out), { onStdout: start });
  const refused = await second!;
  expect(refused.code).toBe(2);
  expect(refused.stderr).toMatch(/is in use by another process/);
  expect(first.code, first.stderr).toBe(0);
  expectSameAsFull(out);
});

test("the split of a step that was chosen at the start is kept", async () => {
  const out = join(scratch, "split");
  await runCli(args(out), { onStdout: atStep(3, (child) => child.kill("SIGTERM")) });
  const other = join(scratch, "split-other");
  cpSync(out, other, { recursive: true });
  const config = JSON.parse(readFileSync(join(other, "config.json"), "utf8"));
  expect(config.split).toEqual({ rowsPerMicroBatch: 2, recompute: "none" });
  // As if there had been little memory when the run began.
  writeFileSync(
    join(other, "config.json"),
    JSON.stringify({ ...config, split: { ...config.split, rowsPerMicroBatch: 1 } }),
  );
  const { stdout } = await runCli([...args(other), "--plan"]);
  expect(parseLines(stdout)[0]).toMatchObject({ type: "plan", rowsPerMicroBatch: 1 });
});
