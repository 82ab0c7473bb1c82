/** @file The documents say what is so: code that they quote, and files that they name. */
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { packagePath } from "../src/base/package.js";

const DOCUMENTS = [
  "README.md",
  "ARCHITECTURE.md",
  "CONTRIBUTING.md",
  "docs/results.md",
  "docs/generate.md",
  "docs/support.md",
  "docs/exact-and-fast.md",
].filter((name) => existsSync(packagePath(name)));

/** Blocks of code that begin with a comment naming their file. */
function snippets(text: string): { file: string; lines: string[] }[] {
  return [...text.matchAll(/```\w+\n\/\/ (\S+)\n([\s\S]*?)```/g)].map(([, file, code]) => ({
    file: file!,
    lines: code!.trimEnd().split("\n"),
  }));
}

describe.each(DOCUMENTS)("%s", (name) => {
  const text = readFileSync(packagePath(name), "utf8");

  test('quotes code that is there, in its order; "..." leaves lines out', () => {
    for (const { file, lines } of snippets(text)) {
      const source = readFileSync(packagePath(file), "utf8").split("\n");
      let at = 0;
      let isNext = false;
      for (const line of lines) {
        if (line.trim() === "...") {
          isNext = false;
          continue;
        }
        const found = isNext ? (source[at] === line ? at : -1) : source.indexOf(line, at);
        expect(found, `${file} has no line "${line}"${isNext ? " there" : ""}`).toBeGreaterThanOrEqual(0);
        at = found + 1;
        isNext = true;
      }
    }
  });

  test("links to files that are there", () => {
    const links = [...text.matchAll(/\]\(([^)#]+)(?:#[^)]*)?\)/g)].map(([, target]) => target!);
    const local = links.filter((target) => !/^https?:/.test(target));
    expect(local.filter((target) => !existsSync(join(packagePath(dirname(name)), target)))).toEqual([]);
  });

  test("has no line longer than 120 columns", () => {
    // A row of a table cannot be broken.
    const long = text.split("\n").filter((line) => line.length > 120 && !line.startsWith("|"));
    expect(long).toEqual([]);
  });
});
