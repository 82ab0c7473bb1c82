/** @file Where the kernels of this clone are found, and what is said where they are not. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { buildFolder, findKernels, isClone, platformPackage } from "../../src/backend/native/kernels.js";
import { packagePath } from "../../src/base/package.js";

const before = process.env["MSM_CPU_BUILD"];
afterEach(() => {
  if (before === undefined) delete process.env["MSM_CPU_BUILD"];
  else process.env["MSM_CPU_BUILD"] = before;
});

test("a clone builds beside its sources", () => {
  expect(isClone()).toBe(true);
  expect(buildFolder()).toBe(packagePath("build"));
  delete process.env["MSM_CPU_BUILD"];
  expect(findKernels("cpu")).toBe(packagePath("build", "cpu"));
});

test("a forced folder without kernels is named", () => {
  const folder = mkdtempSync(join(tmpdir(), "msm-kernels-"));
  process.env["MSM_CPU_BUILD"] = folder;
  expect(() => findKernels("cpu")).toThrow(`MSM_CPU_BUILD=${folder}: ${join("portable", "libmsm_cpu.so")} is missing`);
  rmSync(folder, { recursive: true });
});

test("platform packages are named as npm names platforms", () => {
  expect(platformPackage("cpu")).toBe(`@train-msm/${process.platform}-${process.arch}`);
  expect(platformPackage("cuda")).toBe(`@train-msm/${process.platform}-${process.arch}-cuda`);
});
