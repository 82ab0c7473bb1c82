/**
 * @file The folder of an evaluation: done once, by one process, and refused before the work where it cannot be used.
 */
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { InputError } from "../../src/base/errors.js";
import { evaluateOnce, writeEvaluation } from "../../src/eval/run-folder.js";
import { lockFolder } from "../../src/runs/lock.js";

const scratch = mkdtempSync(join(tmpdir(), "train-msm-evaluation-"));
afterAll(() => rmSync(scratch, { recursive: true }));

const RUN = { command: "eval", settings: { task: "t", version: 1 }, inputs: {}, versions: {} };

/** Evaluates into `folder` and counts what was done. */
function open(folder: string) {
  const done = { found: 0, measured: 0 };
  const evaluateHere = (during: () => void = () => {}) =>
    evaluateOnce(
      folder,
      RUN,
      () => done.found++,
      async () => {
        done.measured++;
        during();
        return writeEvaluation(folder, RUN, { results: { n: 1 }, samples: [{ where: "line 1" }] });
      },
    );
  return { done, evaluateHere };
}

test("measured once, then found, even while the folder is locked", async () => {
  const folder = join(scratch, "once", "deeper");
  const { done, evaluateHere } = open(folder);
  const first = await evaluateHere();
  expect(first["results"]).toEqual({ n: 1 });
  const unlock = lockFolder(folder);
  expect(await evaluateHere()).toEqual(first);
  unlock();
  expect(done).toEqual({ found: 1, measured: 1 });
});

test("while it is measured, nobody else measures into it; afterwards it is free, also after a failure", async () => {
  const folder = join(scratch, "busy");
  const { done, evaluateHere } = open(folder);
  const failing = evaluateHere(() => {
    expect(() => lockFolder(folder)).toThrow(/is in use by another process/);
    throw new Error("stopped");
  });
  await expect(failing).rejects.toThrow("stopped");
  const unlock = lockFolder(folder);
  await expect(evaluateHere()).rejects.toThrow(InputError);
  await expect(evaluateHere()).rejects.toThrow(/busy is in use by another process/);
  unlock();
  expect(done).toEqual({ found: 0, measured: 1 });
  await evaluateHere();
  expect(done).toEqual({ found: 0, measured: 2 });
});

const file = join(scratch, "file");
writeFileSync(file, "");

test.each([
  ["a file", file],
  ["a path below a file", join(file, "a", "b")],
])("%s is refused before the work, by name", async (_name, folder) => {
  const { done, evaluateHere } = open(folder);
  await expect(evaluateHere()).rejects.toThrow(InputError);
  await expect(evaluateHere()).rejects.toThrow(`--out ${folder} cannot be used`);
  await expect(evaluateHere()).rejects.toThrow(/name a folder that can be made and written to/);
  expect(done.measured).toBe(0);
});

// Root may write everywhere.
test.skipIf(process.getuid?.() === 0)("so is a folder that must not be written", async () => {
  const folder = join(scratch, "readonly");
  mkdirSync(folder);
  chmodSync(folder, 0o555);
  const { done, evaluateHere } = open(folder);
  await expect(evaluateHere()).rejects.toThrow(`--out ${folder} cannot be used`);
  expect(done.measured).toBe(0);
});

test("a training run is left alone", async () => {
  const folder = join(scratch, "training");
  mkdirSync(folder);
  writeFileSync(join(folder, "config.json"), "{}");
  await expect(open(folder).evaluateHere()).rejects.toThrow(/holds a training run/);
  expect(existsSync(join(folder, "lock"))).toBe(false);
});
