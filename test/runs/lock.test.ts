import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { InputError } from "../../src/base/errors.js";
import { packagePath } from "../../src/base/package.js";
import { lockFolder } from "../../src/runs/lock.js";

const scratch = mkdtempSync(join(tmpdir(), "train-msm-lock-"));
afterAll(() => rmSync(scratch, { recursive: true }));

test("a folder is locked once, and again after it was unlocked", () => {
  const folder = join(scratch, "once");
  const unlock = lockFolder(folder);
  expect(() => lockFolder(folder)).toThrow(InputError);
  expect(() => lockFolder(folder)).toThrow(/is in use by another process/);
  unlock();
  lockFolder(folder)();
});

test("the folder is made where it is missing, and goes again where nothing was written", () => {
  const folder = join(scratch, "a", "b");
  const unlock = lockFolder(folder);
  expect(existsSync(join(folder, "lock"))).toBe(true);
  unlock();
  expect(existsSync(join(scratch, "a"))).toBe(false);
  const again = lockFolder(folder);
  writeFileSync(join(folder, "log.jsonl"), "");
  again();
  expect(readdirSync(folder).sort()).toEqual(["lock", "log.jsonl"]);
  lockFolder(folder)();
  expect(readdirSync(folder).sort()).toEqual(["lock", "log.jsonl"]);
});

test("a folder of something else is left as it was", () => {
  const folder = join(scratch, "other");
  mkdirSync(folder);
  writeFileSync(join(folder, "results.json"), "{}");
  lockFolder(folder)();
  expect(readdirSync(folder)).toEqual(["results.json"]);
});

test("a lock does not outlive its process, however that ended", () => {
  const folder = join(scratch, "killed");
  const script = join(scratch, "hold.mjs");
  const lock = packagePath("dist", "runs", "lock.js");
  writeFileSync(
    script,
    "import { lockFolder } from " +
      `${JSON.stringify(lock)};\nlockFolder(process.argv[2]);\nprocess.kill(process.pid, "SIGKILL");\n`,
  );
  const { signal, stderr } = spawnSync(process.execPath, [script, folder], { encoding: "utf8" });
  expect(signal, stderr).toBe("SIGKILL");
  lockFolder(folder)();
});

test("a path that cannot be a folder is named", () => {
  const file = join(scratch, "file");
  writeFileSync(file, "");
  expect(() => lockFolder(file)).toThrow(/file cannot be used as a run folder/);
});
