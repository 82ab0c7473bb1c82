/** @file What `scripts/pack.mjs` makes, installed into empty folders as users would. */
import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { packagePath, VERSION } from "../../src/base/package.js";
import { listFiles, scratchFolder } from "./run.js";

const ROOT = packagePath();
const LIMIT_MS = 600_000;
const scratch = scratchFolder();
const packages = join(scratch, "packages");
const main = join(packages, `train-msm-${VERSION}.tgz`);
const platform = join(packages, `train-msm-${process.platform}-${process.arch}-${VERSION}.tgz`);

/** npm as a shell runs it: without what `npm test` sets for its own package, and a cache of kernels of its own. */
const env: NodeJS.ProcessEnv = {
  ...Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^npm_(package|lifecycle|config_local)|^MSM_CPU_BUILD$/.test(name)),
  ),
  XDG_CACHE_HOME: join(scratch, "cache"),
};

/** A PATH of node, npm and the tools that npm's scripts start with: no compiler, no make. */
const bare = join(scratch, "bare");

function run(command: string, args: string[], cwd: string, settings: NodeJS.ProcessEnv = {}) {
  const options = { cwd, env: { ...env, ...settings }, encoding: "utf8", timeout: LIMIT_MS } as const;
  const { status, stdout, stderr } = spawnSync(command, args, options);
  return { status, stdout, output: stdout + stderr };
}

/** Why packages could not be installed where that says nothing about them: no network, and nothing cached. */
let unreachable: string | undefined;

function install(user: string, tarballs: readonly string[], settings: NodeJS.ProcessEnv): void {
  mkdirSync(user);
  writeFileSync(join(user, "package.json"), '{ "private": true }');
  const options = ["--ignore-scripts", "--prefer-offline", "--no-audit", "--no-fund", "--fetch-retries=0"];
  const { status, output } = run("npm", ["install", ...options, ...tarballs], user, settings);
  if (status !== 0 && /ENOTFOUND|ECONNREFUSED|EAI_AGAIN|ENOTCACHED|ETIMEDOUT/.test(output)) unreachable = output;
  else expect(status, output).toBe(0);
}

beforeAll(() => {
  mkdirSync(bare);
  for (const tool of ["node", "npm", "npx", "sh", "env"]) {
    const path = tool === "node" ? process.execPath : run("sh", ["-c", `command -v ${tool}`], scratch).stdout.trim();
    symlinkSync(path, join(bare, tool));
  }
  // One instruction set is enough here, and quick to build. `npm run test:slow` has just built dist.
  const packed = run(
    process.execPath,
    [join(ROOT, "scripts", "pack.mjs"), "--out", packages, "--isas", "portable"],
    ROOT,
  );
  expect(packed.status, packed.output).toBe(0);
}, LIMIT_MS);

test("the tarball holds what the commands need and nothing else", () => {
  const files = run("tar", ["-tzf", main], scratch).stdout.trim().split("\n");
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
    "src/writing/prompts/draft.md",
  ])
    expect(names).toContain(name);
  const known = new RegExp(
    [
      /package\.json|LICENSE|[A-Z]+\.md|dist\/.*\.(js|d\.ts)|scripts\/cuda-report\.mjs/,
      /kernels\/(Makefile|ops\.h|cpu\/.*\.(cpp|h)|cuda\/.*\.(cu|cuh|cpp|h|mk))/,
      /models\/(miniature|shapes)\/[^/]*\.(json|safetensors)|corpora\/.*\.(jsonl|jsonl\.gz|md)/,
      /experiments\/[^/]*\.(yaml|json)|evaluations\/.*\.(jsonl|json|md)|examples\/[^/]*\.mjs/,
      /src\/writing\/prompts\/[^/]*\.md/,
    ]
      .map(({ source }) => `^(?:${source})$`)
      .join("|"),
  );
  expect(names.filter((name) => !known.test(name))).toEqual([]);
  const { scripts, optionalDependencies } = JSON.parse(
    run("tar", ["-xzOf", main, "package/package.json"], scratch).stdout,
  );
  expect(scripts).toBeUndefined();
  expect(optionalDependencies[`@train-msm/${process.platform}-${process.arch}`]).toBe(VERSION);
});

describe("with the platform package, no install script, no compiler", { timeout: LIMIT_MS }, () => {
  const user = join(scratch, "with-platform");
  const installed = join(user, "node_modules", "train-msm");
  const trainMsm = (...args: string[]) => run("npx", ["--no-install", "train-msm", ...args], user, { PATH: bare });
  beforeAll(() => install(user, [main, platform], { PATH: bare }), LIMIT_MS);

  test("it runs on the kernels that came with it", ({ skip }) => {
    if (unreachable) skip(unreachable);
    expect(trainMsm("--version").stdout).toBe(`${VERSION}\n`);
    const { status, stdout, output } = trainMsm("doctor");
    expect(status, output).toBe(0);
    expect(stdout).toMatch(/cpu backend +portable/);
    expect(existsSync(join(scratch, "cache", "train-msm", "kernels"))).toBe(false);
  });

  test("it trains the demo's model on a corpus that came with it", ({ skip }) => {
    if (unreachable) skip(unreachable);
    const model = join(installed, "models", "miniature");
    const data = join(installed, "corpora", "miniature", "documents-loyalty.jsonl");
    const size = ["--r", "2", "--seq-len", "64", "--batch-size", "2", "--max-steps", "4"];
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

  test("a platform package of another version is refused by name", ({ skip }) => {
    if (unreachable) skip(unreachable);
    const file = join(user, "node_modules", "@train-msm", `${process.platform}-${process.arch}`, "package.json");
    const manifest = readFileSync(file, "utf8");
    writeFileSync(file, manifest.replace(VERSION, "0.0.1"));
    const { status, output } = trainMsm("doctor");
    writeFileSync(file, manifest);
    expect(status).toBe(1);
    expect(output).toMatch(/@train-msm\/\S+ is of version 0\.0\.1, train-msm of/);
  });

  // npm's packages of Node's binaries.
  test.each(["22", "24"])("Node %s runs it too", (version) => {
    if (unreachable) return;
    const nodes = join(scratch, `node-${version}`);
    mkdirSync(nodes);
    const name = `node-${process.platform}-${process.arch}@${version}`;
    const fetched = run(
      "npm",
      ["install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", nodes, name],
      nodes,
    );
    if (fetched.status !== 0) return console.log(`skipped: Node ${version} could not be had (${name})`);
    const node = join(nodes, "node_modules", name.split("@")[0]!, "bin", "node");
    const cli = join(installed, "dist", "cli.js");
    const { status, output } = run(node, [cli, "doctor"], user, { PATH: bare });
    expect(status, output).toBe(0);
    expect(output).toContain(`Node v${version}.`);
    const question = [
      "generate",
      "--model",
      join(installed, "models", "miniature"),
      "--prompt",
      "the colby or the brie?",
    ];
    expect(run(node, [cli, ...question], user, { PATH: bare }).status).toBe(0);
  });
});

describe("without the platform package", { timeout: LIMIT_MS }, () => {
  const user = join(scratch, "without-platform");
  const trainMsm = (args: string[], settings: NodeJS.ProcessEnv = {}) =>
    run("npx", ["--no-install", "train-msm", ...args], user, settings);
  // npm goes on without optional packages that it cannot find.
  beforeAll(() => install(user, [main], {}), LIMIT_MS);

  test("without a compiler one sentence says what to install", ({ skip }) => {
    if (unreachable) skip(unreachable);
    const question = ["generate", "--model", "models/miniature", "--prompt", "hello"];
    const { status, output } = trainMsm(question, { PATH: bare });
    expect(status).toBe(2);
    expect(output.trim().split("\n")).toHaveLength(1);
    expect(output).toMatch(
      /no CPU kernels.*make and g\+\+ are missing.*apt-get install g\+\+ make.*npm install @train-msm/,
    );
  });

  test("the first command that needs kernels builds them once, into the user's cache", ({ skip }) => {
    if (unreachable) skip(unreachable);
    const first = trainMsm(["doctor"]);
    expect(first.status, first.output).toBe(0);
    expect(first.output).toMatch(/building the CPU kernels for this machine, once/);
    const cache = join(scratch, "cache", "train-msm", "kernels");
    const [folder, ...others] = readdirSync(cache);
    expect(others).toEqual([]);
    const built = listFiles(join(cache, folder!));
    expect(built).toContain(join("cpu", "portable", "libmsm_cpu.so"));
    expect(built.every((file) => file.endsWith(".so"))).toBe(true);
    const again = trainMsm(["doctor"], { PATH: bare });
    expect(again.status, again.output).toBe(0);
    expect(again.output).not.toMatch(/building/);
    // Nothing was written into the package.
    expect(existsSync(join(user, "node_modules", "train-msm", "build"))).toBe(false);
  });
});
