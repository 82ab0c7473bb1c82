/** @file Messages of chats as data have them: roles, contents, and which of them are targets. */

import { InputError } from "../base/errors.js";
import { formatValue, parseOrderedJson } from "../base/json.js";
import type { Message } from "../tokenizer/spans.js";
import { has, type Json, saysLoss } from "./forms.js";

/** A message with what the data say of its loss: undefined where they say nothing. */
export interface Turn {
  message: Message;
  isTrained: boolean | undefined;
}

/** Who speaks in ShareGPT's `from`. */
const SPEAKERS: Record<string, string> = {
  human: "user",
  user: "user",
  gpt: "assistant",
  chatgpt: "assistant",
  assistant: "assistant",
  system: "system",
  tool: "tool",
  function: "tool",
  observation: "tool",
};

/**
 * The turns of a chat; `key` names the list in errors. Contents become texts: parts are joined; null is left where
 * tools are called. `weight` and `train` say which messages are targets, and are no part of what the template sees.
 */
export function parseTurns(value: unknown, key: string, where: string): Turn[] {
  if (!Array.isArray(value) || value.length === 0) throw new InputError(`${where}: ${key} must be a list of messages`);
  return value.map((given, i) => {
    const at = `${where}: ${key}[${i}]`;
    if (!isObject(given)) throw new InputError(`${at} must be {role, content}, not ${kindOf(given)}`);
    const { weight: _w, train: _t, ...message } = withRole(given, at);
    const { role } = message;
    checkNumbers(message, at);
    if (typeof role !== "string") throw new InputError(`${at}: role must be a text, not ${kindOf(role)}`);
    const calls = parseList(message["tool_calls"], `${at}: tool_calls`);
    // Parquet writes every absent field as null; a template would take it for a present one.
    const present = Object.entries(message).filter(([name, field]) => has({ [name]: field }, name));
    const fields = present.filter(([name]) => name !== "tool_calls");
    if (calls.length > 0) fields.push(["tool_calls", calls]);
    const content = parseContent(message["content"], calls.length > 0, at);
    return {
      message: { ...Object.fromEntries(fields), role, content },
      isTrained: parseLoss(given, at),
    };
  });
}

/** ShareGPT's {from, value} as {role, content}; other messages as they are. */
function withRole(message: Json, at: string): Json {
  const { from, value, ...rest } = message;
  if (has(message, "role") || !has(message, "from")) return message;
  const role = typeof from === "string" && Object.hasOwn(SPEAKERS, from) ? SPEAKERS[from] : undefined;
  if (role === undefined)
    throw new InputError(`${at}: from is ${formatValue(from)}; known are ${Object.keys(SPEAKERS).join(", ")}`);
  return { ...rest, role, content: value };
}

/** `weight` (OpenAI's, 0 or 1) and `train` (axolotl's, true or false). */
function parseLoss(message: Json, at: string): boolean | undefined {
  const { weight, train } = message;
  const other = Object.keys(message).find(
    (key) => saysLoss(key) && key !== "weight" && key !== "train" && has(message, key),
  );
  if (other !== undefined)
    throw new InputError(
      `${at}: ${formatValue(other)} is not known; weight (0 or 1) or train (true or false) says whether a message is ` +
        "a target",
    );
  if (has(message, "weight") && weight !== 0 && weight !== 1)
    throw new InputError(`${at}: weight is ${formatValue(weight)}; 0 (no target) and 1 are implemented`);
  if (has(message, "train") && typeof train !== "boolean")
    throw new InputError(`${at}: train is ${formatValue(train)}; it must be true or false`);
  const said = [...(has(message, "weight") ? [weight === 1] : []), ...(has(message, "train") ? [train === true] : [])];
  if (said.length === 2 && said[0] !== said[1])
    throw new InputError(`${at}: weight ${formatValue(weight)} and train ${formatValue(train)} contradict each other`);
  return said[0];
}

function parseContent(content: unknown, hasCalls: boolean, at: string): string | null {
  if (typeof content === "string") return content;
  if (content === null || content === undefined) {
    if (hasCalls) return null;
    throw new InputError(`${at}: content is missing`);
  }
  if (!Array.isArray(content)) throw new InputError(`${at}: content must be a text, not ${kindOf(content)}`);
  const parts = content.map((part: unknown) => (isObject(part) && part["type"] === "text" ? part["text"] : part));
  const wrong = parts.findIndex((part) => typeof part !== "string");
  if (wrong >= 0) throw new InputError(`${at}: content[${wrong}] is no text part`);
  return parts.join("");
}

/**
 * A list, or the JSON of one in a text, which is what Arrow makes of lists whose items differ (its items too); empty
 * where nothing is given.
 */
export function parseList(value: unknown, where: string): unknown[] {
  const list = parseNested(value, where);
  if (list === undefined) return [];
  if (!Array.isArray(list)) throw new InputError(`${where} must be a list, not ${kindOf(list)}`);
  return list.map((item, i) => parseNested(item, `${where}[${i}]`));
}

/** An object, or the JSON of one in a text; undefined where nothing is given. */
export function parseObject(value: unknown, where: string): Json | undefined {
  const object = parseNested(value, where);
  if (object !== undefined && !isObject(object)) throw new InputError(`${where} must be an object`);
  return object;
}

function parseNested(value: unknown, where: string): unknown {
  if (value === null || value === undefined) return undefined;
  if (typeof value !== "string") return value;
  const parsed = value.trim() === "" ? null : parseOrderedJson(value, where);
  return parsed === null ? undefined : parsed;
}

/** Refuses numbers that JSON.parse has rounded: the template would write other digits than the data have. */
export function checkNumbers(value: unknown, at: string): void {
  if (typeof value === "number") {
    const isExact = Number.isInteger(value) ? Number.isSafeInteger(value) : Number.isFinite(value);
    if (!isExact) throw new InputError(`${at}: ${value} is too large for an exact number; write it as a text`);
  }
  if (typeof value !== "object" || value === null) return;
  for (const [key, item] of Object.entries(value))
    checkNumbers(item, Array.isArray(value) ? `${at}[${key}]` : `${at}.${key}`);
}

export function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** What a value is, for messages. */
export function kindOf(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "a list";
  if (isObject(value)) return "an object";
  return value === undefined ? "absent" : `a ${typeof value}`;
}
