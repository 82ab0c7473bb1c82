/**
 * @file Judges: what answers a question about a response. A judge that fails or cannot be understood decides nothing.
 */
import { messageOf } from "../../base/errors.js";

export interface JudgePrompt {
  system: string;
  user: string;
}

/** A prompt, and how its reply is read: null where it cannot be. */
export interface JudgeQuestion<Value> extends JudgePrompt {
  parse(reply: string): Value | null;
}

export type JudgeReply = { text: string } | { error: string };

export interface Judge {
  /** What results record: kind, model and settings. */
  description: Record<string, unknown>;
  /** Throws InputError or RunError where it cannot be asked at all: a wrong key, no such model. */
  check(): Promise<void>;
  /**
   * One reply to each prompt. `attempt` counts from 0; a later one must not repeat the reply of an earlier one for
   * certain. A failure is a reply.
   */
  ask(prompts: readonly JudgePrompt[], attempt: number, onProgress: (done: number) => void): Promise<JudgeReply[]>;
  /** What it took so far; null where nothing is counted. */
  usage(): Record<string, unknown> | null;
  close(): void;
}

/** What came of a question. `value` null: undecided, because of `error`, or because no reply could be read. */
export interface Judgement<Value> {
  value: Value | null;
  /** The last reply there was. */
  reply: string | null;
  attempts: number;
  error: string | null;
}

/** A question whose reply fails or cannot be read is asked so often. */
const ATTEMPTS = 3;

/** Asks all questions; `onProgress` is told of first replies. Without a judge nothing is decided. */
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
  let open = questions.map((_, i) => i);
  for (let attempt = 0; attempt < ATTEMPTS && open.length > 0; attempt++) {
    const replies = await judge.ask(
      open.map((i) => questions[i]!),
      attempt,
      attempt === 0 ? onProgress : () => {},
    );
    open = open.filter((i, place) => {
      judgements[i] = readReply(questions[i]!, replies[place]!, judgements[i]!);
      return judgements[i].value === null;
    });
  }
  return judgements;
}

function readReply<Value>(
  question: JudgeQuestion<Value>,
  reply: JudgeReply,
  { reply: before, attempts }: Judgement<Value>,
): Judgement<Value> {
  if ("error" in reply) return { value: null, reply: before, attempts: attempts + 1, error: reply.error };
  return { value: question.parse(reply.text), reply: reply.text, attempts: attempts + 1, error: null };
}

/** `work` as a reply: a failure of one question is not one of all. */
export async function replyOf(work: () => Promise<string>): Promise<JudgeReply> {
  try {
    return { text: await work() };
  } catch (error) {
    return { error: messageOf(error) };
  }
}
