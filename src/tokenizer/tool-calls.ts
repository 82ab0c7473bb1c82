/** @file What templates make of calls and reasoning: contents that are absent, and what a template does not write. */

import { isObject } from "./files.js";
import { type Message, type Render, tryRender, uniqueWord } from "./spans.js";

/**
 * The messages with each absent content (null) as the template can take it: DeepSeek's writes calls only where the
 * content is none, others refuse that or would write the word "None"; for those it is "".
 */
export function settleContents(messages: Message[], render: Render): Message[] {
  let settled = messages.map((message) => (message.content === null ? { ...message, content: "" } : message));
  for (const [i, { content }] of messages.entries()) {
    if (content !== null) continue;
    const withNone = settled.with(i, messages[i]!);
    const text = tryRender({ render }, withNone, false);
    if (text === undefined) continue;
    const empty = tryRender({ render }, settled, false);
    if (empty === undefined || !addsNone(text, empty)) settled = withNone;
  }
  return settled;
}

/** Whether `text` is `other` and a word for none. */
function addsNone(text: string, other: string): boolean {
  const [long, short] = [text, other].map((one) => one.replace(/\s/g, "")) as [string, string];
  let same = 0;
  while (same < short.length && long[same] === short[same]) same++;
  return ["None", "none", "null"].some((word) => {
    const at = long.lastIndexOf(word, same);
    return at >= 0 && long.slice(0, at) + long.slice(at + word.length) === short;
  });
}

/**
 * How many messages have calls of tools of which at least one is not in the rendered chat: another name would change
 * nothing.
 */
export function countUnwrittenCalls(messages: Message[], rendered: string, render: Render): number {
  if (!messages.some(hasCalls)) return 0;
  const word = uniqueWord(rendered);
  const renamed = messages.map((message, i) => {
    if (!hasCalls(message)) return message;
    return { ...message, tool_calls: message.tool_calls.map((call, k) => withName(call, `${word}m${i}c${k}x`)) };
  });
  const text = tryRender({ render }, renamed, false);
  if (text === undefined) return 0; // the template reads the names
  return messages.filter(
    (message, i) => hasCalls(message) && message.tool_calls.some((_, k) => !text.includes(`${word}m${i}c${k}x`)),
  ).length;
}

/** Where models and servers put what an assistant thought before its answer. */
const REASONING = ["reasoning_content", "reasoning", "thinking"];

/** How many messages have reasoning that is not in the rendered chat: other words in its place would change nothing. */
export function countUnwrittenReasoning(messages: Message[], rendered: string, render: Render): number {
  const fieldOf = (message: Message): string | undefined =>
    REASONING.find((field) => typeof message[field] === "string" && (message[field] as string).trim() !== "");
  if (messages.every((message) => fieldOf(message) === undefined)) return 0;
  const word = uniqueWord(rendered);
  const replaced = messages.map((message, i) => {
    const field = fieldOf(message);
    return field === undefined ? message : { ...message, [field]: `${word}m${i}x` };
  });
  const text = tryRender({ render }, replaced, false);
  if (text === undefined) return 0; // the template reads it
  return messages.filter((message, i) => fieldOf(message) !== undefined && !text.includes(`${word}m${i}x`)).length;
}

function hasCalls(message: Message): message is Message & { tool_calls: unknown[] } {
  return Array.isArray(message["tool_calls"]) && message["tool_calls"].length > 0;
}

/** A call as {function: {name, arguments}} or {name, arguments}. */
function withName(call: unknown, name: string): unknown {
  if (!isObject(call)) return call;
  return isObject(call["function"]) ? { ...call, function: { ...call["function"], name } } : { ...call, name };
}
