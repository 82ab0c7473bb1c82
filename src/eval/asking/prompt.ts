/** @file Questions and answers as the checkpoint writes them. */
import { encodeChat } from "../../tokenizer/chat.js";
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
export function encodeAnswer(tokenizer: Tokenizer, question: string, answer: string, where: string): AnswerTokens {
  if (tokenizer.chatTemplate) {
    const messages = [
      { role: "user", content: question },
      { role: "assistant", content: answer },
    ];
    const { ids, targets } = encodeChat(tokenizer, messages, { where, templateOptions: { enable_thinking: false } });
    const end = targets.lastIndexOf(1);
    return { ids: ids.slice(0, end + 1), from: targets.indexOf(1), end };
  }
  const prompt = `Question: ${question}\nAnswer:`;
  const answered = `${prompt} ${answer}`;
  const { before } = tokenizer.surround;
  const { ids, indices } = tokenizer.encodeWithCuts(`${answered}\n`, [prompt.length, answered.length]);
  const [from, end] = indices.map((index) => before.length + index) as [number, number];
  return { ids: [...before, ...ids].slice(0, end + 1), from, end };
}

/** What the results say about how questions were put. */
export function promptForm(tokenizer: Tokenizer): "chat template" | "question and answer" {
  return tokenizer.chatTemplate ? "chat template" : "question and answer";
}
