/** @file What of a rendered chat the assistant must produce. */

import type { Json } from "./files.js";

/**
 * A stretch of a rendered chat that the model must produce: from the end of the generation prompt to the end-of-turn
 * token.
 */
export interface Span {
  /** Index of the assistant's message. */
  message: number;
  from: number;
  to: number;
}

/** `content` is null where a message only calls tools. */
export type Message = Json & { role: string; content: string | null };

/** Renders some of the messages; throws where the template refuses them. */
export type Render = (messages: Message[], addGenerationPrompt: boolean) => string;

/** Texts of tokens, the longest first. */
export interface TurnTokens {
  /**
   * Special tokens, and other added tokens that the template writes around turns. Contents cannot hold them (see
   * chat.ts).
   */
  control: readonly string[];
  /** Those of them that are not special. */
  ordinary: readonly string[];
  /** Those of them that may end a turn. */
  closing: readonly string[];
}

export interface SpanContext {
  render: Render;
  tokens: TurnTokens;
  /** Whether the template writes anything for add_generation_prompt. */
  hasGenerationPrompt: boolean;
}

/**
 * The spans of all assistant turns in `rendered`, found by rendering again, never by searching for contents or token
 * ids.
 *
 * A turn begins where the rendering of the messages before it, with the generation prompt, ends; it ends with the last
 * closing token of the rendering of the messages up to it. Some templates write a turn differently when it is not the
 * last one (Qwen3 drops its thinking): then the turn's content is replaced by a word that occurs nowhere else, and what
 * is left equal before and after it bounds the turn. Where the generation prompt itself holds text of the rendered turn
 * (`<think>`), that text is no target. A template without generation prompt: the turn begins with the content.
 *
 * Returns a text that says what could not be found, naming the turn.
 */
export function findSpans(messages: Message[], rendered: string, context: SpanContext): Span[] | string {
  const spans: Span[] = [];
  let end = 0;
  for (const [message, { role }] of messages.entries()) {
    if (role !== "assistant") continue;
    const found =
      byPrefix(messages, message, rendered, context) ?? bySubstitution(messages, message, rendered, context);
    if (typeof found === "string") return `message ${message + 1}: ${found}`;
    if (found.from < end || found.to <= found.from)
      return `message ${message + 1}: its place in the rendered chat is unclear`;
    spans.push({ message, ...found });
    end = found.to;
  }
  return spans;
}

type Bounds = { from: number; to: number };

function byPrefix(messages: Message[], index: number, rendered: string, context: SpanContext): Bounds | undefined {
  if (!context.hasGenerationPrompt || index === 0) return undefined;
  const before = tryRender(context, messages.slice(0, index), true);
  if (before === undefined || !rendered.startsWith(before)) return undefined;
  const last = index === messages.length - 1;
  const through = last ? rendered : tryRender(context, messages.slice(0, index + 1), false);
  if (through === undefined || !rendered.startsWith(through) || through.length <= before.length) return undefined;
  const turn = endOfTurn(rendered.slice(before.length, through.length), context.tokens.closing);
  return turn === undefined ? undefined : { from: before.length, to: before.length + turn };
}

/** Where in `turn` the first of the tokens ends that close it: "answer<|im_end|>\n" -> 16. */
function endOfTurn(turn: string, closing: readonly string[]): number | undefined {
  let end: number | undefined;
  for (let rest = turn.trimEnd(); ; ) {
    const token = closing.find((text) => rest.endsWith(text));
    if (token === undefined) return end;
    end = rest.length;
    rest = rest.slice(0, -token.length).trimEnd();
  }
}

function bySubstitution(messages: Message[], index: number, rendered: string, context: SpanContext): Bounds | string {
  const stand = uniqueWord(rendered);
  const substituted = messages.with(index, { role: "assistant", content: stand });
  const other = tryRender(context, substituted, false);
  const at = other?.indexOf(stand) ?? -1;
  if (other === undefined || at < 0 || other.indexOf(stand, at + 1) >= 0)
    return "the template does not write its content";
  const from = turnStart(messages, rendered, other, at, context);
  if (from === undefined) {
    return "the start of the turn cannot be found; a new line or a token that is special must stand before it";
  }
  const tail = other.slice(at + stand.length);
  const closing = leadingToken(tail, context.tokens.closing);
  if (closing === undefined) return `no end-of-turn token follows its content; ${MARK_SPECIAL}`;
  const after = tail.slice(closing);
  const to = rendered.length - after.length;
  // The turn may close with another token than a plain answer does (<|eom_id|> after a call of a tool).
  const closed = context.tokens.closing.some((text) => rendered.slice(0, to).endsWith(text));
  if (rendered.endsWith(after) && closed) return { from, to };
  return `the end of the turn cannot be found: the template writes no end-of-turn token there; ${MARK_SPECIAL}`;
}

const MARK_SPECIAL = 'the token that ends turns must be an added token of tokenizer.json with "special": true';

/**
 * Where the turn begins in `rendered`, given `other`, the rendering with the content at `at` replaced: after the last
 * generation prompt before the content. A prompt that opens or closes a thinking block which this turn does not have
 * like that: after the last line that the two share.
 */
function turnStart(
  messages: Message[],
  rendered: string,
  other: string,
  at: number,
  context: SpanContext,
): number | undefined {
  const same = commonLength(rendered, other.slice(0, at));
  if (!context.hasGenerationPrompt) return same === at ? at : undefined;
  const generating = tryRender(context, messages, true);
  if (!generating?.startsWith(rendered)) return undefined;
  const prompt = generating.slice(rendered.length);
  if (prompt === "") return same === at ? at : undefined;
  const begin = promptStart(other.slice(0, at), prompt);
  if (begin === undefined || same <= begin) return undefined;
  const shared = prompt.slice(0, commonLength(rendered.slice(begin), prompt));
  if (shared === prompt) return begin + prompt.length;
  // Only whole lines and control tokens are shared: "<think>" and "<tool_call>" begin alike by chance.
  const dividers = ["\n", ...context.tokens.control].filter((text) => shared.includes(text));
  if (dividers.length === 0) return undefined;
  return begin + Math.max(...dividers.map((text) => shared.lastIndexOf(text) + text.length));
}

/** Where in `head` the last generation prompt begins, whole or (at the end of `head`) only its first part. */
function promptStart(head: string, prompt: string): number | undefined {
  const whole = head.lastIndexOf(prompt);
  if (whole >= 0) return whole;
  for (let length = prompt.length - 1; length > 0; length--) {
    if (head.endsWith(prompt.slice(0, length))) return head.length - length;
  }
  return undefined;
}

function commonLength(a: string, b: string): number {
  let length = 0;
  while (length < b.length && a[length] === b[length]) length++;
  return length;
}

/** Length of white space and the first of `tokens` at the start of `tail`. */
function leadingToken(tail: string, tokens: readonly string[]): number | undefined {
  const trimmed = tail.trimStart();
  const token = tokens.find((text) => trimmed.startsWith(text));
  return token === undefined ? undefined : tail.length - trimmed.length + token.length;
}

/** Undefined where the template refuses the messages. */
export function tryRender(
  { render }: Pick<SpanContext, "render">,
  messages: Message[],
  addGenerationPrompt: boolean,
): string | undefined {
  try {
    return render(messages, addGenerationPrompt);
  } catch {
    return undefined;
  }
}

/** A word that `text` does not hold. */
export function uniqueWord(text: string): string {
  for (let n = 0; ; n++) if (!text.includes(`turn${n}stands4it`)) return `turn${n}stands4it`;
}
