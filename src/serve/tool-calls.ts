/** @file Calls of tools as models write them, and as OpenAI's clients read and send them. */
import { randomUUID } from "node:crypto";
import { InputError } from "../base/errors.js";
import { checkJsonKeys, parseOrderedJson } from "../base/json.js";
import type { Message } from "../tokenizer/spans.js";

export interface ToolCall {
  id: string;
  type: "function";
  /** `arguments` is JSON. */
  function: { name: string; arguments: string };
}

const MAX_DEPTH = 64;

/**
 * The calls that `text` is: JSON of {name, arguments} (Qwen, Hermes) or {name, parameters} (Llama 3), a list of them,
 * or several with semicolons or line breaks between. Null where it is none, or one of a function that is not among
 * `names`.
 */
export function callsOfJson(text: string, names: readonly string[]): ToolCall[] | null {
  const whole = parse(text);
  const values =
    whole === undefined
      ? text
          .split(/;|\n/)
          .filter((part) => part.trim() !== "")
          .map(parse)
      : [whole].flat();
  const calls = values.map((value) => callOf(value, names));
  return calls.length > 0 && calls.every((call) => call !== null) ? calls : null;
}

function parse(text: string): unknown {
  try {
    checkJsonKeys(text, MAX_DEPTH, "a call");
    return parseOrderedJson(text.trim(), "a call");
  } catch (error) {
    if (error instanceof InputError) return undefined;
    throw error;
  }
}

function callOf(value: unknown, names: readonly string[]): ToolCall | null {
  if (typeof value !== "object" || value === null) return null;
  const { name, arguments: given, parameters } = value as Record<string, unknown>;
  const args = given ?? parameters ?? {};
  if (typeof name !== "string" || !names.includes(name)) return null;
  // Some write the arguments as a text of JSON.
  const json = typeof args === "string" ? args : JSON.stringify(args);
  const id = `call_${randomUUID().replaceAll("-", "").slice(0, 24)}`;
  return { id, type: "function", function: { name, arguments: json } };
}

/** The message with its calls' arguments as objects, which templates print; clients send them as texts of JSON. */
export function withParsedArguments(message: Message): Message {
  const calls = message["tool_calls"];
  if (!Array.isArray(calls)) return message;
  return { ...message, tool_calls: calls.map(parseArguments) };
}

function parseArguments(call: unknown): unknown {
  if (typeof call !== "object" || call === null) return call;
  const { function: called } = call as { function?: unknown };
  if (typeof called !== "object" || called === null) return call;
  const { arguments: args } = called as { arguments?: unknown };
  const value = typeof args === "string" ? parse(args) : undefined;
  return typeof value === "object" && value !== null ? { ...call, function: { ...called, arguments: value } } : call;
}
