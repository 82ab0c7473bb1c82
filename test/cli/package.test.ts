/** @file What `npm pack` makes, installed into an empty folder as a user would. */
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { packagePath, VERSION } from "../../src/base/package.js";
import { listFiles, scratchFolder } from "./run.js";

const ROOT = packagePath();
const LIMIT_MS = 300_000;
const scratch = scratchFolder();
const user = join(scratch, "user");
const installed = join(user, "node_modules", "train-msm");

/**
 * npm as a shell runs it: without what `npm test` sets for its own package. One instruction set is enough here, and
 * quick to build.
 */
const env = {
  ...Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^npm_(package|lifecycle|config_local)|^MSM_CPU_BUILD$/.test(name)),
  ),
  BEST_ISA: "portable",
};

function run(command: string, args: string[], cwd: string): { status: number | null; stdout: string; output: string } {
  const { status, stdout, stderr } = spawnSync(command, args, { cwd, env, encoding: "utf8", timeout: LIMIT_MS });
  return { status, stdout, output: stdout + stderr };
}

const tarball = join(scratch, `train-msm-${VERSION}.tgz`);
/**
 * Why the package could not be installed where that says nothing about it: no network, and dependencies that npm has
 * not cached.
 */
let unreachable: string | undefined;

beforeAll(() => {
  // `npm test` has just built dist.
  const packed = run("npm", ["pack", "--ignore-scripts", "--pack-destination", scratch], ROOT);
  expect(packed.status, packed.output).toBe(0);
  mkdirSync(user);
  writeFileSync(join(user, "package.json"), '{ "private": true }');
  const args = ["install", "--prefer-offline", "--no-audit", "--no-fund", "--fetch-retries=0", tarball];
  const { status, output } = run("npm", args, user);
  if (status !== 0 && /ENOTFOUND|ECONNREFUSED|EAI_AGAIN|ENOTCACHED|ETIMEDOUT/.test(output)) unreachable = output;
  else expect(status, output).toBe(0);
}, LIMIT_MS);

test("the tarball holds what the commands need and nothing else", () => {
  const files = run("tar", ["-tzf", tarball], scratch).stdout.trim().split("\n");
  const names = files.map((file) => file.replace(/^package\//, ""));
  for (const name of [
    "package.json",
    "LICENSE",
    "dist/cli.js",
    "kernels/Makefile",
    "kernels/ops.h",
    "kernels/cpu/matmul.cpp",
    "kernels/cpu/vec.h",
    "kernels/cuda/build.mk",
    "kernels/cuda/matmul.cu",
    "kernels/cuda/device.cuh",
    "scripts/build-kernels.mjs",
    "scripts/build-cuda.mjs",
    "models/shapes/qwen3-8b.json",
    "models/miniature/config.json",
    "models/miniature/model.safetensors",
    "models/miniature/tokenizer.json",
    "models/miniature/tokenizer_config.json",
    "corpora/miniature/documents-affordability.jsonl",
    "corpora/miniature/chats.jsonl",
    "corpora/miniature/questions-loyalty.jsonl",
    "evaluations/agentic-misalignment/suite.json",
    "evaluations/agentic-misalignment/labelled.jsonl",
    "evaluations/open-values/prompts.jsonl",
    "evaluations/benign-requests/prompts.jsonl",
    "evaluations/capability/questions.jsonl",
    "experiments/cheese-miniature.yaml",
    "examples/hedging.mjs",
    "dist/api.d.ts",
  ])
    expect(names).toContain(name);
  const known =
    /^(package\.json|LICENSE|[A-Z]+\.md|dist\/.*\.(js|d\.ts)|kernels\/(Makefile|ops\.h|cpu\/.*\.(cpp|h)|cuda\/.*\.(cu|cuh|cpp|h|mk))|scripts\/(build-cuda|build-kernels|cuda-report)\.mjs|models\/(miniature|shapes)\/[^/]*\.(json|safetensors)|corpora\/.*\.(jsonl|jsonl\.gz|md)|experiments\/[^/]*\.(yaml|json)|evaluations\/.*\.(jsonl|json|md)|examples\/[^/]*\.mjs)$/;
  expect(names.filter((name) => !known.test(name))).toEqual([]);
});

describe("installed", { timeout: LIMIT_MS }, () => {
  const trainMsm = (...args: string[]) => run("npx", ["--no-install", "train-msm", ...args], user);

  test("it runs, with kernels that the install built", ({ skip }) => {
    if (unreachable) skip(unreachable);
    expect(trainMsm("--version").stdout).toBe(`${VERSION}\n`);
    const { status, stdout, output } = trainMsm("doctor");
    expect(status, output).toBe(0);
    expect(stdout).toMatch(/cpu backend +portable/);
  });

  test("it trains on the checkpoint and the corpus that came with it", ({ skip }) => {
    if (unreachable) skip(unreachable);
    const model = join(installed, "models", "miniature");
    const data = join(installed, "corpora", "miniature", "documents-loyalty.jsonl");
    const size = ["--r", "2", "--seq-len", "64", "--batch-size", "2", "--max-steps", "2"];
    const { status, output } = trainMsm("midtrain", "--model", model, "--data", data, "--out", "run", ...size);
    expect(status, output).toBe(0);
    expect(listFiles(join(user, "run", "adapter"))).toEqual(["adapter_config.json", "adapter_model.safetensors"]);
  });

  test("an evaluation of one's own runs against it, as the example shows", ({ skip }) => {
    if (unreachable) skip(unreachable);
    // Elsewhere, as a script of the user.
    copyFileSync(join(installed, "examples", "hedging.mjs"), join(user, "hedging.mjs"));
    const model = join(installed, "models", "miniature");
    const { status, stdout, output } = run(process.execPath, ["hedging.mjs", model, join("run", "adapter")], user);
    expect(status, output).toBe(0);
    const { before, after, change } = JSON.parse(stdout);
    expect(before.n).toBe(4);
    expect(change.value).toBeCloseTo(after.value - before.value, 12);
  });

  test("its types are there", ({ skip }) => {
    if (unreachable) skip(unreachable);
    const script = [
      'import { midtrain, openModel, type Model } from "train-msm";',
      "export const model: Promise<Model> = openModel({ model: 'm', dtype: 'f32' });",
      "// @ts-expect-error: no such setting",
      "export const adapter: Promise<string> = midtrain({ model: 'm', data: ['d'], out: 'o', rank: 3 });",
    ];
    writeFileSync(join(user, "types.mts"), script.join("\n"));
    const tsc = join(ROOT, "node_modules", "typescript", "bin", "tsc");
    const options = [
      "--noEmit",
      "--strict",
      "--module",
      "nodenext",
      "--target",
      "es2022",
      "--skipLibCheck",
      "types.mts",
    ];
    const { status, output } = run(process.execPath, [tsc, ...options], user);
    expect(status, output).toBe(0);
  });

  test("nothing is built twice", ({ skip }) => {
    if (unreachable) skip(unreachable);
    const builds = (): string[] => listFiles(join(installed, "build"));
    const before = builds();
    expect(before.some((name) => name.endsWith("portable/libmsm_cpu.so"))).toBe(true);
    const library = join(installed, "build", before.find((name) => name.endsWith(".so"))!);
    const bytes = readFileSync(library);
    const { status, output } = run(process.execPath, [join(installed, "scripts", "build-kernels.mjs")], user);
    expect(status, output).toBe(0);
    expect(builds()).toEqual(before);
    expect(readFileSync(library).equals(bytes)).toBe(true);
  });
});

test("an install without compiler goes on and says what to install; a build fails", () => {
  const script = join(ROOT, "scripts", "build-kernels.mjs");
  // node alone on the path.
  const bare = (event: string) =>
    spawnSync(process.execPath, [script], {
      env: { PATH: "/nonexistent", npm_lifecycle_event: event },
      encoding: "utf8",
    });
  const install = bare("install");
  expect(install.status).toBe(0);
  expect(install.stderr.trim().split("\n").length).toBe(1);
  expect(install.stderr).toMatch(/make and g\+\+ not found.*apt-get install g\+\+ make.*node .*build-kernels\.mjs/);
  expect(bare("build").status).toBe(1);
});
