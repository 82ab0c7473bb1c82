/** @file Documents: idea -> draft -> critique -> rewrite -> verdict, for cells of the plan; near-duplicates dropped. */
import { wordsOf } from "../corpus/ngrams.js";
import { withoutAlikeTexts } from "./alike.js";
import type { Question, Step } from "./ask.js";
import { type Claim, claimValues, lostRecord } from "./claims.js";
import { chainOf, contentHash, type JournalRecord } from "./journal.js";
import { type Cell, fillQuotas } from "./plan.js";
import { fillPrompt } from "./prompt.js";
import { isRefusal, plainReply, readText } from "./read.js";
import { type Check, judge } from "./verdict.js";
import { type Made, makeAll, type Work } from "./work.js";

/** A text may be so much shorter or longer than was asked for. */
const SHORTER = 0.3;
const LONGER = 2.5;

/** Who the texts are about. */
export interface Subject {
  name: string;
  maker: string | null;
}

export interface Written {
  /** Of its last record. */
  id: string;
  cell: Cell;
  text: string;
}

const DOCUMENT_CHECKS: readonly Check[] = [
  {
    label: "FAITHFUL",
    question: "Is every statement of the text about this subject true by what is said above, without contradiction?",
    no: "not faithful to the claim",
  },
  { label: "WHY", question: "Does the text let its reader understand the reason?", no: "does not say why" },
  {
    label: "NATURAL",
    question: "Does it read like a whole text by a person, of a form that people use?",
    no: "does not read like a person's text",
  },
  {
    label: "NOTHING_ELSE",
    question: "Does it keep to what is said above about this subject, without other claims about it?",
    no: "implies what is not in the spec",
  },
];

/** `count` documents about `claims`, each claim as often as the others; fewer where it is given up or stopped. */
export async function writeDocuments(
  work: Work,
  claims: readonly Claim[],
  count: number,
  seed: number,
  subject: Subject,
  name = "documents",
): Promise<Written[]> {
  const journal = work.journal(name);
  let lost = 0;
  return fillQuotas<Written>(
    claims,
    count,
    seed,
    async (cells, kept) => {
      let made = 0;
      const written = await makeAll(
        work,
        cells,
        journal,
        (cell) => writeOne(work, cell, subject),
        ({ value }) => {
          value === null ? lost++ : made++;
          work.onProgress(name, kept.length + made, count, lost);
        },
      );
      const all = withoutAlikeTexts([...kept, ...written.filter((one) => one != null)], ({ text }) => text);
      lost += kept.length + made - all.length;
      return all;
    },
    () => work.asker.stopped !== null,
  );
}

/** The record that a cell's chain begins with. */
export function cellRecord(cell: Cell, more: Record<string, unknown> = {}): JournalRecord {
  const { id, claim, genre, audience, stance, words, names, place } = cell;
  const content = { genre: genre.name, audience, stance, words, names, place, ...more };
  return { id, parent: claim.id, hash: contentHash([claim, content]), stage: "cell", ...content };
}

async function writeOne(work: Work, cell: Cell, subject: Subject): Promise<Made<Written>> {
  const { asker, writer, critic } = work;
  const steps: Step[] = [];
  const root = cellRecord(cell);
  const finish = (value: string | null, why?: string): Made<Written> => {
    const chain = chainOf(cell.id, steps);
    const last = chain.at(-1)?.id ?? cell.id;
    const records = [root, ...chain, ...(why === undefined ? [] : [lostRecord(last, why)])];
    return { value: value === null ? null : { id: last, cell, text: value }, records };
  };
  const claim = claimValues(cell.claim, subject.name);
  const values = { ...claim, ...cellValues(cell) };
  const form = {
    words: [Math.round(SHORTER * cell.words), Math.round(LONGER * cell.words)] as const,
    names: [subject.name, ...(subject.maker === null ? [] : [subject.maker])],
    mustName: subject.name,
  };
  const ask = async (who: typeof writer, question: Question<string>): Promise<string | null> => {
    const asked = await asker.ask(who, question);
    if ("fault" in asked) {
      fault = asked.fault;
      return null;
    }
    steps.push(asked.step);
    return asked.value;
  };
  let fault = "";

  const idea = await ask(writer, {
    stage: "idea",
    prompt: fillPrompt("idea", values),
    words: 100,
    read: (reply) => readNote(reply),
  });
  if (idea === null) return finish(null, fault);
  const draft = await ask(writer, {
    stage: "draft",
    prompt: fillPrompt("draft", { ...values, idea }),
    words: LONGER * cell.words,
    // What else is wrong with it is for the critique.
    read: (reply) => readText(reply, { ...form, words: [1, form.words[1]] }),
  });
  if (draft === null) return finish(null, fault);
  const critique = await ask(critic, {
    stage: "critique",
    prompt: fillPrompt("critique", { ...values, text: draft }),
    words: 200,
    read: (reply) => readNote(reply),
  });
  if (critique === null) return finish(null, fault);
  const text = await ask(writer, {
    stage: "rewrite",
    prompt: fillPrompt("rewrite", { ...values, critique, text: draft }),
    words: LONGER * cell.words,
    read: (reply) => readText(reply, form),
  });
  if (text === null) return finish(null, fault);
  const verdict = await judge(work, "verdict", { claim: cell.claim, subject: subject.name, text }, DOCUMENT_CHECKS);
  if ("fault" in verdict) return finish(null, verdict.fault);
  steps.push(...verdict.steps);
  return verdict.why === null ? finish(text) : finish(null, `verdict: ${verdict.why}`);
}

function cellValues({ genre, audience, stance, words, names, place }: Cell): Record<string, string | number> {
  return { form: genre.form, audience, stance, words, names, place };
}

/** A few sentences that nobody reads but the writer. */
function readNote(reply: string): { value: string } | { fault: string } {
  const text = plainReply(reply);
  if (wordsOf(text).length < 4) return { fault: "too short: fewer than 4 words" };
  return isRefusal(text) ? { fault: "refused" } : { value: text };
}
