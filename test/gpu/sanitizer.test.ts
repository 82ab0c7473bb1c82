/**
 * @file The op cases once more under compute-sanitizer, where it is installed: accesses outside of buffers, races in
 * shared memory.
 */

import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { packagePath } from "../../src/base/package.js";

const ROOT = packagePath();
/** Several hundred times slower than the kernels alone: small cases only. */
const MAX_FLOPS = "1e6";
const LIMIT_MS = 400_000;
const FOUND = 86;

const homes = [process.env["CUDA_HOME"], "/usr/local/cuda"].filter((home) => home !== undefined);
const sanitizer = ["compute-sanitizer", ...homes.map((home) => join(home, "bin", "compute-sanitizer"))].find(
  (path) => spawnSync(path, ["--version"]).status === 0,
);

describe.skipIf(!sanitizer)("compute-sanitizer", () => {
  test.each(["memcheck", "racecheck"])("%s finds nothing", { timeout: LIMIT_MS }, (tool) => {
    const vitest = [
      join(ROOT, "node_modules", "vitest", "vitest.mjs"),
      "run",
      "--root",
      ROOT,
      "test/ops/parity.test.ts",
    ];
    const { status, stdout, stderr } = spawnSync(
      sanitizer!,
      ["--tool", tool, "--target-processes", "all", "--error-exitcode", `${FOUND}`, process.execPath, ...vitest],
      { encoding: "utf8", env: { ...process.env, MSM_CASE_FLOPS: MAX_FLOPS, NO_COLOR: "1" } },
    );
    const report = `${stdout}\n${stderr}`;
    const finding = report.search(/========= (?!COMPUTE-SANITIZER|ERROR SUMMARY: 0|RACECHECK SUMMARY: 0)/);
    expect(status, finding < 0 ? report.slice(-5000) : report.slice(finding, finding + 5000)).toBe(0);
    expect(report).toMatch(/(ERROR|RACECHECK) SUMMARY: 0/);
  });
});

if (!sanitizer) test("compute-sanitizer", ({ skip }) => skip("not installed"));
