/** @file Log-probabilities in the forms of chats and of plain completions. */
import type { Tokenizer } from "../tokenizer/tokenizer.js";
import type { Token } from "./draw.js";

interface ChatToken {
  token: string;
  logprob: number;
  bytes: number[];
}
export type ChatLogprob = ChatToken & { top_logprobs: ChatToken[] };

/** Below this log-probabilities are no numbers of JSON any more (-inf); it is OpenAI's bound. */
const LEAST = -9999;

export function chatLogprob(tokenizer: Tokenizer, { id, logprob, top }: Token): ChatLogprob {
  const entry = (token: number, value: number): ChatToken => ({
    token: tokenText(tokenizer, token),
    logprob: Math.max(value, LEAST),
    bytes: [...tokenizer.tokenBytes(token)],
  });
  return { ...entry(id, logprob), top_logprobs: top.map((other) => entry(other.id, other.logprob)) };
}

/**
 * A token as a text of its own: its bytes where it is a part of a character ("bytes:\xe2\x82"), its id where the
 * vocabulary does not have it.
 */
export function tokenText(tokenizer: Tokenizer, id: number): string {
  if (tokenizer.tokenText(id) === undefined) return `token_id:${id}`;
  const bytes = tokenizer.tokenBytes(id);
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return `bytes:${[...bytes].map((byte) => `\\x${byte.toString(16).padStart(2, "0")}`).join("")}`;
  }
}

export interface CompletionLogprobs {
  tokens: string[];
  token_logprobs: (number | null)[];
  top_logprobs: (Record<string, number> | null)[];
  text_offset: number[];
}

/** `tokens` with what is known of each (null: of the first of a prompt nothing is), the first at `offset`. */
export function completionLogprobs(
  tokenizer: Tokenizer,
  tokens: readonly { id: number; scores: Omit<Token, "id"> | null }[],
  offset: number,
): CompletionLogprobs {
  const out: CompletionLogprobs = { tokens: [], token_logprobs: [], top_logprobs: [], text_offset: [] };
  let at = offset;
  for (const { id, scores } of tokens) {
    const text = tokenText(tokenizer, id);
    out.tokens.push(text);
    out.token_logprobs.push(scores && Math.max(scores.logprob, LEAST));
    out.top_logprobs.push(scores && topByText(tokenizer, id, scores));
    out.text_offset.push(at);
    at += text.length;
  }
  return out;
}

/** By text; of two tokens of one text the likelier. The token itself is always there. */
function topByText(tokenizer: Tokenizer, id: number, { logprob, top }: Omit<Token, "id">): Record<string, number> {
  const found: [string, number][] = [];
  for (const one of [...top, { id, logprob }]) {
    const text = tokenText(tokenizer, one.id);
    if (!found.some(([known]) => known === text)) found.push([text, Math.max(one.logprob, LEAST)]);
  }
  return Object.fromEntries(found);
}
