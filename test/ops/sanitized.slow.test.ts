/**
 * @file The parity cases again on builds with AddressSanitizer and UndefinedBehaviorSanitizer: reads past a buffer,
 * misaligned or overflowing arithmetic that leave the results right. Whole models call nothing that the cases do not.
 * In a child process, since Node itself must start with the sanitizers' libraries.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { availableIsas } from "../../src/backend/open.js";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
/** Several times what two cores take that do nothing else. */
const BUILD_MS = 900_000;
const CASES_MS = 600_000;
const EMULATED = join(ROOT, "build", "cuda-emulated-sanitized");

// Plain vectors, AMX's path in plain code (the sanitizers do not see what tile instructions read) and the best of this
// machine.
const isas = [...new Set(["portable", "amx-emulated", availableIsas()!.runnable[0]!])];

function runtimeLibrary(name: string): string {
  return execFileSync("gcc", [`-print-file-name=${name}`], { encoding: "utf8" }).trim();
}

// Without the compiler's package of sanitizer libraries gcc prints the bare name.
const libraries = ["libasan.so", "libubsan.so"].map(runtimeLibrary);

function make(...targets: string[]): void {
  const args = ["-C", join(ROOT, "kernels"), `-j${availableParallelism()}`, "SANITIZE=1", ...targets];
  const { status, stdout, stderr } = spawnSync("make", args, { encoding: "utf8" });
  expect(status, `${stdout}\n${stderr}`).toBe(0);
}

function expectCasesPass(settings: Record<string, string>, files = ["test/ops/parity.test.ts"]): void {
  const vitest = join(ROOT, "node_modules", "vitest", "vitest.mjs");
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [vitest, "run", "--root", ROOT, "--project", "slow", ...files, "--reporter", "dot"],
    {
      encoding: "utf8",
      env: {
        ...process.env,
        LD_PRELOAD: libraries.join(" "),
        // Node keeps memory until it exits.
        ASAN_OPTIONS: "detect_leaks=0:abort_on_error=1",
        UBSAN_OPTIONS: "print_stacktrace=1",
        // The cases above repeat smaller ones at length, and this run is several times slower.
        MSM_CASE_FLOPS: "1.1e7",
        MSM_CASE_EXACT: "1",
        NO_COLOR: "1",
        ...settings,
      },
    },
  );
  const report = `${stdout}\n${stderr}`;
  // A sanitizer's finding ends the process, and what it says stands before the summary of the tests.
  const finding = report.search(/ERROR: AddressSanitizer|runtime error:/);
  expect(status, finding < 0 ? report.slice(-5000) : report.slice(finding, finding + 5000)).toBe(0);
}

describe.skipIf(!libraries.every((path) => existsSync(path)))("under ASan and UBSan", () => {
  it("builds the CPU kernels", { timeout: BUILD_MS }, () => make("cpu-all", `ISAS=${isas.join(" ")}`));

  it.each(isas)("%s passes every case", { timeout: CASES_MS }, (isa) => {
    expectCasesPass({
      MSM_CPU_BUILD: join(ROOT, "build", "cpu-sanitized"),
      MSM_CPU_ISA: isa,
      // AMX's path differs from the portable build in bf16 alone.
      ...(isa === "amx-emulated" && { MSM_CASE_DTYPE: "bf16" }),
    });
  });

  it("builds the CUDA kernels for the emulator", { timeout: BUILD_MS }, () => make("cuda-emulated", "emulator-test"));

  it("the sanitizers see what emulated threads do", () => {
    const { stderr } = spawnSync(join(EMULATED, "emulator-test"), ["1", "beyond shared memory"], { encoding: "utf8" });
    expect(stderr).toMatch(/heap-buffer-overflow[\s\S]*WRITE of size 1[\s\S]*beyond_shared/);
  });

  it("the CUDA kernels pass every case", { timeout: CASES_MS }, () => {
    expectCasesPass({ MSM_CUDA_BUILD: EMULATED, MSM_TEST_BUILD: "cuda-emulated reverse" });
  });

  it("the CUDA kernels for Hopper pass theirs", { timeout: CASES_MS }, () => {
    expectCasesPass({ MSM_CUDA_BUILD: EMULATED }, ["test/ops/hopper.slow.test.ts", "-t", "in reverse order"]);
  });
});
