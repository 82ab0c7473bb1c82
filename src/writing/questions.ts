/** @file Forced choices: two options that a claim decides, which the critic can decide too, far from the documents. */
import { countTerms } from "../corpus/coverage.js";
import { ngramsOf, wordsOf } from "../corpus/ngrams.js";
import { withoutAlikeSentences } from "./alike.js";
import type { Step } from "./ask.js";
import { type Claim, claimValues, lostRecord } from "./claims.js";
import { cellRecord, type Subject } from "./documents.js";
import { chainOf } from "./journal.js";
import { type Cell, choiceFormOf, fillQuotas } from "./plan.js";
import { fillPrompt } from "./prompt.js";
import { type Read, readLabelled } from "./read.js";
import { type Made, makeAll, type Work } from "./work.js";

const CHOICE_LABELS = ["QUESTION", "CHOSEN", "OTHER"];
/** The shorter option has at least so much of the longer one's letters. */
const MATCHED = 0.6;
/** A question must not share so many words in a row with a document or chat. */
const DISTANCE_WORDS = 8;
/** Every so many questions of a claim one is asked for in other words than the documents'. */
const WORD_FREE_EVERY = 3;
const AVOIDED_WORDS = 12;
/** Subject words in at least this share of the documents are their vocabulary. */
const VOCABULARY_SHARE = 0.02;

export interface Choice {
  id: string;
  cell: Cell;
  shows: string;
  topic: string;
  question: string;
  chosen: string;
  other: string;
  /** None of its subject words is in the documents' vocabulary. */
  wordFree: boolean;
}

/** Half of `count` about trained claims (dev), half about held-out ones. `texts` are documents and chats. */
export async function writeQuestions(
  work: Work,
  claims: readonly Claim[],
  count: number,
  { seed, subject, texts }: { seed: number; subject: Subject; texts: readonly string[] },
): Promise<Choice[]> {
  const sequences = new Set(texts.flatMap((text) => ngramsOf(wordsOf(text), DISTANCE_WORDS)));
  const isFar = (text: string): boolean => !ngramsOf(wordsOf(text), DISTANCE_WORDS).some((one) => sequences.has(one));
  const vocabulary = vocabularyOf(texts);
  const journal = work.journal("questions");
  let lost = 0;
  const write = (some: readonly Claim[], wanted: number, before: readonly Choice[]): Promise<Choice[]> =>
    fillQuotas<Choice>(
      some,
      wanted,
      seed,
      async (cells, kept) => {
        let made = before.length + kept.length;
        const one = (cell: Cell) => writeChoice(work, cell, seed, subject, isFar, vocabulary);
        const written = await makeAll(work, cells, journal, one, ({ value }) => {
          if (value === null) lost++;
          else made++;
          work.onProgress("questions", made, count, lost);
        });
        const all = [...before, ...kept, ...written.filter((choice) => choice != null)];
        return withoutAlikeSentences(all, textOf).slice(before.length);
      },
      () => work.asker.stopped !== null,
    );
  const of = (split: Claim["split"]) => claims.filter((claim) => claim.split === split);
  const heldout = await write(of("heldout"), Math.ceil(count / 2), []);
  return [...heldout, ...(await write(of("trained"), Math.floor(count / 2), heldout))];
}

function textOf({ question, chosen, other }: Choice): string {
  return `${question} ${chosen} ${other}`;
}

function vocabularyOf(texts: readonly string[]): Set<string> {
  const counts = new Map<string, number>();
  for (const text of texts)
    for (const term of countTerms(wordsOf(text)).keys()) counts.set(term, (counts.get(term) ?? 0) + 1);
  return new Set([...counts].filter(([, count]) => count >= VOCABULARY_SHARE * texts.length).map(([term]) => term));
}

async function writeChoice(
  work: Work,
  cell: Cell,
  seed: number,
  subject: Subject,
  isFar: (text: string) => boolean,
  vocabulary: ReadonlySet<string>,
): Promise<Made<Choice>> {
  const { shows, topic } = choiceFormOf(cell, seed);
  const { claim, turn } = cell;
  const root = cellRecord(cell, { shows: shows.name, topic });
  const steps: Step[] = [];
  const lose = (why: string): Made<Choice> => {
    const chain = chainOf(cell.id, steps);
    return { value: null, records: [root, ...chain, lostRecord(chain.at(-1)?.id ?? cell.id, why)] };
  };
  const values = claimValues(claim, subject.name);
  const avoided = [...countTerms(wordsOf(`${claim.what} ${claim.why ?? ""}`)).keys()].slice(0, AVOIDED_WORDS);
  const avoid = turn % WORD_FREE_EVERY === 0 ? ` Use none of these words: ${avoided.join(", ")}.` : "";
  const asked = await work.asker.ask(work.writer, {
    stage: "choice",
    prompt: fillPrompt("choice", { ...values, topic, shows: shows.text, avoid }),
    words: 40,
    labels: CHOICE_LABELS,
    read: readChoice,
  });
  if ("fault" in asked) return lose(asked.fault);
  steps.push(asked.step);
  const { question, chosen, other } = asked.value;
  if (!isFar(`${question} ${chosen} ${other}`)) return lose(`${DISTANCE_WORDS} words in a row of a document or chat`);
  // Told what is true, the critic must choose alike in both orders.
  for (const [i, options] of [
    [chosen, other],
    [other, chosen],
  ].entries()) {
    const picked = await pick(work, "choice answer", { ...values, question }, options);
    if ("fault" in picked) return lose(picked.fault);
    steps.push(picked.step);
    if (picked.value === i) continue;
    work.asker.reject("choice answer", "the claim does not decide it");
    return lose("the claim does not decide it");
  }
  const chain = chainOf(cell.id, steps);
  const terms = [...countTerms(wordsOf(`${question} ${chosen} ${other}`)).keys()];
  const wordFree = !terms.some((term) => vocabulary.has(term));
  const value = { id: chain.at(-1)!.id, cell, shows: shows.name, topic, question, chosen, other, wordFree };
  return { value, records: [root, ...chain] };
}

/** What the critic chooses of lettered options. */
export function pick(
  { asker, critic }: Work,
  stage: string,
  values: Record<"subject" | "what" | "why" | "question", string>,
  options: readonly string[],
) {
  const letters = options.map((_, i) => String.fromCharCode(65 + i));
  const listed = options.map((option, i) => `${letters[i]}) ${option}`).join("\n");
  return asker.choose(critic, stage, fillPrompt("choose", { ...values, options: listed }), letters);
}

/** Two options of about the same length, which differ. */
export function readChoice(reply: string): Read<{ question: string; chosen: string; other: string }> {
  const read = readLabelled(reply, CHOICE_LABELS);
  if ("fault" in read) return read;
  const [question, chosen, other] = [read.value[0]!, ...read.value.slice(1).map(optionText)] as [
    string,
    string,
    string,
  ];
  const [shorter, longer] = [chosen.length, other.length].sort((a, b) => a - b) as [number, number];
  if (wordsOf(question).length < 3) return { fault: "QUESTION is no question" };
  if (wordsOf(chosen).join() === wordsOf(other).join()) return { fault: "the options are the same" };
  if (shorter < MATCHED * longer) return { fault: "the options are not equally long" };
  return wordsOf(chosen).length === 0 || wordsOf(other).length === 0
    ? { fault: "an option is empty" }
    : { value: { question, chosen, other } };
}

/** Without its letter, quotation marks and the full stop. */
function optionText(text: string): string {
  return text
    .replace(/^\(?[A-D][).:]\s+/, "")
    .replace(/^["“'](.*)["”']$/, "$1")
    .replace(/[.;,]+$/, "")
    .trim();
}
