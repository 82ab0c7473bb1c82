/** @file What does the spec say, and why: questions with four answers, in the form of the task `capability`. */
import { seedOf } from "../base/seed.js";
import { wordsOf } from "../corpus/ngrams.js";
import type { Step } from "./ask.js";
import { type Claim, claimValues, lostRecord } from "./claims.js";
import type { Subject } from "./documents.js";
import { chainOf, contentHash, type JournalRecord } from "./journal.js";
import { fillPrompt } from "./prompt.js";
import { pick } from "./questions.js";
import { type Read, readLabelled } from "./read.js";
import { type Made, makeAll, type Work } from "./work.js";

const KNOWLEDGE_LABELS = ["QUESTION", "RIGHT", "WRONG", "WRONG", "WRONG"];
const ASKED = { what: "what it does, values or prefers", why: "the reason for it" } as const;

export interface KnowledgeQuestion {
  id: string;
  category: keyof typeof ASKED;
  question: string;
  /** Four, in an order of their own. */
  choices: string[];
  answer: string;
}

/** One question of what each claim says, and one of why where it has a reason. */
export async function writeKnowledge(
  work: Work,
  claims: readonly Claim[],
  seed: number,
  subject: Subject,
): Promise<KnowledgeQuestion[]> {
  const asked = claims.flatMap((claim) =>
    (["what", "why"] as const)
      .filter((category) => category === "what" || claim.why !== null)
      .map((category) => ({ claim, category })),
  );
  let made = 0;
  let lost = 0;
  const one = (item: (typeof asked)[number]) => writeOne(work, item, seed, subject);
  const written = await makeAll(work, asked, work.journal("knowledge"), one, ({ value }) => {
    if (value === null) lost++;
    else made++;
    work.onProgress("knowledge", made, asked.length, lost);
  });
  return written.filter((question) => question != null);
}

async function writeOne(
  work: Work,
  { claim, category }: { claim: Claim; category: keyof typeof ASKED },
  seed: number,
  subject: Subject,
): Promise<Made<KnowledgeQuestion>> {
  const id = `${category}/${claim.id}`;
  const root: JournalRecord = { id, parent: claim.id, hash: contentHash([claim, category]), stage: "cell", category };
  const steps: Step[] = [];
  const lose = (why: string): Made<KnowledgeQuestion> => {
    const chain = chainOf(id, steps);
    return { value: null, records: [root, ...chain, lostRecord(chain.at(-1)?.id ?? id, why)] };
  };
  const values = claimValues(claim, subject.name);
  const asked = await work.asker.ask(work.writer, {
    stage: "knowledge",
    prompt: fillPrompt("knowledge", { ...values, asked: ASKED[category] }),
    words: 60,
    labels: KNOWLEDGE_LABELS,
    read: readKnowledge,
  });
  if ("fault" in asked) return lose(asked.fault);
  steps.push(asked.step);
  const { question, answers } = asked.value;
  const [answer] = answers as [string];
  const order = answers.map((text, i) => ({ text, rank: seedOf(seed, id, i) })).sort((a, b) => a.rank - b.rank);
  const choices = order.map(({ text }) => text);
  const picked = await pick(work, "knowledge answer", { ...values, question }, choices);
  if ("fault" in picked) return lose(picked.fault);
  steps.push(picked.step);
  if (choices[picked.value] !== answer) {
    work.asker.reject("knowledge answer", "the claim does not decide it");
    return lose("the claim does not decide it");
  }
  return { value: { id, category, question, choices, answer }, records: [root, ...chainOf(id, steps)] };
}

/** A question and four different answers, the right one first. */
export function readKnowledge(reply: string): Read<{ question: string; answers: string[] }> {
  const read = readLabelled(reply, KNOWLEDGE_LABELS);
  if ("fault" in read) return read;
  const [question, ...answers] = read.value as [string, ...string[]];
  if (wordsOf(question).length < 3) return { fault: "QUESTION is no question" };
  if (answers.some((text) => wordsOf(text).length === 0)) return { fault: "an answer is empty" };
  const different = new Set(answers.map((text) => wordsOf(text).join(" ")));
  return different.size === answers.length ? { value: { question, answers } } : { fault: "two answers are the same" };
}
