/** @file Rules of the repository that no linter knows. */
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";

const ROOT = join(import.meta.dirname, "..");
/** A longer file holds more than one thing. */
const MAX_LINES = 400;
const MAX_COLUMNS = 120;
/** Specs are data: one line a paragraph. */
const IS_SPEC = /^corpora\/.*(\/specs\/|\/spec-|\/variants\/)/;
/** What stands at the root of the repository. */
const AT_ROOT = [
  ".ci",
  ".dependency-cruiser.cjs",
  ".gitignore",
  ".npmrc",
  "ARCHITECTURE.md",
  "CONTRIBUTING.md",
  "LICENSE",
  "README.md",
  "bench",
  "biome.json",
  "corpora",
  "docs",
  "evaluations",
  "examples",
  "experiments",
  "kernels",
  "knip.json",
  "models",
  "package-lock.json",
  "package.json",
  "scripts",
  "src",
  "test",
  "tsconfig.build.json",
  "tsconfig.json",
  "vitest.config.ts",
  ".clang-format",
];

/** Files that are or will be part of the repository; none where this is no git checkout. */
function repositoryFiles(): string[] {
  if (!existsSync(join(ROOT, ".git"))) return [];
  const args = ["ls-files", "--cached", "--others", "--exclude-standard"];
  const names = execFileSync("git", args, { cwd: ROOT, encoding: "utf8" }).trim().split("\n");
  return names.filter((name) => existsSync(join(ROOT, name)));
}

const TEXT = /(\.(ts|mjs|cjs|js|json|md|cpp|h|cu|cuh|mk|py|yaml|yml|sh)|Makefile|\.npmrc|\.gitignore|\.ci\/run)$/;
const names = repositoryFiles().filter((name) => TEXT.test(name) && !name.startsWith("test/fixtures/"));
const own = names.filter((name) => name !== "test/style.test.ts" && name !== "package-lock.json");
const read = (name: string): string => readFileSync(join(ROOT, name), "utf8");

/** "file:line: text" of every line that matches. */
function findLines(files: string[], pattern: RegExp): string[] {
  return files.flatMap((name) =>
    read(name)
      .split("\n")
      .flatMap((line, i) => (pattern.test(line) ? [`${name}:${i + 1}: ${line.trim()}`] : [])),
  );
}

describe.skipIf(names.length === 0)("style", () => {
  test(`no source file is longer than ${MAX_LINES} lines`, () => {
    const sources = names.filter((name) => /^(src|scripts)\//.test(name));
    const long = sources.filter((name) => read(name).split("\n").length - 1 > MAX_LINES);
    expect(long).toEqual([]);
  });

  test(`no line is longer than ${MAX_COLUMNS} columns`, () => {
    const code = names.filter((name) => /\.(ts|mjs|cjs|cpp|h|cu|cuh|yaml|yml|sh)$|^\.ci\/run$/.test(name));
    const prose = names.filter((name) => name.endsWith(".md") && !IS_SPEC.test(name));
    // A regular expression, a table and a command to copy cannot be cut.
    const cut = new RegExp(`^(?! */[^/*])(?!\\|)(?! {4}).{${MAX_COLUMNS + 1},}`, "u");
    const codeCut = new RegExp(`^(?! */[^/*]).{${MAX_COLUMNS + 1},}`, "u");
    expect([...findLines(code, codeCut), ...findLines(prose, cut)]).toEqual([]);
  });

  test("nothing at the root but what belongs there", () => {
    const roots = new Set(repositoryFiles().map((name) => name.split("/")[0]!));
    expect([...roots].filter((name) => !AT_ROOT.includes(name))).toEqual([]);
  });

  test("no paths of one machine", () => {
    expect(findLines(own, /(^|[\s"'`(=:])\/(work|root|home|Users)\//)).toEqual([]);
  });

  test("no registry or proxy hosts", () => {
    expect(findLines(own, /https?:\/\/[^\s"'`)]*(registry|artifactory|nexus|proxy)/i)).toEqual([]);
    expect(findLines(["package-lock.json"], /"resolved":/)).toEqual([]);
  });

  // npm leaves packages for other platforms out of the lock file where its registry does not have them, and `npm ci`
  // then refuses it.
  test("the lock file has every optional package, for every platform", () => {
    const { packages } = JSON.parse(read("package-lock.json")) as {
      packages: Record<string, { optionalDependencies?: Record<string, string> }>;
    };
    const missing = Object.entries(packages).flatMap(([path, { optionalDependencies = {} }]) =>
      Object.keys(optionalDependencies).filter(
        (name) => !packages[`${path}/node_modules/${name}`] && !packages[`node_modules/${name}`],
      ),
    );
    expect(missing).toEqual([]);
  });

  test("nothing is left to do later without an issue", () => {
    expect(findLines(own, /\b(TODO|FIXME|XXX|HACK)\b/)).toEqual([]);
  });

  test("no file only hands on what others export", () => {
    // api.ts is what the package exports.
    const sources = names.filter((name) => /^src\/.*\.ts$/.test(name) && name !== "src/api.ts");
    expect(findLines(sources, /^export (\*|\{[^}]*\}|type \{[^}]*\}) from/)).toEqual([]);
  });

  test("nothing large or binary but what ships on purpose", () => {
    const binary = repositoryFiles().filter((name) => /\.(so|o|a|bin|pt|pth|onnx|gguf|tgz|zip|whl)$/.test(name));
    expect(binary).toEqual([]);
  });
});
