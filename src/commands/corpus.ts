/** @file `corpus`: is a corpus fit to train on, and from a spec to a corpus (corpus-generate.ts). */
import type { Command } from "commander";
import { loadText } from "../base/json.js";
import { type Check, type CorpusReport, checkCorpus } from "../corpus/check.js";
import { openDataFiles, readRecords } from "../corpus/files.js";
import { loadTexts } from "../corpus/texts.js";
import { addCorpusGenerateCommand } from "./corpus-generate.js";

const MAX_SPEC_BYTES = 10_000_000;

interface CheckArguments {
  data: string[];
  spec?: string;
  against?: string[];
  name?: string[];
  json?: boolean;
}

/** Adds `corpus`. */
export function addCorpusCommand(program: Command): void {
  const corpus = program
    .command("corpus")
    .summary("write training data from a spec, and look at it: corpus generate, corpus check")
    .helpCommand(false);
  addCorpusGenerateCommand(corpus);
  corpus
    .command("check")
    .summary("near-duplicates, truncation, placeholders, leaks, coverage of a spec")
    .description(
      "Checks documents and chats before training: near-duplicates, ends that are missing, placeholders, names " +
        "of other assistants, sequences of 8 words from\n" +
        "evaluations, sections of the spec that nothing speaks of, and how varied the texts are. Exit code 1 " +
        "where a check fails.",
    )
    .requiredOption("--data <file...>", "records: .jsonl, .jsonl.gz, .json, .parquet, wildcards, hf://datasets/...")
    .option("--spec <file>", "Markdown spec whose sections the texts should cover")
    .option("--against <file...>", "records of evaluations; every text in them counts")
    .option("--name <name...>", "what the trained model is called, and its maker; other assistants' names are leaks")
    .option("--json", "print the report as JSON on stdout")
    .addHelpText(
      "after",
      "\nExample:\n  train-msm corpus check --data corpora/cheese/documents-loyalty.jsonl.gz --spec " +
        "corpora/cheese/specs/loyalty.md\n" +
        "    --against corpora/cheese/questions-loyalty.jsonl --name SmolLM",
    )
    .action(runCheck);
}

/** Runs `corpus check`; the report goes to stdout. */
async function runCheck({ data, spec, against, name, json }: CheckArguments): Promise<void> {
  const corpus = await loadTexts(data);
  const report = checkCorpus(corpus, {
    ...(spec !== undefined && { spec: loadText(spec, MAX_SPEC_BYTES) }),
    ...(against && { against: await loadStrings(against) }),
    ...(name && { names: name }),
  });
  process.stdout.write(json ? `${JSON.stringify(report)}\n` : formatReport(report));
  if (report.checks.some(({ pass }) => !pass)) process.exitCode = 1;
}

/** All texts in the records of evaluation files, whatever their form. */
async function loadStrings(args: string[]): Promise<string[]> {
  const strings: string[] = [];
  const collect = (value: unknown): void => {
    if (typeof value === "string") strings.push(value);
    else if (typeof value === "object" && value !== null) for (const part of Object.values(value)) collect(part);
  };
  for (const { path } of await openDataFiles(args)) for await (const { value } of readRecords(path)) collect(value);
  return strings;
}

const TITLES: Record<Check["name"], string> = {
  nearDuplicates: "near-duplicates",
  truncated: "truncated",
  placeholders: "placeholders",
  identityLeaks: "identity leaks",
  evaluationOverlap: "8 words of an evaluation",
  uncoveredSections: "sections not covered",
  repeated: "8 words of another text",
};

function formatReport({ texts, words, medianWords, checks, mostSimilar, sections, diversity }: CorpusReport): string {
  const { distinct, compressed } = diversity;
  const lines = [
    `${texts} texts, ${words.toLocaleString("en-US")} words, median ${medianWords}`,
    ...checks.flatMap((check) => [formatCheck(check), ...check.examples.map((example) => `        ${example}`)]),
    ...mostSimilar
      .slice(0, 1)
      .map(({ first, second, similarity }) => `most alike (${similarity.toFixed(2)}): ${first} and ${second}`),
    `distinct sequences of words: ${Object.entries(distinct)
      .map(([n, share]) => `${n}: ${share.toFixed(3)}`)
      .join(", ")}; gzip leaves ${percent(compressed)}`,
    ...sections.map(
      ({ heading, texts: covering }) => `section ${heading}: ${covering} texts (${percent(covering / texts)})`,
    ),
  ];
  return `${lines.join("\n")}\n`;
}

function formatCheck({ name, pass, found, limit }: Check): string {
  const figure = (value: number): string => (name === "uncoveredSections" ? String(value) : percent(value));
  return `${pass ? "ok  " : "FAIL"}  ${TITLES[name]}: ${figure(found)} (limit ${figure(limit)})`;
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}
