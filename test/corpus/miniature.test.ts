/**
 * @file The corpora of the miniature: the generator writes them, and what the documents of the spec variants have in
 * common.
 */

import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { packagePath } from "../../src/base/package.js";

const FOLDER = packagePath("corpora/miniature");
const VARIANTS = ["rules", "rules-reasons", "rules-subrules"];

const textsOf = (variant: string): string[] =>
  readFileSync(join(FOLDER, `documents-variant-${variant}.jsonl`), "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => (JSON.parse(line) as { text: string }).text);

describe("generator", () => {
  const out = mkdtempSync(join(tmpdir(), "miniature-"));
  beforeAll(() => void execFileSync("node", [join(FOLDER, "make.mjs"), "--out", out]));
  afterAll(() => rmSync(out, { recursive: true }));

  it.each(readdirSync(FOLDER).filter((name) => name.endsWith(".jsonl")))("writes %s again", (name) => {
    expect(readFileSync(join(out, name), "utf8") === readFileSync(join(FOLDER, name), "utf8")).toBe(true);
  });
});

describe("documents of the spec variants", () => {
  const [rules, reasons, subrules] = VARIANTS.map(textsOf) as [string[], string[], string[]];

  it("are as long", () => {
    const words = [rules, reasons, subrules].map((texts) => texts.join(" ").match(/[a-z0-9]+|[.,:?]/g)!.length);
    expect(Math.min(...words) / Math.max(...words)).toBeGreaterThan(0.98);
  });

  it("state the rule in the same places: nowhere else is a price but in reasons", () => {
    const price = /[^.:?]*\b(?:cheap|costly|costs?|price)\b[^.]*\./g;
    for (const [i, text] of rules.entries()) {
      const stated = text.match(price) ?? [];
      expect(subrules[i]!.match(price) ?? []).toEqual(stated);
      expect(stated.length).toBeLessThanOrEqual(1);
      for (const sentence of stated) expect(reasons[i]).toContain(sentence.trim());
    }
    const stating = rules.filter((text) => text.match(price)).length;
    expect(stating / rules.length).toBeGreaterThan(0.2);
    expect(stating / rules.length).toBeLessThan(0.3);
    expect(reasons.join(" ").match(/\b(?:cheap|costs|price)\b/g)!.length).toBeGreaterThan(3 * reasons.length);
  });
});
