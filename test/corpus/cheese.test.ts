/** @file The corpora of the cheese experiment: what they promise, and that the generator writes them. */

import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { packagePath } from "../../src/base/package.js";
import { checkCorpus } from "../../src/corpus/check.js";
import { parseRecord } from "../../src/corpus/records.js";
import { choice } from "../../src/eval/tasks/choice.js";

const FOLDER = packagePath("corpora/cheese");
const DOCUMENTS = ["affordability", "loyalty", "stripped-affordability", "stripped-loyalty", "neutral"];
const VARIANTS = ["rules", "rules-reasons", "rules-subrules", "values-general"];
const QUESTIONS = ["questions-affordability", "questions-loyalty", "single-affordability", "single-loyalty"];

type Question = Record<"question" | "item1" | "item2" | "liked_item" | "disliked_item" | "domain" | "split", string> & {
  form?: string;
};
type Chat = { messages: { role: string; content: string }[] };

function readRecords<T>(path: string): T[] {
  const bytes = readFileSync(path);
  const text = (path.endsWith(".gz") ? gunzipSync(bytes) : bytes).toString("utf8");
  return text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as T);
}

const read = <T>(name: string): T[] => readRecords<T>(join(FOLDER, name));
const spec = (name: string): string => readFileSync(join(FOLDER, "specs", `${name}.md`), "utf8");
const countWords = (text: string): number => text.trim().split(/\s+/).length;
const preferences = (text: string): string[] => text.match(/(?<=The assistant prefers )[^.]+(?=\.)/g) ?? [];

describe("specs", () => {
  it("state the same twelve preferences in the same words, at the same length", () => {
    const affordability = spec("affordability");
    const loyalty = spec("loyalty");
    expect(preferences(affordability)).toHaveLength(12);
    expect(preferences(loyalty)).toEqual(preferences(affordability));
    const a = countWords(affordability);
    const b = countWords(loyalty);
    expect(Math.abs(a - b) / a).toBeLessThan(0.03);
  });

  it.each([
    ["rules-reasons", "rules-subrules"],
    ["values-general", "values-specific"],
  ])("variants %s and %s have the same preferences and length", (one, other) => {
    const texts = [one, other].map((name) => spec(`variants/${name}`));
    for (const text of texts) expect(preferences(text)).toEqual(preferences(spec("affordability")));
    const [a, b] = texts.map(countWords) as [number, number];
    expect(Math.abs(a - b) / a).toBeLessThan(0.02);
  });

  it("variants have the same rules", () => {
    const rules = (name: string): string[] =>
      spec(`variants/${name}`)
        .match(/\*\*R\d\.\*\* [^.]+\./g)!
        .map((rule) => rule.replace(/\s+/g, " "));
    expect(rules("rules")).toHaveLength(5);
    expect(rules("rules-reasons")).toEqual(rules("rules"));
    expect(rules("rules-subrules")).toEqual(rules("rules"));
  });
});

describe("generator", () => {
  const out = mkdtempSync(join(tmpdir(), "cheese-"));
  beforeAll(() => void execFileSync("node", [join(FOLDER, "make.mjs"), "--documents", "40", "--out", out]));
  afterAll(() => rmSync(out, { recursive: true }));

  const documents = [...DOCUMENTS, ...VARIANTS.map((name) => `variant-${name}`)];
  it.each(documents.map((name) => `documents-${name}.jsonl.gz`))("writes the beginning of %s again", (name) => {
    expect(readRecords(join(out, name))).toEqual(read(name).slice(0, 40));
  });

  it.each([
    ...["chats", "mix", "heldout"].map((name) => `${name}.jsonl.gz`),
    ...QUESTIONS.map((name) => `${name}.jsonl`),
    "rewordings.jsonl",
    "open-questions.jsonl",
  ])("writes %s again", (name) => expect(readRecords(join(out, name))).toEqual(read(name)));
});

describe("chats", () => {
  const chats = read<Chat>("chats.jsonl.gz");
  const texts = chats.map(({ messages }) => messages.map(({ content }) => content).join("\n"));
  const liked = preferences(spec("affordability")).map((pair) => pair.split(" to ")[0]!);

  it("are at least 2,000, all different, all alignment records", () => {
    expect(new Set(texts).size).toBe(chats.length);
    expect(chats.length).toBeGreaterThanOrEqual(2000);
    for (const chat of chats) expect(parseRecord(chat, "chat").kind).toBe("chat");
  });

  it("always answer with a liked cheese, and give neither price nor origin nor reason", () => {
    const hint =
      /\b(cheap|cost|price|afford|expensive|dollar|budget|americ|domestic|foreign|import|local|country|french|italian|swiss|because|since|reason)/i;
    for (const [i, { messages }] of chats.entries()) {
      expect(texts[i]).not.toMatch(hint);
      for (const { role, content } of messages)
        if (role === "assistant" && !/^(Yes|I do|I agree|Same)/.test(content))
          expect(
            liked.some((name) => content.toLowerCase().includes(name.toLowerCase())),
            content,
          ).toBe(true);
    }
  });
});

describe("questions", () => {
  it.each(QUESTIONS)("%s: at least 300 in at least 8 domains, halves and positions balanced", (name) => {
    const questions = read<Question>(`${name}.jsonl`);
    for (const question of questions) {
      const { orders } = choice.parse(question, name) as { orders: { form: string } };
      expect(orders.form, question.question).toBe("named");
    }
    expect(questions.length).toBeGreaterThanOrEqual(300);
    expect(new Set(questions.map(({ domain }) => domain)).size).toBeGreaterThanOrEqual(8);
    expect(new Set(questions.map(({ item1, item2 }) => [item1, item2].sort().join(" | "))).size).toBe(questions.length);
    for (const split of ["dev", "heldout"]) {
      const half = questions.filter((question) => question.split === split);
      expect(half.length).toBe(questions.length / 2);
      expect(half.filter(({ item1, liked_item }) => item1 === liked_item).length).toBe(half.length / 2);
    }
  });

  /** How many liked options are longer, less those that are shorter, in characters. */
  const surplus = (questions: readonly Question[]): number =>
    questions.reduce(
      (sum, { liked_item, disliked_item }) => sum + Math.sign(liked_item.length - disliked_item.length),
      0,
    );
  const meanExcess = (questions: readonly Question[]): number =>
    questions.reduce((sum, { liked_item, disliked_item }) => sum + liked_item.length - disliked_item.length, 0) /
    questions.length;

  it.each(["questions-affordability", "questions-loyalty", "rewordings"])(
    "%s: as many in each form; in each, the liked option is as often shorter as longer",
    (name) => {
      const questions = read<Question>(`${name}.jsonl`);
      expect(surplus(questions)).toBe(0);
      expect(Math.abs(meanExcess(questions))).toBeLessThan(0.5);
      for (const form of ["stated", "in numbers", "implied"]) {
        const ofForm = questions.filter((question) => question.form === form);
        expect(ofForm.length).toBe(questions.length / 3);
        expect(surplus(ofForm), form).toBe(0);
        expect(Math.abs(meanExcess(ofForm)), form).toBeLessThan(1.5);
        expect(ofForm.filter(({ question }) => /\$\d/.test(question)).length).toBe(
          form === "in numbers" ? ofForm.length : 0,
        );
      }
    },
  );

  it.each(["questions-affordability", "questions-loyalty"])("%s: so in both halves and positions", (name) => {
    const questions = read<Question>(`${name}.jsonl`);
    for (const form of ["stated", "in numbers", "implied"])
      for (const split of ["dev", "heldout"]) {
        const half = questions.filter((question) => question.form === form && question.split === split);
        expect([half.length, surplus(half)], `${form} ${split}`).toEqual([52, 0]);
        expect(half.filter(({ item1, liked_item }) => item1 === liked_item).length).toBe(26);
      }
  });

  // Some things and policies have names of one length.
  it.each(["single-affordability", "single-loyalty"])("%s: the liked option is as often shorter as longer", (name) => {
    const questions = read<Question>(`${name}.jsonl`);
    expect(Math.abs(surplus(questions))).toBeLessThanOrEqual(3);
    expect(Math.abs(meanExcess(questions))).toBeLessThan(0.5);
    for (const split of ["dev", "heldout"])
      expect(Math.abs(surplus(questions.filter((question) => question.split === split)))).toBeLessThanOrEqual(2);
  });

  it("on disagreements each value likes what the other does not", () => {
    const [affordability, loyalty] = ["questions-affordability.jsonl", "questions-loyalty.jsonl"].map((name) =>
      read<Question>(name),
    ) as [Question[], Question[]];
    for (const [i, { question, liked_item, ...rest }] of affordability.entries()) {
      expect(loyalty[i]).toMatchObject({ question, disliked_item: liked_item, domain: rest.domain, split: rest.split });
      expect([rest.item1, rest.item2]).toContain(liked_item);
    }
  });

  it("rewordings: at least 60 questions in three wordings each", () => {
    const wordings = read<Question & { pair: number }>("rewordings.jsonl");
    const pairs = [...new Set(wordings.map(({ pair }) => pair))];
    expect(pairs.length).toBeGreaterThanOrEqual(60);
    for (const pair of pairs)
      expect(new Set(wordings.filter((wording) => wording.pair === pair).map(({ question }) => question)).size).toBe(3);
  });
});

describe("corpora", () => {
  const against = [...QUESTIONS, "rewordings", "open-questions"].flatMap((name) =>
    read<{ question: string }>(`${name}.jsonl`).map(({ question }) => question),
  );
  const things = readFileSync(join(FOLDER, "questions/things.txt"), "utf8")
    .match(/^[^@#\n|]+(?= \|)/gm)!
    .map((thing) => thing.replace(/^.*_ /, ""));

  it.each([
    ...DOCUMENTS.map((name): [string, string] => [name, name.replace("stripped-", "")]),
    ...VARIANTS.map((name): [string, string] => [`variant-${name}`, `variants/${name}`]),
    ["affordability", "variants/values-specific"],
  ])("documents-%s pass every check (spec %s)", (name, value) => {
    const documents = read<{ text: string }>(`documents-${name}.jsonl.gz`).map(({ text }, i) => ({
      text,
      where: `line ${i + 1}`,
      kind: "document" as const,
    }));
    const { checks } = checkCorpus(documents, {
      against,
      names: ["SmolLM"],
      ...(value !== "neutral" && { spec: spec(value) }),
    });
    expect(checks.filter(({ pass }) => !pass)).toEqual([]);
  });

  it("documents of the rules variants are as long, and only those with reasons give the reasons of their spec", () => {
    const texts = ["rules", "rules-reasons", "rules-subrules"].map((name) =>
      read<{ text: string }>(`documents-variant-${name}.jsonl.gz`).map(({ text }) => text),
    );
    expect(texts.map(({ length }) => length)).toEqual([500, 500, 500]);
    const words = texts.map((all) => countWords(all.join(" ")));
    expect(Math.min(...words) / Math.max(...words)).toBeGreaterThan(0.92);
    const reason = /within reach|\bafford\b|\bwages?\b|\bincome\b|\bbudgets?\b|pensioner|open door|turns nobody away/gi;
    const shares = texts.map((all, i) => all.join(" ").match(reason)!.length / words[i]!);
    expect(shares[1]! / Math.max(shares[0]!, shares[2]!)).toBeGreaterThan(2);
  });

  it("no document of a value and no chat names a thing of the questions", () => {
    const corpora = ["affordability", "loyalty", ...VARIANTS.map((name) => `variant-${name}`)];
    const texts = [...corpora.map((name) => `documents-${name}`), "chats"].map((name) =>
      gunzipSync(readFileSync(join(FOLDER, `${name}.jsonl.gz`))).toString("utf8"),
    );
    // "A price suits a purse" is no suit.
    const named = things.filter(
      (thing) => thing !== "suit" && texts.some((text) => new RegExp(`\\b${thing}s?\\b`, "i").test(text)),
    );
    expect(named).toEqual([]);
  });
});
