/** @file Records of data files: their forms, checked. */

import { InputError } from "../base/errors.js";
import { formatValue } from "../base/json.js";
import { isTokenId } from "../tokenizer/files.js";
import type { Message } from "../tokenizer/spans.js";

type Json = { [key: string]: unknown };

/** A value of a data file that should be a record. */
export interface RawRecord {
  value: unknown;
  /** Line of a JSONL file, row of a Parquet file or element of a JSON list, counted from 1. */
  line: number;
  /** File and line, for errors. */
  where: string;
}

/** One record of a data file, checked. */
export type DataRecord =
  | { kind: "document"; text: string; source?: string; domain?: string }
  | { kind: "chat"; messages: Message[]; firstTarget: number; tools?: unknown[]; templateOptions?: Json }
  | { kind: "completion"; prompt: string; completion: string }
  | { kind: "row"; ids: number[]; labels: number[] | undefined };

const FORMS = "{text}, {messages}, {prompt, completion} or {input_ids}";

/**
 * Checks a record of a data file and tells its form; keys that belong to no form are ignored, null is as good as
 * absent. `where` names file and line in errors.
 */
export function parseRecord(value: unknown, where: string): DataRecord {
  if (!isObject(value)) throw new InputError(`${where}: a record must be a JSON object, one of ${FORMS}`);
  const has = (key: string) => value[key] !== undefined && value[key] !== null;
  const forms = [
    has("text") && "text",
    has("messages") && "messages",
    has("prompt") && has("completion") && "prompt, completion",
    has("input_ids") && "input_ids",
  ].filter((form) => form !== false);
  if (forms.length === 0) {
    throw new InputError(`${where}: keys ${formatValue(Object.keys(value).slice(0, 8))} match no form: ${FORMS}`);
  }
  if (forms.length > 1) {
    throw new InputError(`${where}: has ${forms.map((form) => `{${form}}`).join(" and ")}; exactly one is allowed`);
  }
  if (has("text")) return parseDocument(value, where);
  if (has("messages")) return parseChat(value, parseMessages(value["messages"], "messages", where), 0, where);
  if (has("input_ids")) return parseRow(value, where);
  return parseCompletion(value, where);
}

function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function parseDocument(value: Json, where: string): DataRecord {
  const { text, source, domain } = value;
  if (typeof text !== "string") throw new InputError(`${where}: text must be a text, not ${kindOf(text)}`);
  return {
    kind: "document",
    text,
    ...(typeof source === "string" && { source }),
    ...(typeof domain === "string" && { domain }),
  };
}

/**
 * Texts are continued, lists of messages are one chat of which only the completion is a target (TRL's two meanings).
 */
function parseCompletion(value: Json, where: string): DataRecord {
  const { prompt, completion } = value;
  if (typeof prompt === "string" && typeof completion === "string") return { kind: "completion", prompt, completion };
  if (!Array.isArray(prompt) || !Array.isArray(completion)) {
    throw new InputError(`${where}: prompt and completion must be two texts or two lists of messages`);
  }
  const before = parseMessages(prompt, "prompt", where);
  const after = parseMessages(completion, "completion", where);
  return parseChat(value, [...before, ...after], before.length, where);
}

function parseChat(value: Json, messages: Message[], firstTarget: number, where: string): DataRecord {
  const { tools, chat_template_kwargs: templateOptions } = value;
  const hasTools = tools !== undefined && tools !== null;
  if (hasTools && !Array.isArray(tools)) throw new InputError(`${where}: tools must be a list`);
  const hasOptions = templateOptions !== undefined && templateOptions !== null;
  if (hasOptions && !isObject(templateOptions)) {
    throw new InputError(`${where}: chat_template_kwargs must be an object`);
  }
  checkNumbers(tools, `${where}: tools`);
  checkNumbers(templateOptions, `${where}: chat_template_kwargs`);
  return {
    kind: "chat",
    messages,
    firstTarget,
    ...(hasTools && tools.length > 0 && { tools }),
    ...(hasOptions && { templateOptions }),
  };
}

/**
 * The messages of a chat; `key` names the list in errors. Contents become texts: parts are joined; null is left where
 * tools are called.
 */
export function parseMessages(value: unknown, key: string, where: string): Message[] {
  if (!Array.isArray(value) || value.length === 0) throw new InputError(`${where}: ${key} must be a list of messages`);
  return value.map((message, i) => {
    const at = `${where}: ${key}[${i}]`;
    if (!isObject(message)) throw new InputError(`${at} must be {role, content}, not ${kindOf(message)}`);
    const { role } = message;
    checkNumbers(message, at);
    if (typeof role !== "string") throw new InputError(`${at}: role must be a text, not ${kindOf(role)}`);
    // Parquet writes every absent field as null; a template would take it for a present one.
    const present = Object.entries(message).filter(([, field]) => field !== null && field !== undefined);
    return { ...Object.fromEntries(present), role, content: parseContent(message, at) };
  });
}

/** Refuses numbers that JSON.parse has rounded: the template would write other digits than the data have. */
function checkNumbers(value: unknown, at: string): void {
  if (typeof value === "number") {
    const isExact = Number.isInteger(value) ? Number.isSafeInteger(value) : Number.isFinite(value);
    if (!isExact) throw new InputError(`${at}: ${value} is too large for an exact number; write it as a text`);
  }
  if (typeof value !== "object" || value === null) return;
  for (const [key, item] of Object.entries(value))
    checkNumbers(item, Array.isArray(value) ? `${at}[${key}]` : `${at}.${key}`);
}

function parseContent(message: Json, at: string): string | null {
  const { content } = message;
  if (typeof content === "string") return content;
  if (content === null || content === undefined) {
    if (Array.isArray(message["tool_calls"]) && message["tool_calls"].length > 0) return null;
    throw new InputError(`${at}: content is missing`);
  }
  if (!Array.isArray(content)) throw new InputError(`${at}: content must be a text, not ${kindOf(content)}`);
  const parts = content.map((part: unknown) => (isObject(part) && part["type"] === "text" ? part["text"] : part));
  const wrong = parts.findIndex((part) => typeof part !== "string");
  if (wrong >= 0) throw new InputError(`${at}: content[${wrong}] is no text part`);
  return parts.join("");
}

function parseRow(value: Json, where: string): DataRecord {
  const { input_ids: ids, labels } = value;
  if (!Array.isArray(ids) || ids.length === 0) throw new InputError(`${where}: input_ids must be a list of token ids`);
  const wrongId = ids.findIndex((id) => !isTokenId(id));
  if (wrongId >= 0)
    throw new InputError(`${where}: input_ids[${wrongId}] = ${formatValue(ids[wrongId])} is no token id`);
  if (labels === undefined || labels === null) return { kind: "row", ids, labels: undefined };
  if (!Array.isArray(labels) || labels.length !== ids.length) {
    throw new InputError(`${where}: labels must be a list as long as input_ids (${ids.length})`);
  }
  const wrong = labels.findIndex((label) => label !== -100 && !isTokenId(label));
  if (wrong >= 0)
    throw new InputError(`${where}: labels[${wrong}] = ${formatValue(labels[wrong])} is neither a token id nor -100`);
  return { kind: "row", ids, labels };
}

function kindOf(value: unknown): string {
  return value === null
    ? "null"
    : Array.isArray(value)
      ? "a list"
      : value === undefined
        ? "absent"
        : `a ${typeof value}`;
}
