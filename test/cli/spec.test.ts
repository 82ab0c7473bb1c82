/** @file `spec compare` at the command line: a table, the same as JSON, and what is refused. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { MINIATURE, runCli, scratchFolder } from "./run.js";

const scratch = scratchFolder();
function file(name: string, text: string): string {
  const path = join(scratch, name);
  writeFileSync(path, text);
  return path;
}

const rules = file("rules.md", "# Spec, rules\n\n## Rules\n\n- Take the cheap one.\n");
const reasons = file("reasons.md", "# Spec, reasons\n\n## Rules\n\n- Take the cheap one, because money is short.\n");
const corpus = file("docs.jsonl", '{"text":"take the cheap one: money is short"}\n{"text":"no"}\n');

test("a table for people, the same as JSON for programs", async () => {
  const args = ["spec", "compare", rules, reasons, "--data", corpus, "--model", MINIATURE];
  const people = await runCli(args);
  expect(people).toMatchObject({ code: 0, stderr: "" });
  const lines = people.stdout.replace(/ +/g, " ").split("\n");
  expect(lines[0]).toBe("spec sections words tokens rules reasons sub-rules other");
  expect(lines[1]).toMatch(/^rules 1 7 \d+ 1 0 0 0$/);
  expect(lines[2]).toMatch(/^reasons 1 11 \d+ 1 1 0 0$/);
  expect(lines).toContain("words in section rules reasons");
  expect(lines).toContain("Rules 4 8");
  expect(people.stdout).toContain("rules and reasons: words 36.4 % apart, not matched; tokens");
  expect(people.stdout).toContain("  changed: Rules (0.67)");
  expect(lines).toContain("Rules 50.0 % 50.0 %");
  const machine = await runCli([...args, "--json"]);
  const { specs, coverage } = JSON.parse(machine.stdout) as {
    specs: { words: number; statements: { kind: string; text: string }[] }[];
    coverage: { sections: { texts: number[] }[] }[];
  };
  expect(specs.map(({ words }) => words)).toEqual([7, 11]);
  expect(specs[1]?.statements).toEqual([
    { section: "Rules", kind: "rule", text: "Take the cheap one" },
    { section: "Rules", kind: "reason", text: "because money is short." },
  ]);
  expect(coverage[0]?.sections).toEqual([{ heading: "Rules", texts: [1, 1] }]);
});

describe("refused with exit code 2 and one line", () => {
  test.concurrent.each([
    ["one spec", [rules], /rules\.md: takes two or more specs/],
    ["no spec", [], /missing required argument/],
    ["a spec that is not there", [rules, join(scratch, "absent.md")], /absent\.md/],
    ["a spec without text", [rules, file("empty.md", "# Spec\n\n## Rules\n")], /empty\.md: there is no text/],
    ["a spec that is no text", [rules, join(MINIATURE, "model.safetensors")], /model\.safetensors/],
    ["a corpus that is not there", [rules, reasons, "--data", "absent.jsonl"], /absent\.jsonl: no such file/],
    ["a model without tokenizer", [rules, reasons, "--model", scratch], /tokenizer\.json/],
  ])("%s", async (_, args, message) => {
    const { code, stdout, stderr } = await runCli(["spec", "compare", ...args]);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toMatch(message);
    expect(stderr.trim().split("\n")).toHaveLength(1);
  });
});
