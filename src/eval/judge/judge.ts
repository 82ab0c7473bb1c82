/**
 * @file Judges: what answers a question about a response. What a judge refuses or cannot say in the form that was
 * asked for decides nothing; what it could not be
 * asked stays open, and so does the evaluation.
 */
import { RunError } from "../../base/errors.js";
import type { KeptReply, ReplyCache } from "../../endpoint/cache.js";
import { isCutOff } from "../../endpoint/reply.js";

export interface JudgePrompt {
  system: string;
  user: string;
}

/** What a judge that runs here has room for. */
export interface JudgeRoom {
  /** Of a question with its reply. */
  positions: number;
  /** What a reply takes at most. */
  replyTokens: number;
  /** Of a question as the judge is asked it. */
  count(prompt: JudgePrompt): number;
}

/** A prompt, and how its reply is read: null where it cannot be. */
export interface JudgeQuestion<Value> extends JudgePrompt {
  parse(reply: string): Value | null;
}

/** `isOpen`: the question may be answered another time (an outage); otherwise it is refused for good. */
export type JudgeReply = KeptReply | { error: string; isOpen: boolean };

export interface Judge {
  /** What results record: kind, model and settings. */
  description: Record<string, unknown>;
  /** Throws InputError or RunError where it cannot be asked at all: a wrong key, no such model. */
  check(): Promise<void>;
  /**
   * One reply to each question; what can be read is kept, and not asked again. `attempt` counts from 0; a later one
   * must not repeat the reply of an earlier one
   * for certain. A failure is a reply.
   */
  ask(
    questions: readonly JudgeQuestion<unknown>[],
    attempt: number,
    onProgress: (done: number) => void,
  ): Promise<JudgeReply[]>;
  /** Of a judge that runs here; absent: its service knows. */
  room?: JudgeRoom;
  /** What it took so far; null where nothing is counted. */
  usage(): Record<string, unknown> | null;
  close(): void;
}

/**
 * What came of a question. `value` null: undecided, because no reply could be read, or none was given for good;
 * `error` says more.
 */
export interface Judgement<Value> {
  value: Value | null;
  /** The last reply there was. */
  reply: string | null;
  attempts: number;
  error: string | null;
}

/**
 * Questions were not answered that the judge would answer at another time: what was done is kept, and the same
 * command goes on.
 */
export class OutageError extends RunError {
  override name = "OutageError";
}

/** A question whose reply cannot be read is asked so often. */
const ATTEMPTS = 3;

/**
 * Asks all questions; `onProgress` is told of first replies. Without a judge nothing is decided.
 * @throws OutageError where questions stay open, RunError where every question is refused
 */
export async function askJudge<Value>(
  judge: Judge | null,
  questions: readonly JudgeQuestion<Value>[],
  onProgress: (done: number) => void = () => {},
): Promise<Judgement<Value>[]> {
  const judgements = questions.map(
    (): Judgement<Value> => ({ value: null, reply: null, attempts: 0, error: judge ? null : "no judge" }),
  );
  if (!judge) return judgements;
  onProgress(0);
  let unread = questions.map((_, i) => i);
  for (let attempt = 0; attempt < ATTEMPTS && unread.length > 0; attempt++) {
    const replies = await judge.ask(
      unread.map((i) => questions[i]!),
      attempt,
      attempt === 0 ? onProgress : () => {},
    );
    const outages = replies.flatMap((reply) => ("error" in reply && reply.isOpen ? [reply.error] : []));
    if (outages.length > 0) throw outageOf(judge, outages, replies.length);
    unread = unread.filter((i, place) => {
      const reply = replies[place]!;
      judgements[i] = judgementOf(questions[i]!, reply, judgements[i]!);
      return judgements[i].value === null && "text" in reply;
    });
  }
  if (questions.length > 0 && judgements.every(({ reply }) => reply === null))
    throw new RunError(`${nameOf(judge)} answered no question: ${judgements[0]!.error}`);
  return judgements;
}

function outageOf(judge: Judge, outages: readonly string[], asked: number): OutageError {
  return new OutageError(
    `${nameOf(judge)} gave no reply to ${outages.length} of ${asked} questions: ${outages[0]}. ` +
      "What it answered is kept, and the same command asks for the rest",
  );
}

/**
 * Throws RunError, with what came instead, where none of the replies could be read: that is a broken judge, not an
 * undecided one.
 */
export function checkReadable(judge: Judge, judgements: readonly Judgement<unknown>[]): void {
  if (judgements.length === 0 || judgements.some(({ value }) => value !== null)) return;
  const { reply, error } = judgements.find((one) => one.reply !== null)!;
  throw new RunError(
    `${nameOf(judge)}: none of its ${judgements.length} replies can be read; ` +
      `the first is ${JSON.stringify(reply!.slice(0, 200))}` +
      `${error === null ? "" : ` (${error})`}. Name another judge, or none (--judge none)`,
  );
}

function nameOf({ description }: Judge): string {
  return `the judge (${description["model"]})`;
}

function judgementOf<Value>(
  question: JudgeQuestion<Value>,
  reply: JudgeReply,
  { reply: before, attempts }: Judgement<Value>,
): Judgement<Value> {
  if ("error" in reply) return { value: null, reply: before, attempts: attempts + 1, error: reply.error };
  const value = readReply(question, reply);
  return { value, reply: reply.text, attempts: attempts + 1, error: value === null ? flawOf(reply) : null };
}

/** What `question` reads in a reply. One that is cut off has not come to its verdict, whatever it quotes on the way. */
export function readReply<Value>(question: JudgeQuestion<Value>, { text, finish }: KeptReply): Value | null {
  return isCutOff(finish) ? null : question.parse(text);
}

/** Why a reply says nothing; null where it is whole. */
function flawOf({ text, finish }: KeptReply): string | null {
  const flaws = [...(text.trim() === "" ? ["empty"] : []), ...(isCutOff(finish) ? ["cut off"] : [])];
  return flaws.length === 0 ? null : `${flaws.join(", ")}; finish_reason ${finish ?? "not told"}`;
}

/**
 * The reply of an earlier run, where it can be read: at first that of any attempt, since only what could be read was
 * kept.
 */
export function keptReply(
  cache: ReplyCache,
  question: JudgeQuestion<unknown>,
  attempt: number,
  requestOf: (prompt: JudgePrompt, attempt: number) => unknown,
): JudgeReply | null {
  const attempts = attempt === 0 ? Array.from({ length: ATTEMPTS }, (_, i) => i) : [attempt];
  for (const one of attempts) {
    const reply = cache.load(requestOf(question, one));
    if (reply !== null && readReply(question, reply) !== null) return reply;
  }
  return null;
}
