/**
 * @file JSON files from outside: size limits, refused duplicates, and messages that name the field, its value and the
 * file.
 */

import { readFileSync } from "node:fs";
import { z } from "zod";
import { InputError, messageOf } from "./errors.js";
import { plainFileBytes } from "./file.js";

/** A value as a message shows it: JSON, cut after 80 characters. */
export function formatValue(value: unknown): string {
  if (typeof value === "number") return String(value); // JSON has no NaN
  const head = typeof value === "string" || Array.isArray(value) ? value.slice(0, 81) : value;
  let text: string;
  try {
    text = JSON.stringify(head) ?? "undefined";
  } catch {
    return "nested too deep to show"; // the stack has an end
  }
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}

/** `text` without control characters: JSON.parse and zod quote the file. */
export function printable(text: string): string {
  return text.replace(/\p{C}/gu, "?");
}

/** `text` as JSON. Throws InputError naming `where` where it is none. */
export function parseJson(text: string, where: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new InputError(
      `${where} is not valid JSON (${printable(messageOf(error)).slice(0, 120)}); write or download it again`,
    );
  }
}

/** A key that JavaScript would move to the front of its object, also where it is written with escapes. */
const INTEGER_KEY = /"(?:\d|\\u003\d)+"\s*:/;

/**
 * `text` as JSON whose objects keep the order of their keys, as Python's do: JavaScript moves keys like "2" to the
 * front. Throws InputError naming `where` where it is none.
 */
export function parseOrderedJson(text: string, where: string): unknown {
  const value = parseJson(text, where);
  return INTEGER_KEY.test(text) ? withoutMarks(JSON.parse(markKeys(text))) : value;
}

/** JSON text with "#" before every key: in valid JSON a string is a key where a colon follows. */
function markKeys(text: string): string {
  let marked = "";
  let from = 0;
  for (let at = text.indexOf('"'); at >= 0; ) {
    const end = endOfString(text, at);
    let next = end;
    while (" \t\r\n".includes(text[next] ?? "x")) next++;
    if (text[next] === ":") {
      marked += `${text.slice(from, at)}"#`;
      from = at + 1;
    }
    at = text.indexOf('"', end);
  }
  return marked + text.slice(from);
}

function withoutMarks(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutMarks);
  if (typeof value !== "object" || value === null) return value;
  return orderedObject(Object.entries(value).map(([key, item]) => [key.slice(1), withoutMarks(item)]));
}

/** An object of these entries that lists its keys in their order, whatever they are. */
export function orderedObject(entries: readonly (readonly [string, unknown])[]): Record<string, unknown> {
  const object = Object.fromEntries(entries);
  const keys = [...new Set(entries.map(([key]) => key))];
  if (Object.keys(object).every((key, i) => key === keys[i])) return object;
  return new Proxy(object, { ownKeys: () => keys });
}

/**
 * The text of the file `path`, at most `maxBytes` of UTF-8. Throws InputError when it is missing, no plain file, too
 * large or not UTF-8.
 */
export function loadText(path: string, maxBytes: number): string {
  const byteLength = plainFileBytes(path);
  if (byteLength > maxBytes) throw new InputError(`${path} is ${byteLength} bytes; at most ${maxBytes} are read`);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(readFileSync(path));
  } catch (error) {
    throw new InputError(`${path} cannot be read as UTF-8 text (${messageOf(error)})`);
  }
}

/** The JSON file `path`, at most `maxBytes`. Throws InputError naming the file. */
export function loadJson(path: string, maxBytes: number): unknown {
  return parseJson(loadText(path, maxBytes), path);
}

/** A whole number from 1 to `max`. */
export function wholeNumber(max: number) {
  const message = `must be a whole number from 1 to ${max}`;
  return z.int(message).min(1, message).max(max, message);
}

/** A finite number from `min` to `max`. */
export function numberIn(min: number, max: number) {
  const message = `must be a number from ${min} to ${max}`;
  return z.number(message).min(min, message).max(max, message);
}

/** `json` as `schema` sees it. Throws InputError with the first wrong field, its value and `where`. */
export function checkJson<T>(schema: z.ZodType<T>, json: unknown, where: string): T {
  const result = schema.safeParse(json);
  if (result.success) return result.data;
  const issue = result.error.issues[0]!;
  let value = json;
  for (const key of issue.path) {
    value = typeof value === "object" && value !== null ? (value as Record<PropertyKey, unknown>)[key] : undefined;
  }
  const field = printable(issue.path.map(String).join("."));
  if (field === "") throw new InputError(`${where}: ${issue.message}`);
  const found = value === undefined ? "is missing" : `is ${formatValue(value)}`;
  throw new InputError(`${where}: ${field.slice(0, 200)} ${found}; ${issue.message}`);
}

/**
 * Scans JSON `text` without building it: throws InputError for a key that occurs twice in one object (JSON.parse would
 * keep the last in silence) and for nesting deeper than `maxDepth` (a page of brackets would take many times its size).
 * Text that is not JSON passes; parse it next.
 */
export function checkJsonKeys(text: string, maxDepth: number, where: string): void {
  // One entry an open bracket: the keys so far of an object, null for an array.
  const open: (Set<string> | null)[] = [];
  // True where a string would be a key: after { and after a comma of an object.
  let keyNext = false;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === 0x22) {
      const end = endOfString(text, at);
      const keys = open.at(-1);
      if (keyNext && keys) {
        const key = stringValue(text.slice(at, end));
        if (keys.has(key)) throw new InputError(`${where}: the name ${formatValue(key)} occurs twice`);
        keys.add(key);
      }
      keyNext = false;
      at = end - 1;
    } else if (code === 0x7b || code === 0x5b) {
      if (open.length >= maxDepth)
        throw new InputError(`${where}: JSON nested more than ${maxDepth} deep at character ${at}`);
      open.push(code === 0x7b ? new Set() : null);
      keyNext = code === 0x7b;
    } else if (code === 0x7d || code === 0x5d) {
      open.pop();
      keyNext = false;
    } else if (code === 0x2c) {
      keyNext = open.at(-1) instanceof Set;
    }
  }
}

/**
 * The index after the closing quote of the string that opens at `start` (the length of `text` where it never closes).
 */
function endOfString(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === 0x5c) at++;
    else if (code === 0x22) return at + 1;
  }
  return text.length;
}

function stringValue(quoted: string): string {
  if (!quoted.includes("\\")) return quoted.slice(1, -1);
  try {
    return JSON.parse(quoted) as string;
  } catch {
    return quoted; // the parse that follows reports it
  }
}
