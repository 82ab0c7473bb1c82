/** @file `spec compare`: sections, statements, likeness and lengths by hand. */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { packagePath } from "../../src/base/package.js";
import { compareSpecs, type SpecComparison } from "../../src/corpus/compare-specs.js";
import { sectionsOf } from "../../src/corpus/sections.js";
import { statementsOf } from "../../src/corpus/statements.js";
import { mutateText, seeded } from "../formats/fuzz.js";

const CORPORA = packagePath("corpora");

function compare(...texts: string[]): SpecComparison {
  return compareSpecs(
    texts.map((text, i) => ({ name: "abc"[i]!, text, tokens: null })),
    [],
  );
}

describe("sections", () => {
  it("are the headings with text of their own; a title is not told by its words", () => {
    const spec =
      "# Spec, rules only\n\nAn introduction.\n\n## Rules ##\n\n### Price\nLow.\n\n## Limits\n### " +
      "Price\nNone.\n\n## Empty\n";
    expect(sectionsOf(spec)).toEqual([
      { heading: "Spec, rules only", key: "", body: "An introduction." },
      { heading: "Price", key: "rules > price", body: "Low." },
      { heading: "Price", key: "limits > price", body: "None." },
    ]);
  });

  it("several top headings are sections; text before the first is one too; a repeated heading is counted", () => {
    expect(sectionsOf("Before.\n# Rules\r\nOne.\n# Rules\nTwo.").map(({ key, body }) => [key, body])).toEqual([
      ["(before the first heading)", "Before."],
      ["rules", "One."],
      ["rules (2)", "Two."],
    ]);
  });

  it("a line of fenced code is no heading", () => {
    const [section, ...more] = sectionsOf("## Code\n```\n# a comment\n~~~\n## another\n```\nAfter.\n");
    expect(section?.body).toBe("```\n# a comment\n~~~\n## another\n```\nAfter.");
    expect(more).toEqual([]);
  });
});

describe("statements", () => {
  const kinds = (body: string, key = "rules"): string[] =>
    statementsOf({ key, body }).map(({ kind, text }) => `${kind}: ${text}`);

  it.each<[string, string[]]>([
    ["- Buy what is cheap.", ["rule: Buy what is cheap."]],
    ["- **R1.** Buy what is cheap. It costs little.", ["rule: Buy what is cheap.", "other: It costs little."]],
    ["**Access.** Everybody counts.", ["other: Everybody counts."]],
    ["It never lies. It is kind.", ["rule: It never lies.", "other: It is kind."]],
    // What follows a reason goes on with it, up to the next label or item.
    [
      "- R1. Buy it. The reason is thrift. Money is short. R1.1: Compare prices.\n- Keep it.",
      [
        "rule: Buy it.",
        "reason: The reason is thrift.",
        "reason: Money is short.",
        "subrule: Compare prices.",
        "rule: Keep it.",
      ],
    ],
    [
      "1. Buy it\n   on Monday.\n   - At the market.\n   - Because it is near.\n\n2. Keep it.",
      ["rule: Buy it on Monday.", "subrule: At the market.", "reason: Because it is near.", "rule: Keep it."],
    ],
    [
      "Say why. Why? It helps. That is why it was made.",
      ["other: Say why.", "reason: Why?", "reason: It helps.", "reason: That is why it was made."],
    ],
    [
      "R1 is short. 2.1 Compare. 3.5 % is close.",
      ["other: R1 is short.", "subrule: Compare.", "other: 3.5 % is close."],
    ],
    ["- Buy it, because money is short.", ["rule: Buy it", "reason: because money is short."]],
    ["It costs $3.50, e.g. at the market.", ["other: It costs $3.50, e.g. at the market."]],
  ])("%j", (body, expected) => expect(kinds(body)).toEqual(expected));

  it("under a heading that asks why all are reasons", () => {
    expect(kinds("- It must be cheap.", "why it matters > access")).toEqual(["reason: It must be cheap."]);
  });

  it.each([
    ["rules", { rule: 17, reason: 0, subrule: 0 }],
    ["rules-reasons", { rule: 17, subrule: 0 }],
    ["rules-subrules", { rule: 17, reason: 0, subrule: 17 }],
  ])("the five rules and twelve preferences of the cheese experiment, %s", (name, expected) => {
    const text = readFileSync(join(CORPORA, "cheese/specs/variants", `${name}.md`), "utf8");
    expect(compare(text, text).specs[0]?.counts).toMatchObject(expected);
  });
});

describe("a comparison", () => {
  const a = "# Spec, one\n\n## Rules\n\nBuy the cheap one.\n\n## Limits\n\nNone at all.\n\n## Old\n\nGone.";
  const b =
    "# Spec, two\n\n## Rules\n\nalways buy the\ncheap thing\n\n## LIMITS\n\nnone, at all\n\n## New\n\nHere now.";

  it("says what is the same, what changed and by how much, and what only one has", () => {
    const { pairs, sections } = compare(a, b);
    expect(sections).toEqual([
      { heading: "Rules", words: [4, 5] },
      { heading: "Limits", words: [3, 3] },
      { heading: "Old", words: [1, null] },
      { heading: "New", words: [null, 2] },
    ]);
    expect(pairs).toEqual([
      {
        a: "a",
        b: "b",
        // 4 + 3 + 1 words and 2 + 1 + 1 + 1 in headings; 5 + 3 + 2 and 5.
        words: { difference: 2 / 15, matched: false },
        tokens: null,
        // "buy the cheap" of 4 + 5, and all of 3 + 3; 8 + 10 words in sections.
        similarity: (2 * (3 + 3)) / 18,
        identical: ["Limits"],
        changed: [{ heading: "Rules", similarity: 6 / 9 }],
        onlyA: ["Old"],
        onlyB: ["New"],
      },
    ]);
  });

  it("sets every two variants side by side", () => {
    expect(compare(a, b, a).pairs.map((pair) => [pair.a, pair.b, pair.similarity])).toEqual([
      ["a", "b", 2 / 3],
      ["a", "c", 1],
      ["b", "c", 2 / 3],
    ]);
  });

  it("the order of words counts", () => {
    const spec = (words: string): string => `## Rules\n${words}`;
    expect(compare(spec("one two three four"), spec("four three two one")).pairs[0]?.similarity).toBe(1 / 4);
  });

  it.each([
    [19, true],
    [18, false],
  ])("20 and %d words: matched %s", (words, matched) => {
    // The heading is a word.
    const spec = (n: number): string => `## Rules\n${"word ".repeat(n - 1)}`;
    expect(compare(spec(20), spec(words)).pairs[0]?.words).toEqual({ difference: (20 - words) / 20, matched });
  });

  it("of tokens where they were counted", () => {
    const variants = [100, 94].map((tokens) => ({ name: `${tokens}`, text: a, tokens }));
    expect(compareSpecs(variants, []).pairs[0]?.tokens).toEqual({ difference: 6 / 100, matched: false });
  });

  it("with corpora: how many of their texts speak of each section", () => {
    const specs = [
      "## Price\nCheap cheese, cheap bread, low prices.\n## Origin\nHome dairies, home farms.",
      "## Price\nCheap cheese, cheap bread, low prices.",
    ];
    const texts = ["A cheap bread at a low price.", "Dairies and farms at home.", "Nothing."];
    const { coverage } = compareSpecs(
      specs.map((text, i) => ({ name: `${i}`, text, tokens: null })),
      [{ name: "docs", texts }],
    );
    expect(coverage).toEqual([
      {
        corpus: "docs",
        texts: 3,
        sections: [
          { heading: "Price", texts: [1, 1] },
          { heading: "Origin", texts: [1, null] },
        ],
      },
    ]);
  });
});

describe("the variants that ship", () => {
  it.each(["cheese/specs/variants", "miniature/variants"])("%s: reasons and sub-rules at the same length", (folder) => {
    const variant = (name: string) => ({
      name,
      text: readFileSync(join(CORPORA, folder, `${name}.md`), "utf8"),
      tokens: null,
    });
    const { pairs, specs } = compareSpecs(["rules-reasons", "rules-subrules"].map(variant), []);
    expect(pairs[0]?.words.matched).toBe(true);
    expect(specs[0]?.counts.reason).toBeGreaterThan(5);
    expect(specs[1]?.counts).toMatchObject({ rule: specs[0]?.counts.rule, reason: 0 });
  });
});

it("10,000 damaged specs: no word of a section is lost; every tenth compares the same from either side", () => {
  const whole = readFileSync(join(CORPORA, "miniature/variants/rules-subrules.md"), "utf8");
  const letters = (text: string): string => text.replace(/[^\p{L}]/gu, "");
  for (let seed = 0; seed < 10_000; seed++) {
    const damaged = mutateText(whole, seeded(seed));
    for (const section of sectionsOf(damaged)) {
      const stated = statementsOf(section).map(({ text }) => text);
      // Labels ("R1.1") and bold lead-ins are left out.
      expect(letters(section.body).length).toBeGreaterThanOrEqual(letters(stated.join("")).length);
      if (!/[\d*]/.test(section.body)) expect(letters(stated.join(""))).toBe(letters(section.body));
    }
    if (seed % 10 > 0) continue;
    const [there] = compare(whole, damaged).pairs;
    const [back] = compare(damaged, whole).pairs;
    expect(back?.similarity).toBe(there?.similarity);
    expect(back?.onlyA).toEqual(there?.onlyB);
    expect(compare(damaged, damaged).pairs[0]).toMatchObject({ similarity: 1, changed: [], onlyA: [], onlyB: [] });
  }
}, 60_000);
