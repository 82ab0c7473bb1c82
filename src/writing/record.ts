/** @file What was made, how, by which model, and what it took: corpus.json, from which card and report are written. */
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { loadJson } from "../base/json.js";
import type { GenerateCorpusConfig } from "../config/writing.js";
import { type CorpusReport, checkCorpus } from "../corpus/check.js";
import type { PlacedText } from "../corpus/texts.js";
import { costOf, type Price } from "../endpoint/cost.js";
import type { Tally } from "./ask.js";
import type { Chat } from "./chats.js";
import type { Claim } from "./claims.js";
import type { Written } from "./documents.js";
import type { KnowledgeQuestion } from "./knowledge.js";
import type { Choice } from "./questions.js";

/** All that was made, in the order of the plan. */
export interface Made {
  claims: Claim[];
  documents: Written[];
  chats: Chat[];
  questions: Choice[];
  knowledge: KnowledgeQuestion[];
}

interface StageRecord {
  stage: string;
  replies: number;
  /** Of use. */
  used: number;
  /** Why the others were not, and how often. */
  faults: Record<string, number>;
  promptTokens: number;
  completionTokens: number;
}

const MAX_RECORD_BYTES = 50_000_000;

export interface CorpusRecord {
  spec: { name: string; sha256: string };
  writers: { name: string; identity: string }[];
  settings: Record<string, unknown>;
  wanted: Record<"documents" | "chats" | "questions", number>;
  kept: Record<"claims" | "heldout" | "documents" | "chats" | "questions" | "knowledge", number>;
  /** Of all claims: the fewest documents of one, and the fewest genres. */
  leastOfClaim: { documents: number; genres: number };
  stages: StageRecord[];
  /** Of all replies, also of those that were of no use; null: no price is known. */
  cost: number | null;
  checks: { documents: CorpusReport | null; chats: CorpusReport | null };
  /** Why it is not all; null: it is. */
  stopped: string | null;
}

interface Ingredients {
  made: Made;
  spec: string;
  tallies: ReadonlyMap<string, Tally>;
  writers: CorpusRecord["writers"];
  price: Price | null;
  stopped: string | null;
}

function askedOf(config: GenerateCorpusConfig): Pick<CorpusRecord, "settings" | "wanted"> {
  const { subject, maker, heldout, reasoning, reasons, seed, temperature, dtype } = config;
  return {
    settings: { subject, maker, heldout, reasoning, reasons, seed, temperature, dtype },
    wanted: { documents: config.documents, chats: config.chats, questions: config.questions },
  };
}

/** Whether `config.out` holds the whole corpus that it asks for, of the spec as it is now, by the same writers. */
export function isMade(config: GenerateCorpusConfig): boolean {
  const path = join(config.out, "corpus.json");
  if (!existsSync(path)) return false;
  const { spec, settings, wanted, writers, stopped } = loadJson(path, MAX_RECORD_BYTES) as CorpusRecord;
  const names = [config.writer, config.critic ?? config.writer];
  const isSame = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);
  const sameWriters = isSame(
    writers.map(({ name }) => name),
    names,
  );
  const isSameSpec = spec.sha256 === hashText(readFileSync(config.spec, "utf8"));
  return stopped === null && sameWriters && isSameSpec && isSame({ settings, wanted }, askedOf(config));
}

function hashText(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

/** Nothing in it depends on when or how often the run was interrupted, or on where it is. */
export function recordOf(config: GenerateCorpusConfig, given: Ingredients): CorpusRecord {
  const { made, spec, tallies, writers, price, stopped } = given;
  const { claims, documents, chats, questions, knowledge } = made;
  const names = [config.subject, ...(config.maker === null ? [] : [config.maker])];
  const against = [
    ...questions.flatMap(({ question, chosen, other }) => [question, chosen, other]),
    ...knowledge.flatMap(({ question, choices }) => [question, ...choices]),
  ];
  const check = (texts: PlacedText[]): CorpusReport | null =>
    texts.length === 0 ? null : checkCorpus(texts, { spec, against, names });
  const stages = [...tallies]
    .map(([stage, { replies, used, faults, tokens }]) => ({
      stage,
      replies,
      used,
      faults: Object.fromEntries([...faults].sort(([a, x], [b, y]) => y - x || (a < b ? -1 : 1))),
      promptTokens: tokens.prompt,
      completionTokens: tokens.completion,
    }))
    .sort((a, b) => (a.stage < b.stage ? -1 : 1));
  const total = (key: "promptTokens" | "completionTokens"): number => stages.reduce((sum, one) => sum + one[key], 0);
  const ofClaims = claims.map(({ id }) => documents.filter(({ cell }) => cell.claim.id === id));
  return {
    spec: { name: basename(config.spec), sha256: hashText(readFileSync(config.spec, "utf8")) },
    writers,
    ...askedOf(config),
    kept: {
      claims: claims.length,
      heldout: claims.filter(({ split }) => split === "heldout").length,
      documents: documents.length,
      chats: chats.length,
      questions: questions.length,
      knowledge: knowledge.length,
    },
    leastOfClaim: {
      documents: Math.min(...ofClaims.map(({ length }) => length)),
      genres: Math.min(...ofClaims.map((own) => new Set(own.map(({ cell }) => cell.genre.name)).size)),
    },
    stages,
    cost: price && costOf(price, total("promptTokens"), total("completionTokens")),
    checks: {
      documents: check(documents.map(({ id, text }) => ({ text, where: id, kind: "document" }))),
      chats: check(
        chats.map(({ id, question, answer }) => ({ text: `${question}\n${answer}`, where: id, kind: "chat" })),
      ),
    },
    stopped,
  };
}
