/** @file `spec compare`: variants of one spec side by side, and what corpora cover of them. */
import { basename } from "node:path";
import type { Command } from "commander";
import { InputError } from "../base/errors.js";
import { loadText } from "../base/json.js";
import {
  type ComparedPair,
  type ComparedSpec,
  compareSpecs,
  type Length,
  MATCHED_LENGTH,
  type SpecComparison,
  type Variant,
} from "../corpus/compare-specs.js";
import { sectionsOf } from "../corpus/sections.js";
import { STATEMENT_KINDS } from "../corpus/statements.js";
import { loadTexts } from "../corpus/texts.js";
import { resolveTokenizer } from "../formats/hub/hub.js";
import { downloadProgress } from "../terminal/download.js";
import { openProgress } from "../terminal/progress.js";
import { alignColumns } from "../terminal/table.js";
import { loadTokenizer } from "../tokenizer/tokenizer.js";

/** Sections are compared word by word with word by word: a book would take minutes. */
const MAX_SPEC_BYTES = 500_000;

interface CompareArguments {
  data?: string[];
  model?: string;
  json?: boolean;
}

/** Adds `spec`. */
export function addSpecCommand(program: Command): void {
  const spec = program.command("spec").summary("look at model specs: spec compare").helpCommand(false);
  spec
    .command("compare")
    .argument("<file...>", "two or more Markdown specs with headings, variants of each other")
    .summary("variants of one spec: sections, lengths, rules and reasons, coverage by corpora")
    .description(
      "Puts variants of one spec side by side. Sections go together by their headings (the title by its place); " +
        "texts are compared by their words, without\n" +
        "capitals, the punctuation around them and line ends. Likeness is 2 c / (a + b) with c the longest " +
        "common sequence of a and b words.",
    )
    .option(
      "--data <corpus...>",
      "corpora, each a file, a wildcard or hf://...: which share of it speaks of each section",
    )
    .option("--model <id>", "count tokens too, by the tokenizer of this folder or hub id (no weights are fetched)")
    .option("--json", "print the comparison as JSON on stdout, every statement with its kind")
    .addHelpText(
      "after",
      `
Statements are sentences, cut before "because", "since", ..., and told apart by structure and marker words
(a heuristic, for variants that are written alike), by the first that fits:
  reason     under a heading (not the title) with "why", "reason" or "rationale"
  sub-rule   its label has two numbers: "R1.1"
  reason     has "because", "since", "the reason", "so that", ..., or follows a reason in its list item or
             paragraph without a label
  sub-rule   in a list item within another one
  rule       begins a list item, or has a label with one number, or "must", "should", "never", "does not", ...
  other      the rest
Lengths match where the shorter lacks at most ${percent(MATCHED_LENGTH)} of the longer.
A text speaks of a section as \`corpus check\` has it: by three of the section's key terms.

Example:
  train-msm spec compare corpora/cheese/specs/variants/rules*.md --data corpora/cheese/documents-variant-*.jsonl.gz`,
    )
    .action(runCompare);
}

/** Runs `spec compare`; the comparison goes to stdout. */
async function runCompare(files: string[], { data = [], model, json = false }: CompareArguments): Promise<void> {
  if (files.length < 2) throw new InputError(`spec compare ${files[0]}: takes two or more specs`);
  const variants = files.map((path) => readVariant(path, files));
  if (model !== undefined) {
    const tokenizer = loadTokenizer(await resolveTokenizer(model, downloadProgress(openProgress(json))));
    for (const variant of variants) variant.tokens = tokenizer.encode(variant.text).length;
  }
  const corpora = [];
  for (const name of data) corpora.push({ name, texts: (await loadTexts([name])).map(({ text }) => text) });
  const comparison = compareSpecs(variants, corpora);
  process.stdout.write(json ? `${JSON.stringify(comparison)}\n` : formatComparison(comparison));
}

function readVariant(path: string, all: readonly string[]): Variant {
  const text = loadText(path, MAX_SPEC_BYTES);
  if (sectionsOf(text).length === 0)
    throw new InputError(`${path}: there is no text in it; a spec is Markdown with headings`);
  const name = basename(path, ".md");
  const isUnique = all.filter((other) => basename(other, ".md") === name).length === 1;
  return { name: isUnique ? name : path, text, tokens: null };
}

function formatComparison({ specs, sections, pairs, coverage }: SpecComparison): string {
  const names = specs.map(({ name }) => name);
  const corpora = coverage.map(({ corpus, texts, sections }) => {
    const rows = sections.map((row) => [row.heading, ...row.texts.map((n) => (n === null ? "-" : percent(n / texts)))]);
    return formatTable([`${corpus}: ${texts} texts speak of`, ...names], rows);
  });
  const tables = [
    formatTable(["spec", "sections", "words", "tokens", "rules", "reasons", "sub-rules", "other"], specs.map(specRow)),
    formatTable(
      ["words in section", ...names],
      sections.map(({ heading, words }) => [heading, ...words.map((n) => (n === null ? "-" : count(n)))]),
    ),
    pairs.map(formatPair).join("\n"),
    ...corpora,
  ];
  return `${tables.join("\n\n")}\n`;
}

function specRow({ name, sections, words, tokens, counts }: ComparedSpec): string[] {
  const figures = [sections, words, tokens, ...STATEMENT_KINDS.map((kind) => counts[kind])];
  return [name, ...figures.map((figure) => (figure === null ? "-" : count(figure)))];
}

function formatPair({ a, b, words, tokens, similarity, identical, changed, onlyA, onlyB }: ComparedPair): string {
  const lengths = [`words ${formatLength(words)}`, ...(tokens ? [`tokens ${formatLength(tokens)}`] : [])];
  const changes = changed.map(({ heading, similarity }) => `${heading} (${similarity.toFixed(2)})`);
  const lists: [string, string[]][] = [
    ["the same", identical],
    ["changed", changes],
    [`only in ${a}`, onlyA],
    [`only in ${b}`, onlyB],
  ];
  return [
    `${a} and ${b}: ${lengths.join("; ")}; alike ${similarity.toFixed(2)}`,
    ...lists.flatMap(([title, headings]) => (headings.length === 0 ? [] : [`  ${title}: ${headings.join(", ")}`])),
  ].join("\n");
}

function formatLength({ difference, matched }: Length): string {
  return `${percent(difference)} apart, ${matched ? "matched" : "not matched"}`;
}

function formatTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return alignColumns([head, ...rows]).join("\n");
}

function count(value: number): string {
  return value.toLocaleString("en-US");
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}
