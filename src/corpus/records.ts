/** @file Records of data files, checked. */

import { InputError } from "../base/errors.js";
import { formatValue } from "../base/json.js";
import type { Message } from "../tokenizer/spans.js";
import { formOf, has, type Json } from "./forms.js";
import { checkNumbers, isObject, kindOf, parseList, parseObject, parseTurns, type Turn } from "./messages.js";
import { LOSS_MASKS, parseTokenRow, type TokenRow } from "./token-rows.js";

/** A value of a data file that should be a record. */
export interface RawRecord {
  value: unknown;
  /** Line of a JSONL file, row of a Parquet file or element of a JSON list, counted from 1. */
  line: number;
  /** File and line, for errors. */
  where: string;
}

/** What a chat template is given. */
export interface Chat {
  messages: Message[];
  tools?: unknown[];
  templateOptions?: Json;
}

/** A chat to be trained on. */
export interface ChatRecord extends Chat {
  kind: "chat";
  /** Messages before this one are no targets. */
  firstTarget: number;
  /** Messages of the assistant that are no targets. */
  untrained?: number[];
  /** Messages that ask to be targets and are none: others than the assistant's, or a prompt's. */
  markedInVain?: number;
}

/** One record of a data file, checked. */
export type DataRecord =
  | { kind: "document"; text: string; source?: string; domain?: string }
  | ChatRecord
  | { kind: "completion"; prompt: string; completion: string }
  | ({ kind: "row" } & TokenRow);

/**
 * Checks a record of a data file and tells its form; keys that belong to no form are ignored, null is as good as
 * absent. `where` names file and line in errors.
 */
export function parseRecord(value: unknown, where: string): DataRecord {
  return parseForm(recordOf(value, where), where).record;
}

/** A record, and the name of its form. */
export function parseForm(value: Json, where: string): { record: DataRecord; form: string } {
  const form = formOf(value, where).name;
  refuseLossOfRecord(form, value, where);
  return { record: parseAs(form, value, where), form };
}

/** Refuses what a record says of its loss as a whole: only its messages, or its tokens, can say it. */
function refuseLossOfRecord(form: string, value: Json, where: string): void {
  if (form === "{input_ids}") return;
  const mask = LOSS_MASKS.find((name) => has(value, name));
  if (mask !== undefined)
    throw new InputError(`${where}: ${mask} is beside ${form}; masks are read beside input_ids alone`);
  if (form === "{text}") return;
  const { weight, train } = value;
  const key = typeof weight === "number" && weight !== 1 ? "weight" : train === false ? "train" : undefined;
  if (key === undefined) return;
  throw new InputError(
    `${where}: ${key} is ${formatValue(value[key])}; weights of whole records are not implemented: leave the record ` +
      "out, or give its messages weight 0 or 1",
  );
}

/** `value` as an object. Throws InputError. */
export function recordOf(value: unknown, where: string): Json {
  if (isObject(value)) return value;
  throw new InputError(`${where}: a record must be a JSON object, not ${kindOf(value)}`);
}

function parseAs(form: string, value: Json, where: string): DataRecord {
  switch (form) {
    case "{text}":
      return parseDocument(value, where);
    case "{input_ids}":
      return { kind: "row", ...parseTokenRow(value, where) };
    case "{prompt, completion}":
      return parsePair(value, "completion", where);
    case "{prompt, response}":
      return parsePair(value, "response", where);
    case "{instruction, input, output}":
      return parseAlpaca(value, where);
    case "{conversations}":
      return parseChat(value, parseTurns(value["conversations"], "conversations", where), 0, where);
    default:
      return parseChat(value, parseTurns(value["messages"], "messages", where), 0, where);
  }
}

/**
 * The chat of a prompt: a list of messages, or a record with `messages`, `conversations` or a list as `prompt`, and
 * what else its template is given.
 */
export function parsePrompt(value: unknown, where: string): Chat {
  const record = Array.isArray(value) ? { messages: value } : recordOf(value, where);
  const key = ["messages", "conversations", "prompt"].find((name) => has(record, name)) ?? "messages";
  const { messages, tools, templateOptions } = parseChat(record, parseTurns(record[key], key, where), 0, where);
  return { messages, ...(tools && { tools }), ...(templateOptions && { templateOptions }) };
}

function parseDocument(value: Json, where: string): DataRecord {
  const { source, domain } = value;
  return {
    kind: "document",
    text: textOf(value, "text", where),
    ...(typeof source === "string" && { source }),
    ...(typeof domain === "string" && { domain }),
  };
}

function textOf(value: Json, key: string, where: string): string {
  const text = value[key];
  if (typeof text === "string") return text;
  throw new InputError(`${where}: ${key} must be a text, not ${kindOf(text)}`);
}

/**
 * Lists of messages are one chat of which only the second list is a target. Texts are continued where the second is a
 * `completion` (TRL's two meanings); with a `response` they are the turns of a chat.
 */
function parsePair(value: Json, key: "completion" | "response", where: string): DataRecord {
  const prompt = value["prompt"];
  const answer = value[key];
  if (typeof prompt === "string" && typeof answer === "string")
    return key === "completion"
      ? { kind: "completion", prompt, completion: answer }
      : parseChat(value, turnsOf(prompt, answer), 0, where);
  if (!Array.isArray(prompt) || !Array.isArray(answer))
    throw new InputError(`${where}: prompt and ${key} must be two texts or two lists of messages`);
  const before = parseTurns(prompt, "prompt", where);
  return parseChat(value, [...before, ...parseTurns(answer, key, where)], before.length, where);
}

/** Instruction and input are joined by a line break, as LLaMA-Factory does. */
function parseAlpaca(value: Json, where: string): DataRecord {
  const instruction = textOf(value, "instruction", where);
  const input = has(value, "input") ? textOf(value, "input", where) : "";
  const { history } = value;
  if (Array.isArray(history) && history.length > 0)
    throw new InputError(`${where}: history is not implemented; write the earlier turns as {messages}`);
  const asked = [instruction, input].filter((part) => part !== "").join("\n");
  return parseChat(value, turnsOf(asked, textOf(value, "output", where)), 0, where);
}

function turnsOf(question: string, answer: string): Turn[] {
  return [
    { message: { role: "user", content: question }, isTrained: undefined },
    { message: { role: "assistant", content: answer }, isTrained: undefined },
  ];
}

function parseChat(value: Json, given: Turn[], firstGiven: number, where: string): ChatRecord {
  const { turns, firstTarget } = withSystem(value, given, firstGiven, where);
  const tools = parseList(value["tools"], `${where}: tools`);
  const templateOptions = parseObject(value["chat_template_kwargs"], `${where}: chat_template_kwargs`);
  checkNumbers(tools, `${where}: tools`);
  checkNumbers(templateOptions, `${where}: chat_template_kwargs`);
  const canBeTarget = ({ message }: Turn, i: number): boolean => message.role === "assistant" && i >= firstTarget;
  const untrained = turns.flatMap((turn, i) => (canBeTarget(turn, i) && turn.isTrained === false ? [i] : []));
  const markedInVain = turns.filter((turn, i) => turn.isTrained === true && !canBeTarget(turn, i)).length;
  return {
    kind: "chat",
    messages: turns.map(({ message }) => message),
    firstTarget,
    ...(untrained.length > 0 && { untrained }),
    ...(markedInVain > 0 && { markedInVain }),
    ...(tools.length > 0 && { tools }),
    ...(templateOptions && { templateOptions }),
  };
}

/** A record's `system` text is its first message, unless that says the same. */
function withSystem(
  value: Json,
  turns: Turn[],
  firstTarget: number,
  where: string,
): { turns: Turn[]; firstTarget: number } {
  const { system } = value;
  if (typeof system !== "string" || system === "") return { turns, firstTarget };
  const first = turns[0]!.message;
  if (first.role !== "system" && first.role !== "developer") {
    const message = { role: "system", content: system };
    return { turns: [{ message, isTrained: undefined }, ...turns], firstTarget: firstTarget + Math.sign(firstTarget) };
  }
  if (first.content === system) return { turns, firstTarget };
  throw new InputError(`${where}: has a system text and another one as its first message; leave one out`);
}
