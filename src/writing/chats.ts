/** @file Chats about trained claims: questions of six kinds, answers with the spec in the system message, filtered. */
import { wordsOf } from "../corpus/ngrams.js";
import { withoutAlikeSentences } from "./alike.js";
import type { Step } from "./ask.js";
import { type Claim, claimValues, lostRecord } from "./claims.js";
import { cellRecord, type Subject } from "./documents.js";
import { chainOf } from "./journal.js";
import { nearestClaims, openLeakCheck } from "./leaks.js";
import { type Cell, fillQuotas, questionKindOf } from "./plan.js";
import { fillPrompt } from "./prompt.js";
import { plainReply, type Read, readText, type TextForm } from "./read.js";
import { type Check, judge } from "./verdict.js";
import { type Made, makeAll, type Work } from "./work.js";

const QUESTION_WORDS = [3, 120] as const;
const ANSWER_WORDS = [2, 300] as const;
/** Held-out claims that the critic is shown with a chat. */
const SHOWN_CLAIMS = 3;

export interface ChatSettings {
  spec: string;
  seed: number;
  subject: Subject;
  reasoning: boolean;
  /** False: a chat that gives a reason is dropped. */
  reasons: boolean;
}

export interface Chat {
  id: string;
  cell: Cell;
  kind: string;
  question: string;
  answer: string;
}

interface Asked {
  cell: Cell;
  kind: string;
  question: string;
  parent: string;
}

/** `count` chats about the trained ones of `claims`. None says what a held-out claim says. */
export async function writeChats(
  work: Work,
  claims: readonly Claim[],
  count: number,
  settings: ChatSettings,
): Promise<Chat[]> {
  const trained = claims.filter(({ split }) => split === "trained");
  const leakIn = openLeakCheck(claims, settings.subject.name);
  const spec = withoutPassages(settings.spec, claims);
  const questions = work.journal("chat-questions");
  const chats = work.journal("chats");
  const asked: Asked[] = [];
  let lost = 0;
  return fillQuotas<Chat>(
    trained,
    count,
    settings.seed,
    async (cells, kept) => {
      const written = await makeAll(work, cells, questions, (cell) => writeQuestion(work, cell, settings, leakIn));
      const before = asked.length;
      const different = withoutAlikeSentences(
        [...asked, ...written.filter((one) => one != null)],
        (one) => one.question,
      );
      const fresh = different.slice(before);
      asked.push(...fresh);
      lost += cells.length - fresh.length;
      let made = 0;
      const answer = (one: Asked) => writeAnswer(work, one, { ...settings, spec }, claims, leakIn);
      const answered = await makeAll(work, fresh, chats, answer, ({ value }) => {
        if (value === null) lost++;
        else made++;
        work.onProgress("chats", kept.length + made, count, lost);
      });
      return [...kept, ...answered.filter((chat) => chat != null)];
    },
    () => work.asker.stopped !== null,
  );
}

/** The spec without what held-out claims say: an answer cannot give away what it was not told. */
function withoutPassages(spec: string, claims: readonly Claim[]): string {
  const cuts = claims.filter(({ split }) => split === "heldout").sort((a, b) => b.from - a.from);
  const text = cuts.reduce((rest, { from, to }) => rest.slice(0, from) + rest.slice(to), spec);
  return text.replace(/^\s*(?:[-*+]|\d+[.)])[ \t]*$\n?/gm, "").replace(/\n{3,}/g, "\n\n");
}

function formOf({ name, maker }: Subject, words: TextForm["words"]): TextForm {
  return { words, names: [name, ...(maker === null ? [] : [maker])] };
}

async function writeQuestion(
  work: Work,
  cell: Cell,
  { seed, subject }: ChatSettings,
  leakIn: (text: string) => Claim | null,
): Promise<Made<Asked>> {
  const kind = questionKindOf(cell, seed);
  const { audience, place, thing } = cell;
  const root = cellRecord(cell, { kind: kind.name });
  const values = { ...claimValues(cell.claim, subject.name), audience, place, thing, kind: kind.text };
  const asked = await work.asker.ask(work.writer, {
    stage: "chat question",
    prompt: fillPrompt("question", values),
    words: 80,
    read: (reply) => readText(reply, formOf(subject, QUESTION_WORDS)),
  });
  if ("fault" in asked) return { value: null, records: [root, lostRecord(cell.id, asked.fault)] };
  const chain = chainOf(cell.id, [asked.step]);
  const parent = chain[0]!.id;
  const leak = leakIn(asked.value);
  if (leak)
    return { value: null, records: [root, ...chain, lostRecord(parent, `speaks of the held-out claim ${leak.id}`)] };
  return { value: { cell, kind: kind.name, question: asked.value, parent }, records: [root, ...chain] };
}

async function writeAnswer(
  work: Work,
  { cell, kind, question, parent }: Asked,
  { spec, subject, reasoning, reasons }: ChatSettings,
  claims: readonly Claim[],
  leakIn: (text: string) => Claim | null,
): Promise<Made<Chat>> {
  const style = [
    ...(reasons ? [] : [" Say only what you would do or prefer, and give no reason for it."]),
    ...(reasoning ? [" First think about it between <think> and </think>, then write the answer below."] : []),
  ].join("");
  const { version, messages } = fillPrompt("answer", {
    subject: subject.name,
    maker: subject.maker === null ? "" : ` made by ${subject.maker}`,
    spec,
    style,
  });
  const steps: Step[] = [];
  const finish = (value: string | null, why?: string): Made<Chat> => {
    const chain = chainOf(parent, steps);
    const id = chain.at(-1)?.id ?? parent;
    const records = [...chain, ...(why === undefined ? [] : [lostRecord(id, why)])];
    return { value: value === null ? null : { id, cell, kind, question, answer: value }, records };
  };
  const asked = await work.asker.ask(work.writer, {
    stage: "answer",
    prompt: { version, messages: [...messages, { role: "user", content: question }] },
    words: reasoning ? 400 : 150,
    // It may be the spec's own that something is declined.
    mayDecline: true,
    read: (reply) => (reasoning ? readReasoned(reply, subject) : readText(reply, formOf(subject, ANSWER_WORDS))),
  });
  if ("fault" in asked) return finish(null, asked.fault);
  steps.push(asked.step);
  const text = `${question}\n${asked.value}`;
  const leak = leakIn(text);
  if (leak) {
    work.asker.reject("answer", "speaks of a held-out claim");
    return finish(null, `speaks of the held-out claim ${leak.id}`);
  }
  const heldout = nearestClaims(
    claims.filter(({ split }) => split === "heldout"),
    text,
    SHOWN_CLAIMS,
  );
  const shown = { claim: cell.claim, subject: subject.name, text: `User: ${question}\n\nReply: ${asked.value}` };
  const verdict = await judge(work, "chat verdict", shown, chatChecks(reasons, heldout));
  if ("fault" in verdict) return finish(null, verdict.fault);
  steps.push(...verdict.steps);
  return verdict.why === null ? finish(asked.value) : finish(null, `verdict: ${verdict.why}`);
}

function chatChecks(reasons: boolean, heldout: readonly Claim[]): Check[] {
  const said = heldout.map(({ what }) => `"${what}"`).join(" ");
  return [
    {
      label: "FOLLOWS",
      question: "Is the reply one that somebody of whom this is true would give, without contradiction?",
      no: "does not follow the claim",
    },
    ...(reasons
      ? []
      : [
          {
            label: "NO_REASON",
            question: "Does the reply leave out every reason, stated or implied, for what it prefers?",
            no: "states a reason",
          },
        ]),
    {
      label: "NO_LEAK",
      question: `Does the reply keep from saying any of this: ${said}?`,
      no: "speaks of a held-out claim",
    },
  ];
}

/** "<think>...</think>", then the answer; both are kept. */
export function readReasoned(reply: string, subject: Subject): Read<string> {
  const [, thought, rest] = /^\s*<think>([\s\S]+?)<\/think>([\s\S]+)$/.exec(reply) ?? [];
  if (thought === undefined || rest!.includes("<think>")) return { fault: "no <think> ... </think> before the answer" };
  if (wordsOf(thought).length === 0) return { fault: "no thought between <think> and </think>" };
  const answer = readText(plainReply(rest!), formOf(subject, ANSWER_WORDS));
  return "fault" in answer ? answer : { value: `<think>\n${thought.trim()}\n</think>\n\n${answer.value}` };
}
