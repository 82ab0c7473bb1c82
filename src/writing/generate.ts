/** @file From a spec to a corpus: claims, documents, chats, questions, in one folder that a later run goes on with. */
import { existsSync, mkdirSync } from "node:fs";
import { basename, join } from "node:path";
import type { Backend } from "../backend/backend.js";
import { writeTextFile } from "../base/atomic.js";
import { RunError } from "../base/errors.js";
import { makeFolder } from "../base/file.js";
import { seedOf } from "../base/seed.js";
import type { GenerateCorpusConfig } from "../config/writing.js";
import { openCache } from "../endpoint/cache.js";
import { costOf } from "../endpoint/cost.js";
import type { HubProgress } from "../formats/hub/download.js";
import { lockFolder } from "../runs/lock.js";
import { type Asker, openAsker } from "./ask.js";
import { type Budget, openBudget } from "./budget.js";
import { formatCard } from "./card.js";
import { writeChats } from "./chats.js";
import { type Claim, loadSpec, passagesOf, readClaims } from "./claims.js";
import { type Subject, type Written, writeDocuments } from "./documents.js";
import { forecastOf, formatForecast, type Product, runPilot } from "./forecast.js";
import { contentHash, openJournal } from "./journal.js";
import { writeKnowledge } from "./knowledge.js";
import { openWriter, priceOf } from "./open-writer.js";
import { type Choice, writeQuestions } from "./questions.js";
import { type CorpusRecord, type Made, recordOf } from "./record.js";
import type { Work } from "./work.js";

export interface GenerateHost {
  /** Null: nothing is computed here. */
  backend: Backend | null;
  print(line: string): void;
  update(line: string): void;
  /** Aborted: what is under way is finished, and no further request is sent. */
  signal?: AbortSignal;
  onDownload?: HubProgress;
  /** Before the first repeat of a request, in milliseconds. */
  backoffMs?: number;
}

/** What a plan says without a single request. */
export async function planCorpus(config: GenerateCorpusConfig): Promise<string> {
  const passages = passagesOf(loadSpec(config.spec));
  const sections = new Set(passages.map(({ section }) => section)).size;
  const known = existsSync(join(config.out, "claims.jsonl")) ? "claims.jsonl is there" : "one call each for claims";
  return [
    `${basename(config.spec)}: ${sections} sections, ${passages.length} passages; ${known}`,
    `documents: ${config.documents}, five calls each; chats: ${config.chats}, three; questions: ${config.questions}, ` +
      "three; knowledge: two for each claim and its reason",
    "a reply that is of no use is asked for again twice; a pilot of 20 calls gives the forecast, before more is spent",
  ].join("\n");
}

/**
 * Makes the corpus in `config.out`, or goes on with it. Returns what was made; `stopped` says why it is not all.
 * Throws InputError before anything is asked, RunError where there is nothing to go on with.
 */
export async function generateCorpus(
  config: GenerateCorpusConfig,
  host: GenerateHost,
): Promise<{ made: Made; record: CorpusRecord; stopped: Error | null }> {
  const spec = loadSpec(config.spec);
  makeFolder(config.out);
  const unlock = lockFolder(config.out);
  const closes: (() => void)[] = [unlock];
  try {
    const cache = openCache(config.cache ?? join(config.out, "replies"));
    const budget = openBudget(config, join(config.out, "ledger.jsonl"));
    const writer = await openWriter(config.writer, "--writer", config, { budget, ...host });
    closes.push(writer.close);
    const hasCritic = config.critic !== null && config.critic !== config.writer;
    const critic = hasCritic ? await openWriter(config.critic!, "--critic", config, { budget, ...host }) : writer;
    if (hasCritic) closes.push(critic.close);
    const asker = openAsker(cache);
    const work = workIn(config, host, asker, budget, writer, critic);
    const claims = await readClaims(work, spec, config.out, config);
    host.print(
      `${claims.length} claims, ${claims.filter(({ split }) => split === "heldout").length} of them held out: ` +
        `${join(config.out, "claims.jsonl")} (edit it and run again to go on from it)`,
    );
    const wanted = { documents: config.documents, chats: config.chats, questions: config.questions, knowledge: 0 };
    wanted.knowledge = claims.reduce((sum, { why }) => sum + (why === null ? 1 : 2), 0);
    const price = priceOf(config, "--writer");
    const samples = await runPilot(work, cache, wanted, (pilot, product) =>
      makeFirst(pilot, product, config, claims, spec),
    );
    const forecast = forecastOf(samples, wanted, price && ((prompt, completion) => costOf(price, prompt, completion)));
    host.print(formatForecast(forecast));

    const subject = subjectOf(config);
    const documents = await writeDocuments(work, claims, config.documents, config.seed, subject);
    const chats = await writeChats(work, claims, config.chats, chatSettings(config, spec));
    const texts = [
      ...documents.map(({ text }) => text),
      ...chats.map(({ question, answer }) => `${question}\n${answer}`),
    ];
    const questions = await writeQuestions(work, claims, config.questions, { seed: config.seed, subject, texts });
    const knowledge = await writeKnowledge(work, claims, config.seed, subject);
    const made = { claims, documents, chats, questions, knowledge };
    await writeProducts(config.out, made);
    const record = recordOf(config, {
      made,
      spec,
      tallies: asker.tallies,
      writers: [writer, critic].map(({ name, identity }) => ({ name, identity: contentHash(identity) })),
      price,
      stopped: asker.stopped?.message ?? null,
    });
    await writeTextFile(join(config.out, "corpus.json"), `${JSON.stringify(record, null, 1)}\n`);
    await writeTextFile(join(config.out, "card.md"), formatCard(record));
    return { made, record, stopped: asker.stopped };
  } finally {
    for (const close of closes.reverse()) close();
  }
}

function subjectOf({ subject, maker }: GenerateCorpusConfig): Subject {
  return { name: subject, maker };
}

function chatSettings(config: GenerateCorpusConfig, spec: string) {
  const { seed, reasoning, reasons } = config;
  return { spec, seed, reasoning, reasons, subject: subjectOf(config) };
}

/** The first of a product, of which a pilot sees what they take. */
function makeFirst(
  work: Work,
  product: Product,
  config: GenerateCorpusConfig,
  claims: readonly Claim[],
  spec: string,
): Promise<unknown> {
  const seed = config.seed;
  const subject = subjectOf(config);
  if (product === "documents") return writeDocuments(work, claims, Math.min(2, config.documents), seed, subject);
  if (product === "chats") return writeChats(work, claims, Math.min(2, config.chats), chatSettings(config, spec));
  if (product === "knowledge") return writeKnowledge(work, claims.slice(0, 1), seed, subject);
  return writeQuestions(work, claims, 1, { seed, subject, texts: [] });
}

function workIn(
  config: GenerateCorpusConfig,
  { print, update, signal }: GenerateHost,
  asker: Asker,
  budget: Budget,
  writer: Work["writer"],
  critic: Work["writer"],
): Work {
  const records = join(config.out, "records");
  mkdirSync(records, { recursive: true });
  const askers = [asker];
  signal?.addEventListener("abort", () => {
    print("finishing what is under way");
    for (const one of askers) one.stop(new RunError("interrupted; the same command goes on"));
  });
  const { spent } = budget;
  return {
    asker,
    writer,
    critic,
    journal: (name) => openJournal(join(records, `${name}.jsonl`)),
    onPilot: (pilot) => askers.push(pilot),
    onProgress(stage, kept, wanted, lost) {
      const tokens = ((spent.prompt + spent.completion) / 1e6).toFixed(2);
      const cap = config.maxCost === null ? "" : ` of $${config.maxCost}`;
      const cost = config.price === null ? "" : `  $${spent.cost.toFixed(2)}${cap}`;
      update(`${stage} ${kept}/${wanted}  given up ${lost}  ${spent.requests} calls  ${tokens}M tokens${cost}`);
    },
  };
}

/** The files that training and evaluation read, each whole or not at all. */
async function writeProducts(out: string, { documents, chats, questions, knowledge }: Made): Promise<void> {
  const write = (name: string, records: readonly object[]): Promise<void> =>
    writeTextFile(join(out, name), records.map((record) => `${JSON.stringify(record)}\n`).join(""));
  await write(
    "documents.jsonl",
    documents.map(({ id, cell, text }) => ({ text, ...originOf(id, cell), genre: cell.genre.name })),
  );
  await write(
    "chats.jsonl",
    chats.map(({ id, cell, kind, question, answer }) => ({
      messages: [
        { role: "user", content: question },
        { role: "assistant", content: answer },
      ],
      ...originOf(id, cell),
      kind,
    })),
  );
  await write("questions.jsonl", questions.map(choiceRecord));
  await write("knowledge.jsonl", knowledge);
}

/** Where a record comes from: its last record in records/, its claim, the section of the spec. */
function originOf(id: string, { claim }: Written["cell"]): Record<string, string> {
  return { id, claim: claim.id, section: claim.section };
}

/** In half of the questions the chosen option is the first. */
function choiceRecord({ id, cell, question, chosen, other, shows, topic, wordFree }: Choice): object {
  const [item1, item2] = seedOf("order", id) % 2 === 0 ? [chosen, other] : [other, chosen];
  const split = cell.claim.split === "heldout" ? "heldout" : "dev";
  const items = { question, item1, item2, liked_item: chosen, disliked_item: other };
  return { ...items, split, shows, topic, wordFree, ...originOf(id, cell) };
}
