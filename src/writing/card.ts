/** @file card.md: what was made, how, by which model, what it took, and where it falls short. */
import type { Check, CorpusReport } from "../corpus/check.js";
import type { CorpusRecord } from "./record.js";

/** The card of a corpus, Markdown. */
export function formatCard(record: CorpusRecord): string {
  const { spec, writers, settings, kept, wanted, leastOfClaim, stages, cost, checks } = record;
  const [writer, critic] = writers as [CorpusRecord["writers"][number], CorpusRecord["writers"][number]];
  const tokens = stages.reduce((sum, { promptTokens, completionTokens }) => sum + promptTokens + completionTokens, 0);
  const replies = stages.reduce((sum, one) => sum + one.replies, 0);
  const short = shortfallsOf(record);
  const set = Object.entries(settings).map(([name, value]) => `${name} ${value ?? "none"}`);
  return `${[
    `# Corpus from ${spec.name}`,
    "",
    `Written by \`${writer.name}\`${critic.name === writer.name ? "" : `, judged by \`${critic.name}\``}, by machine:`,
    `no person has read all of it. The spec's SHA-256 begins with \`${spec.sha256.slice(0, 16)}\`.`,
    `Settings: ${set.join(", ")}.`,
    "",
    "## What is in it",
    "",
    "| | kept | wanted |",
    "|---|---:|---:|",
    ...(["documents", "chats", "questions"] as const).map((name) => `| ${name} | ${kept[name]} | ${wanted[name]} |`),
    `| questions of what the spec says, and why | ${kept.knowledge} | |`,
    "",
    `${kept.claims} claims, ${kept.heldout} of them held out: no chat is about these, and half of the questions are.`,
    `Every claim has at least ${leastOfClaim.documents} documents of at least ${leastOfClaim.genres} genres.`,
    "",
    "## Where it falls short",
    "",
    ...(short.length === 0 ? ["Nothing that is checked."] : short.map((line) => `- ${line}`)),
    "",
    ...qualityOf("Documents", checks.documents),
    ...qualityOf("Chats", checks.chats),
    "## What it took",
    "",
    `${replies} replies, ${tokens} tokens, ${cost === null ? "cost not known" : `$${cost.toFixed(2)}`}.`,
    "",
    "| stage | replies | of use | why not |",
    "|---|---:|---:|---|",
    ...stages.map(({ stage, replies: all, used, faults }) => {
      const why = Object.entries(faults).map(([fault, times]) => `${fault} (${times})`);
      return `| ${stage} | ${all} | ${used} | ${why.slice(0, 4).join("; ").replaceAll("|", "/")} |`;
    }),
  ].join("\n")}\n`;
}

/** What is missing, and which checks fail. */
export function shortfallsOf({ stopped, kept, wanted, checks }: CorpusRecord): string[] {
  return [
    ...(stopped === null ? [] : [`it is not finished: ${stopped}`]),
    ...(["documents", "chats", "questions"] as const)
      .filter((name) => kept[name] < wanted[name])
      .map((name) => `${wanted[name] - kept[name]} of ${wanted[name]} ${name} are missing: their claims were given up`),
    ...Object.entries(checks).flatMap(([name, report]) =>
      (report?.checks ?? []).filter(({ pass }) => !pass).map((check) => `${name}: ${describeCheck(check)}`),
    ),
  ];
}

function describeCheck({ name, found, limit, examples }: Check): string {
  const words = name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
  const example = examples.length > 0 ? `; ${examples[0]!.slice(0, 120)}` : "";
  return `${words} ${figure(found)}, at most ${figure(limit)}${example}`;
}

function qualityOf(title: string, report: CorpusReport | null): string[] {
  if (!report) return [];
  const { texts, words, medianWords, diversity } = report;
  const { distinct, compressed, repeated } = diversity;
  return [
    `## ${title}`,
    "",
    `${texts} texts, ${words} words, median ${medianWords}. Distinct sequences of four words ${figure(distinct[4]!)},`,
    `of eight words also in another text ${figure(repeated)}, gzip leaves ${figure(compressed)}.`,
    "",
  ];
}

function figure(value: number): string {
  return Number.isInteger(value) ? String(value) : value.toFixed(3);
}
