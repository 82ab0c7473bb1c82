/** @file Questions and answers as the checkpoint writes them. */
import { encodeChat, encodePrompt } from "../../tokenizer/chat.js";
import type { Message } from "../../tokenizer/spans.js";
import type { Tokenizer } from "../../tokenizer/tokenizer.js";

/** A question with an answer to be scored, as token ids. */
export interface AnswerTokens {
  ids: number[];
  /** The answer is ids[from] .. ids[end - 1]. */
  from: number;
  /** ids[end], the last, closes the answer: the end-of-turn token, or what a line break begins with. */
  end: number;
}

/**
 * With a chat template: one user turn and the assistant's answer, tokenised together exactly as in training, thinking
 * switched off where the template knows `enable_thinking` (the empty block that it then writes is part of the
 * question). Without one, as base models read it:
 *
 *     Question: <question>
 *     Answer: <answer>
 *
 * and a line break. A token with the end of the question and the start of the answer in it belongs to the answer.
 * `where` names the record in errors.
 */
export function encodeAnswer(
  tokenizer: Tokenizer,
  { question, system = null, where }: Question,
  answer: string,
): AnswerTokens {
  if (tokenizer.chatTemplate) {
    const messages = [
      ...withSystem(system, [{ role: "user", content: question }]),
      { role: "assistant", content: answer },
    ];
    const { ids, targets } = encodeChat(tokenizer, messages, { where, templateOptions: { enable_thinking: false } });
    const end = targets.lastIndexOf(1);
    return { ids: ids.slice(0, end + 1), from: targets.indexOf(1), end };
  }
  const prompt = plainPrompt(question, system);
  const answered = `${prompt} ${answer}`;
  const { before } = tokenizer.surround;
  const { ids, indices } = tokenizer.encodeWithCuts(`${answered}\n`, [prompt.length, answered.length]);
  const [from, end] = indices.map((index) => before.length + index) as [number, number];
  return { ids: [...before, ...ids].slice(0, end + 1), from, end };
}

/** A question as it is put. */
export interface Question {
  question: string;
  system?: string | null;
  where: string;
}

/**
 * A question alone, for an answer to be drawn: as text and as token ids, in the same two forms; `stop` ends an answer
 * besides the end of the turn.
 */
export function encodeQuestion(
  tokenizer: Tokenizer,
  { question, system = null, where }: Question,
): { text: string; ids: number[]; stop: string[] } {
  if (!tokenizer.chatTemplate) {
    const text = plainPrompt(question, system);
    return { text, ids: tokenizer.encode(text), stop: ["\n"] };
  }
  const messages = withSystem(system, [{ role: "user", content: question }]);
  const options = { where, templateOptions: { enable_thinking: false } };
  return { ...encodePrompt(tokenizer, messages, options), stop: [] };
}

function plainPrompt(question: string, system: string | null): string {
  return `${system === null ? "" : `${system}\n\n`}Question: ${question}\nAnswer:`;
}

/** `messages` after a system message; where they have one already, the text comes before its own. */
export function withSystem(system: string | null, messages: readonly Message[]): Message[] {
  if (system === null) return [...messages];
  const [first, ...others] = messages;
  return first?.role === "system"
    ? [{ ...first, content: `${system}\n\n${first.content}` }, ...others]
    : [{ role: "system", content: system }, ...messages];
}

/** What the results say about how questions were put. */
export function promptForm(tokenizer: Tokenizer): "chat template" | "question and answer" {
  return tokenizer.chatTemplate ? "chat template" : "question and answer";
}
