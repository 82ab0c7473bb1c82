/** @file Which tokens of a checkpoint begin and end the turns of a chat. */

import { withTimeLimit } from "./limits.js";
import { type Render, type TurnTokens, tryRender } from "./spans.js";
import type { ChatCodec, ChatTemplate } from "./template.js";

const known = new WeakMap<ChatCodec, TurnTokens>();

/**
 * Special tokens, and where a checkpoint's turns are made of tokens that are not special (DeepSeek's "<｜Assistant｜>"):
 * those that the template itself writes into plain chats. One that is not special ends turns only where no special
 * token does.
 */
export function turnTokens(tokenizer: ChatCodec): TurnTokens {
  let tokens = known.get(tokenizer);
  if (tokens === undefined) {
    tokens = findTurnTokens(tokenizer);
    known.set(tokenizer, tokens);
  }
  return tokens;
}

function findTurnTokens({ specialTexts, ordinaryAddedTexts, chatTemplate }: ChatCodec): TurnTokens {
  const candidates = ordinaryAddedTexts.filter((text) => isMark(text) && !isPaired(text, ordinaryAddedTexts));
  if (chatTemplate === undefined || candidates.length === 0) {
    return { control: specialTexts, ordinary: [], closing: specialTexts };
  }
  const rendered = withTimeLimit(() => PROBES.map((roles) => renderProbe(chatTemplate, roles)));
  const written = candidates.filter((text) => rendered.some((chat) => chat?.includes(text)));
  const tail = rendered.find((chat) => chat?.includes(ANSWER))?.split(ANSWER)[1] ?? "";
  const isClosedBySpecial = specialTexts.some((text) => tail.includes(text));
  const closing = isClosedBySpecial ? [] : written.filter((text) => tail.trimStart().startsWith(text)).slice(0, 1);
  return {
    control: longestFirst([...specialTexts, ...written]),
    ordinary: written,
    closing: longestFirst([...specialTexts, ...closing]),
  };
}

/** Spelled so that no content means it as a word: "<|im_end|>", "[INST]"; not "assistant", "\n\n" or "...". */
function isMark(text: string): boolean {
  return /^[^\p{L}\p{N}\s].*\p{L}.*[^\p{L}\p{N}\s]$/u.test(text);
}

/** "<think>" and "</think>" are a pair: they enclose a part of a turn, and contents may hold them. */
function isPaired(text: string, others: readonly string[]): boolean {
  return others.some((other) => other.replace("/", "") === text.replace("/", "") && other !== text);
}

const ANSWER = "plain4answer";
/** The first says what follows an answer. */
const PROBES = [
  ["user", "assistant"],
  ["system", "user", "assistant"],
  ["user", "assistant", "user"],
];

function renderProbe(template: ChatTemplate, roles: string[]): string | undefined {
  const render: Render = (messages) => template.render({ messages, add_generation_prompt: false });
  const messages = roles.map((role) => ({ role, content: role === "assistant" ? ANSWER : "a" }));
  return tryRender({ render }, messages, false);
}

function longestFirst(texts: string[]): string[] {
  return texts.sort((a, b) => b.length - a.length);
}
