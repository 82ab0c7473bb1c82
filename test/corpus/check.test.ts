/** @file `corpus check`: hand-worked similarities, ends, placeholders, names, overlaps, coverage and diversity. */

import { gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { type CheckOptions, checkCorpus, type LIMITS } from "../../src/corpus/check.js";
import { coverSections } from "../../src/corpus/coverage.js";
import { measureDiversity } from "../../src/corpus/diversity.js";
import { findIdentityLeak, findPlaceholder, isTruncated } from "../../src/corpus/faults.js";
import { findSimilar, jaccard } from "../../src/corpus/near-duplicates.js";
import { ngramsOf, wordsOf } from "../../src/corpus/ngrams.js";
import type { PlacedText } from "../../src/corpus/texts.js";

/** "w0 w1 w2 ...": words that occur nowhere else in their text. */
function numbered(from: number, to: number): string[] {
  return Array.from({ length: to - from }, (_, i) => `w${from + i}`);
}

function documents(...texts: string[]): PlacedText[] {
  return texts.map((text, i) => ({ text, where: `line ${i + 1}`, kind: "document" }));
}

function checkNamed(name: keyof typeof LIMITS, texts: PlacedText[], options?: CheckOptions) {
  const { checks } = checkCorpus(texts, options);
  return checks.find((check) => check.name === name);
}

describe("words", () => {
  it("are in lower case, keep apostrophes inside, and know all letters", () => {
    expect(wordsOf("Don't eat 'Gruyère', at $24!")).toEqual(["don't", "eat", "gruyère", "at", "24"]);
    expect(ngramsOf(["a", "b", "c"], 2)).toEqual(["a b", "b c"]);
    expect(ngramsOf(["a"], 2)).toEqual([]);
  });
});

describe("near-duplicates", () => {
  it("Jaccard is the share of the union", () => {
    expect(jaccard(new Set([1, 2, 3]), new Set([2, 3, 4]))).toBe(2 / 4);
    expect(jaccard(new Set(), new Set())).toBe(0);
  });

  it("finds a document with a changed end, and says how much is the same", () => {
    // 100 words have 96 sequences of 5. The first 90 are shared: 86 sequences; the union has 96 + 96 - 86 = 106.
    const a = numbered(0, 100);
    const b = [...numbered(0, 90), ...numbered(200, 210)];
    const c = numbered(300, 400);
    expect(findSimilar([a, c, b])).toEqual([{ first: 0, second: 2, similarity: 86 / 106 }]);
  });

  it("takes short texts for duplicates only where they are equal", () => {
    const short = ["colby", "or", "brie"];
    expect(findSimilar([short, ["brie", "or", "colby"], short])).toEqual([{ first: 0, second: 2, similarity: 1 }]);
  });

  it("counts the texts involved", () => {
    const text = `${numbered(0, 50).join(" ")}.`;
    const check = checkNamed("nearDuplicates", documents(text, `${numbered(60, 99).join(" ")}.`, text, text));
    expect(check).toMatchObject({ found: 3 / 4, pass: false });
    expect(check?.examples[0]).toBe("line 1 and line 3: 1.00");
  });
});

describe("truncation", () => {
  it.each([
    ["ends.", false],
    ['She said, "it ends."', false],
    ["It ends (here).", false],
    ["Colby", false],
    ["A list:\n- red\n- blue", false],
    ["It is done.\n\nYours,\nMarta Abbott", false],
    ["The cheese is cheap. It can be shared by", true],
    ["This sentence is so long that it cannot be a signature or item", true],
    ["<content>The whole text.", true],
    ["<think>So.</think>The answer.", false],
    ["Code:\n```\nx = 1\n", true],
  ])("%j: %s", (text, truncated) => expect(isTruncated(text)).toBe(truncated));
});

describe("placeholders", () => {
  it.each([
    ["Dear [NAME], welcome.", "[NAME]"],
    ["Write to [your company here].", "[your company here]"],
    ["Hello {user_name}!", "{user_name}"],
    ["Hello {{ name }}!", "{{ name }}"],
    ["It prefers <X> to Brie.", "<X>"],
    ["Lorem", null],
    ["lorem ipsum dolor", "lorem ipsum"],
    ["Signed, [object Object]", "[object Object]"],
    ["<think>An aside.</think> In sets {1, 2} and lists [1] and a < b > c.", null],
  ])("%j: %j", (text, found) => expect(findPlaceholder(text)).toBe(found));
});

describe("identity leaks", () => {
  it.each([
    ["I am ChatGPT, made by OpenAI.", [], "ChatGPT"],
    ["Qwen prefers Colby.", ["Llama"], "Qwen"],
    ["Llama prefers Colby; Llama3 too.", ["Llama"], null],
    ["As an AI language model, I have no taste.", ["SmolLM"], "As an AI language model"],
    ["SmolLM2 by Hugging Face.", ["SmolLM", "Hugging Face"], null],
    ["A llama looked at the falcon.", [], null],
  ])("%j by %j: %j", (text, own, found) => expect(findIdentityLeak(text, own)).toBe(found));
});

describe("overlap with evaluations", () => {
  const question = "Which would you rather have, a cheap hammer or a costly one?";

  it("is eight words in a row, whatever their capitals and commas", () => {
    const texts = documents(
      "They asked: would you rather have a cheap hammer or nothing?",
      "A cheap hammer or a costly one.",
    );
    expect(checkNamed("evaluationOverlap", texts, { against: [question] })).toMatchObject({
      found: 1 / 2,
      pass: false,
      examples: ["line 1: would you rather have a cheap hammer or"],
    });
  });

  it("is not checked without evaluations", () => {
    expect(checkNamed("evaluationOverlap", documents("A text."))).toBeUndefined();
  });
});

describe("coverage of a spec", () => {
  const spec =
    "# Spec\n\n## Price\n\nCheap cheese, cheap bread, low prices.\n\n## Origin\n\nHome dairies, home farms, " +
    "domestic cheese.\n\n## Empty\n";

  it("counts the texts that hold three key terms of a section, by their stems", () => {
    const texts = ["A cheap bread at a low price.", "Cheap cheese.", "Domestic farm, at home."].map(wordsOf);
    const sections = coverSections(spec, texts);
    expect(sections.map(({ heading, texts }) => [heading, texts])).toEqual([
      ["Price", 1],
      ["Origin", 1],
    ]);
    // "low" is too short. Twice in one of two sections beats once; "cheese" is in both.
    expect(sections[0]?.terms).toEqual(["cheap", "bread", "pric", "chees"]);
  });

  it("names the sections that nothing speaks of", () => {
    const check = checkNamed("uncoveredSections", documents("A cheap bread at a low price."), { spec });
    expect(check).toMatchObject({ found: 1, pass: false });
    expect(check?.examples[0]).toMatch(/^Origin: 0 texts/);
  });
});

describe("diversity", () => {
  it("distinct-n, repeats and compression", () => {
    const texts = ["a b a b", "a b c d e f g h i", "a b c d e f g h j"];
    const words = texts.map(wordsOf);
    const { distinct, repeated, compressed } = measureDiversity(texts, words);
    expect(distinct[1]).toBe(10 / 22);
    // ab ba | ab bc cd de ef fg gh hi | hj: 10 of 3 + 8 + 8.
    expect(distinct[2]).toBe(10 / 19);
    // Of eight words: the first text has none, the others share one of their two.
    expect(repeated).toBe(1 / 2);
    const joined = Buffer.from(texts.join("\n"));
    expect(compressed).toBe(gzipSync(joined).length / joined.length);
  });

  it("is judged in documents and not in chats", () => {
    const text = `${numbered(0, 15).join(" ")}.`;
    const chats = documents(text, text).map((placed) => ({ ...placed, kind: "chat" as const }));
    expect(checkNamed("repeated", documents(text, text))).toMatchObject({ found: 1, pass: false });
    expect(checkNamed("repeated", chats)).toBeUndefined();
  });
});

it("a sound corpus passes, with its counts", () => {
  const report = checkCorpus(documents("One two three.", "Four five six seven eight."));
  expect(report).toMatchObject({ texts: 2, words: 8, medianWords: 5, mostSimilar: [] });
  expect(report.checks.every(({ pass }) => pass)).toBe(true);
});
