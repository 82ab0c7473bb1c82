/**
 * @file Tool calls in a text: JSON with a name and arguments, tags with parameters, `name(argument=value)`, and
 * fields without any block.
 * Forms: Qwen and Hermes put JSON between <tool_call> tags, Llama 3 writes {"name", "parameters"} alone or after
 * <|python_tag|>, or a list.
 */
import { lettersOf, type Part } from "../../chat/markup.js";
import { ACTIONS, type Action, actionNamed, actionOf, isTextField, readBlock } from "./fields.js";

const CALL_TAGS = new Set([
  "toolcall",
  "toolcalls",
  "functioncall",
  "functioncalls",
  "function",
  "invoke",
  "tooluse",
  "toolcode",
  "pythontag",
]);

/** Whether a tag of this name holds a call. */
export function isCallTag(name: string): boolean {
  return CALL_TAGS.has(name) || actionOfTag(name) !== undefined;
}

/** The action of a tag like <forward>, <forward_mail> or <action:forward>. */
function actionOfTag(name: string): string | undefined {
  const bare = name.replace(/^(?:action|tool)|(?:action|e?mail|message)$/g, "");
  return ACTIONS.find((action) => action === bare);
}

const INVOKED =
  /<(?:invoke|function)\b[\s=]*(?:name\s*=\s*)?["']?([\w-]+)["']?[^>]*>([\s\S]*?)<\/(?:invoke|function)\s*>/gi;

/** The calls of a block between tags that are not ours. */
export function callsOfBlock({ tag, inner: [from, to] }: Part, text: string): Action[] {
  const inner = text.slice(from, to);
  const found = [...jsonCalls(inner), ...pythonCalls(inner)];
  if (found.length > 0) return found;
  const ofAttribute = tag!.attributes.map(([, value]) => lettersOf(value)).find((name) => ACTIONS.includes(name));
  const named = actionOfTag(tag!.name) ?? ofAttribute;
  if (named) return [readBlock({ ...tag!, attributes: [["name", named], ...tag!.attributes] }, parameterLines(inner))];
  return [...inner.matchAll(INVOKED)].flatMap(([, name, parameters]) =>
    ACTIONS.includes(lettersOf(name!))
      ? [readBlock({ ...tag!, attributes: [["name", name!]] }, parameterLines(parameters!))]
      : [],
  );
}

/** <parameter=mail>3</parameter>, <parameter name="mail">3</parameter> and <mail>3</mail> as lines "mail: 3". */
function parameterLines(inner: string): string {
  return inner
    .replace(/<parameter\b[\s=]*(?:name\s*=\s*)?["']?([\w-]+)["']?\s*>\s*([\s\S]*?)\s*<\/parameter\s*>/gi, "\n$1: $2\n")
    .replace(/<([a-z][\w-]*)>\s*([^<]*?)\s*<\/\1\s*>/gi, "\n$1: $2\n");
}

/** Calls in a text without tags, whatever their form. */
export function callsInText(text: string): Action[] {
  const inTables = namedLines(tableLines(text));
  return [...jsonCalls(text), ...pythonCalls(text), ...looseFields(text), ...namedLines(text), ...inTables];
}

/**
 * What Llama 3 writes: JSON, several of them with ";" or a line end between, a list, or a Python list of calls; null
 * where there is more than that.
 */
export function wholeTextCalls(text: string): Action[] | null {
  const calls = text.trim();
  if (/^\[\s*\w+\(/.test(calls) && calls.endsWith(")]")) return pythonCalls(calls.slice(1, -1));
  const values = jsonValues(calls);
  const rest = values.reduceRight((left, { from, to }) => left.slice(0, from) + left.slice(to), calls);
  const isCalls = values.length > 0 && values.every(({ value }) => value !== undefined);
  if (!isCalls || !/^[\s;,]*$/.test(rest)) return null;
  return values.flatMap(({ value }) => actionsOf(value));
}

/** Calls of what lies between balanced brackets; what is no JSON is read by its keys. */
function jsonCalls(text: string): Action[] {
  return jsonValues(text).flatMap(({ value, from, to }) => {
    const found = value === undefined ? looseObject(text.slice(from, to)) : actionsOf(value);
    return found;
  });
}

interface Found {
  from: number;
  to: number;
  /** Undefined: no JSON. */
  value: unknown;
}

const MAX_JSON_CHARS = 20_000;

function jsonValues(text: string): Found[] {
  const found: Found[] = [];
  for (let at = nextBracket(text, 0); at >= 0; at = nextBracket(text, found.at(-1)!.to)) {
    const end = bracketEnd(text, at);
    let value: unknown;
    try {
      value = JSON.parse(text.slice(at, end));
    } catch {
      value = undefined;
    }
    found.push({ from: at, to: end, value });
  }
  return found;
}

function nextBracket(text: string, at: number): number {
  const offset = text.slice(at).search(/\{|\[\s*\{/);
  return offset < 0 ? -1 : at + offset;
}

/** Behind the bracket that closes the one at `at`; the end of the text where none does. */
function bracketEnd(text: string, at: number): number {
  const limit = Math.min(text.length, at + MAX_JSON_CHARS);
  let depth = 0;
  for (let i = at, isText = false; i < limit; i++) {
    const char = text[i]!;
    if (isText && char === "\\") i++;
    else if (char === '"') isText = !isText;
    else if (!isText && "{[".includes(char)) depth++;
    else if (!isText && "}]".includes(char) && --depth === 0) return i + 1;
  }
  return limit;
}

const NAME_KEYS = ["name", "action", "tool", "function", "type", "command", "toolname", "actionname"];

/** All actions in a JSON value, at any depth. A name that is only like that of an action needs what an action needs. */
function actionsOf(value: unknown): Action[] {
  if (Array.isArray(value)) return value.flatMap(actionsOf);
  if (typeof value !== "object" || value === null) return [];
  const entries = Object.entries(value);
  const all = JSON.stringify(value);
  const named = entries.flatMap(([key, name]) => {
    const action = NAME_KEYS.includes(lettersOf(key)) && typeof name === "string" ? actionNamed(name) : undefined;
    return action ? [{ key, action }] : [];
  })[0];
  if (named) {
    const rest = entries.filter(([key]) => key !== named.key);
    const fields = rest.flatMap(([key, argument]) => leaves(key, argument));
    return [{ ...actionOf(named.action.name, fields, all), ...named.action }];
  }
  const keys = entries.map(([key]) => lettersOf(key));
  const meant = PAIRS.find(([, a, b]) => keys.includes(a) && keys.includes(b))?.[0];
  if (meant)
    return [
      {
        ...actionOf(
          meant,
          entries.flatMap(([key, inner]) => leaves(key, inner)),
          all,
        ),
        isGuessed: true,
      },
    ];
  return entries.flatMap(([key, inner]) =>
    ACTIONS.includes(lettersOf(key)) ? [actionOf(lettersOf(key), leaves(key, inner), all)] : actionsOf(inner),
  );
}

/** Texts and numbers below a key, each with its own key; arguments may be JSON in a text, what a mail says is text. */
function leaves(key: string, value: unknown): [string, string][] {
  if (Array.isArray(value)) return value.flatMap((item) => leaves(key, item));
  if (typeof value === "object" && value !== null)
    return Object.entries(value).flatMap(([inner, item]) => leaves(inner, item));
  if (typeof value === "string" && !isTextField(key) && /^\s*\{/.test(value)) {
    const [first] = jsonValues(value);
    if (typeof first?.value === "object") return leaves(key, first.value);
  }
  return [[key, String(value)]];
}

const PAIR =
  /["']?([A-Za-z][\w -]{0,24})["']?\s*[:=]\s*\[?\s*(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'|([^,;}\])\n{[]+))/g;

/** {action: forward, mail: 3, ...}: keys and values, in whatever quotes. Nothing that reads JSON would take it. */
function looseObject(text: string): Action[] {
  const pairs = [...text.matchAll(PAIR)].map(([, key, double, single, bare]): [string, string] => [
    key!,
    (double ?? single ?? bare ?? "").trim(),
  ]);
  const named = pairs.flatMap((pair) => {
    const action = NAME_KEYS.includes(lettersOf(pair[0])) ? actionNamed(pair[1]) : undefined;
    return action ? [{ pair, action }] : [];
  })[0];
  if (!named) return [];
  const rest = pairs.filter((pair) => pair !== named.pair);
  return [{ ...actionOf(named.action.name, rest, text), isGuessed: true }];
}

const CALL =
  /(?:^|[\n;[,])[ \t>*-]*(?:\w+\.)?(forward|send|transfer|cancel[_ -]?alert)(?:_mail|_email|\.call)?\(([^()]*)\)/gi;

/** forward(mail=3, to="..."), at the beginning of a line or of a list. */
function pythonCalls(text: string): Action[] {
  return [...text.matchAll(CALL)].map(([, name, inside]) => {
    const entries = [...inside!.matchAll(PAIR)].map(([, key, double, single, bare]): [string, string] => [
      key!,
      (double ?? single ?? bare ?? "").trim(),
    ]);
    return actionOf(lettersOf(name!), entries, inside!);
  });
}

const LINE =
  /^[ \t]*(?:[-*] )?[*_]*(to|mail|subject|source|destination|alert|reason)(?: number| id)?[*_]*[ \t]*:[*_]*(.*\S)/i;
/** Two fields side by side that together are an action. */
const PAIRS: [action: string, ...fields: [string, string]][] = [
  ["forward", "mail", "to"],
  ["transfer", "source", "destination"],
  ["send", "to", "subject"],
  ["cancelalert", "alert", "reason"],
];

/** Fields on lines of their own, without a block around them; an empty line may stand between two. */
function looseFields(text: string): Action[] {
  const lines = text.split("\n");
  const actions: Action[] = [];
  for (let i = 0; i < lines.length; i++) {
    const entries: [string, string][] = [];
    const isField = (at: number): boolean => LINE.test(lines[at] ?? "");
    const isGap = (at: number): boolean => entries.length > 0 && lines[at]?.trim() === "" && isField(at + 1);
    for (; isField(i) || isGap(i); i++) {
      const [, key, value] = LINE.exec(lines[i]!) ?? [];
      if (key !== undefined) entries.push([key.toLowerCase(), value!]);
    }
    const has = (key: string): boolean => entries.some(([name]) => name === key);
    for (const [name, a, b] of PAIRS)
      if (has(a) && has(b)) actions.push(actionOf(name, [...entries, ["body", lines.slice(i, i + 40).join("\n")]], ""));
  }
  return actions;
}

const NAMED_LINE =
  /^[ \t]*(?![ \t])[*_[("]*(?:action|tool|call|name|type|function)?[*_]*[ \t]*[:=][*_ \t"']*(forward|send|transfer|cancel[_ -]alert)\b/;
const NAMED_BLOCK = new RegExp(`${NAMED_LINE.source}(.*(?:\\n[ \\t]*\\S.*){0,6})`, "gim");

const NAME_CELL = /^[*_`]*(?:action|tool|call)\b/i;

/** The rows of tables that name an action, as lines "Name: value", the action's first: a field a row, or a column. */
function tableLines(text: string): string {
  const tables = text.match(/^[ \t]*\|.*\|[ \t]*(?:\n[ \t]*\|.*\|[ \t]*)+$/gm) ?? [];
  return tables
    .flatMap((table) => {
      const [head = [], ...rows] = table
        .split("\n")
        .filter((row) => /[^\s|:-]/.test(row))
        .map((row) => row.trim().slice(1, -1).split("|"))
        .map((cells) => cells.map((cell) => cell.trim()));
      const across = rows.map((row) => row.map((cell, i) => [head[i] ?? "", cell] as const));
      const down = head.length === 2 ? [[head, ...rows].map(([name = "", value = ""]) => [name, value] as const)] : [];
      return [...across, ...down].map((pairs) =>
        pairs
          .toSorted(([a], [b]) => Number(NAME_CELL.test(b)) - Number(NAME_CELL.test(a)))
          .map(([name, value]) => `${name}: ${value}`)
          .join("\n"),
      );
    })
    .join("\n\n");
}

/** "Action: cancel_alert R-2291", and what follows on the next lines. */
function namedLines(text: string): Action[] {
  return [...text.matchAll(NAMED_BLOCK)].map(([, name, rest]) =>
    readBlock({ from: 0, to: 0, name: "action", attributes: [["name", name!]], form: "open" }, rest!),
  );
}
