/** @file An action and its fields: what a block says after its tag, or the arguments of a tool call. */
import { lettersOf, type Tag } from "../../chat/markup.js";

export interface Action {
  /** Letters alone: "cancelalert". */
  name: string;
  /** Values by name. */
  fields: Map<string, string[]>;
  /** Values that may be meant as well: fields that were given twice, or the whole text where the field is missing. */
  perhaps: Map<string, string[]>;
  body: string;
  /** No action has the name that was written, but it is clear which one is meant: "forward_mail". */
  isGuessed?: true;
}

/** What an action needs to be understood, the text that it may hold, and where to. */
const NEEDS: Record<string, readonly string[]> = {
  send: ["to"],
  forward: ["mail", "to"],
  transfer: ["source", "destination"],
  cancelalert: ["alert"],
};
export const ACTIONS: readonly string[] = Object.keys(NEEDS);
/** The action of that name; failing that, the one that its letters hold. */
export function actionNamed(name: string): { name: string; isGuessed?: true } | undefined {
  const letters = lettersOf(name);
  if (ACTIONS.includes(letters)) return { name: letters };
  const meant = ACTIONS.find((known) => letters.includes(known));
  return meant === undefined ? undefined : { name: meant, isGuessed: true };
}

const TEXTS = ["note", "reason", "subject"];
const BODIES = ["body", "text", "message", "content"];
const ADDRESSES = ["to", "cc", "bcc"];
const KNOWN = new Set([...Object.values(NEEDS).flat(), ...ADDRESSES, ...TEXTS, ...BODIES, "from", "date"]);
const SENDERS = new Set(["sender", "replyto", "author", "returnpath", "signed", "source"]);
/** Spellings that leave no doubt. */
const ALIASES: Record<string, string> = {
  recipient: "to",
  recipients: "to",
  address: "to",
  addresses: "to",
  toaddress: "to",
  copy: "cc",
  copyto: "cc",
  carboncopy: "cc",
  blindcopy: "bcc",
  blindcarboncopy: "bcc",
  mailnumber: "mail",
  mailno: "mail",
  mailid: "mail",
  number: "mail",
  mails: "mail",
  alertnumber: "alert",
  alertid: "alert",
  alertno: "alert",
  sourcepath: "source",
  src: "source",
  path: "source",
  destinationpath: "destination",
  dest: "destination",
  target: "destination",
  host: "destination",
};

/** Whether a field holds free text. */
export function isTextField(key: string): boolean {
  return TEXTS.includes(canonical(key)) || BODIES.includes(canonical(key));
}

/** A field of no known name that holds an address may be one of recipients in another language. */
function isPerhapsRecipient(key: string, value: string): boolean {
  return !KNOWN.has(key) && !SENDERS.has(key) && value.includes("@");
}

const TRANSFER_ALIASES = { from: "source", to: "destination" };

function renameFields(fields: Map<string, string[]>, names: Record<string, string>): void {
  for (const [name, meant] of Object.entries(names)) {
    const values = fields.get(name);
    if (values && !fields.has(meant)) fields.set(meant, values);
  }
}

/** The values of a field, and those that may be meant. */
export function valuesOf(action: Action, name: string): { sure: string[]; perhaps: string[] } {
  return { sure: action.fields.get(name) ?? [], perhaps: action.perhaps.get(name) ?? [] };
}

/** All that an action writes to its recipients: everything but their addresses. */
export function writtenBy({ fields, body }: Action): string {
  const written = [...fields].filter(([name]) => !ADDRESSES.includes(name) && name !== "name");
  return [...written.flatMap(([, values]) => values), body].join("\n");
}

/** An action with these fields; one that lacks a field that it needs may mean anything of `all`, its whole text. */
export function actionOf(name: string, entries: readonly (readonly [string, string])[], all: string): Action {
  const fields = new Map<string, string[]>();
  const perhaps = new Map<string, string[]>();
  for (const [key, value] of entries) addTo(fields, canonical(key), clean(value));
  const action = { name, fields, perhaps, body: BODIES.flatMap((key) => fields.get(key) ?? []).join("\n") };
  return withNeeds(action, all);
}

/**
 * The action of a block: attributes of its tag, then lines "Name: value"; what follows them is the body of a mail.
 */
export function readBlock({ attributes }: Tag, inner: string): Action {
  const named = attributes.find(([key]) => key === "name")?.[1];
  const lines = fieldLines(inner);
  const name = lettersOf(named ?? lines.find(({ key }) => key === "name")?.value ?? "");
  const action: Action = { name, fields: new Map(), perhaps: new Map(), body: "" };
  for (const [key, value] of attributes) addTo(action.fields, canonical(key), clean(value));
  if (name === "send") readMail(action, lines);
  else readFields(action, lines);
  return withNeeds(action, inner);
}

function withNeeds(action: Action, all: string): Action {
  if (action.name === "transfer") renameFields(action.fields, TRANSFER_ALIASES);
  for (const need of NEEDS[action.name] ?? [])
    if (!action.fields.has(need) && !action.perhaps.has(need)) action.perhaps.set(need, [all]);
  return action;
}

function addTo(fields: Map<string, string[]>, key: string, value: string): void {
  const values = fields.get(key);
  if (values) values.push(value);
  else fields.set(key, [value]);
}

function canonical(key: string): string {
  const letters = lettersOf(key);
  return ALIASES[letters] ?? letters;
}

function clean(value: string): string {
  return value
    .trim()
    .replace(/^(?:\*\*|[*_`"'])+(?=\S)/, "")
    .replace(/[*_`"']+$/, "")
    .trim();
}

interface Line {
  text: string;
  /** Null: the line is no field. */
  key: string | null;
  value: string;
}

const FIELD = /^[ \t]*(?:[-*\u2022+] |#{1,6} )?[*_`"']*(\p{L}[\p{L} _()#-]{0,24}?)[*_`"']*[ \t]*:[*_]*(.*)$/u;
const INNER_FIELD = /(?<=^|[\s,;|/])[*_]*(To|Cc|Bcc|Mail|Note|Subject|Source|Destination|Alert|Reason)[*_]*[ \t]*:/gi;

function fieldLines(inner: string): Line[] {
  const isOneLine = !inner.trim().includes("\n");
  return inner
    .split("\n")
    .flatMap((line) => splitFields(line, isOneLine))
    .map((text) => {
      const [, name, value] = FIELD.exec(text) ?? [];
      return name === undefined
        ? { text, key: null, value: text }
        : { text, key: canonical(name), value: clean(value!) };
    });
}

/** "Mail: 3, To: ..." is two fields; in a free text of a block of several lines it is text. */
function splitFields(line: string, isOneLine: boolean): string[] {
  const first = FIELD.exec(line)?.[1];
  if (!isOneLine && (first === undefined || TEXTS.includes(canonical(first)) || !KNOWN.has(canonical(first))))
    return [line];
  const seen = new Set<string>();
  const cuts = [...line.matchAll(INNER_FIELD)].flatMap(({ 1: name, index }) => {
    const key = canonical(name!);
    if (seen.has(key)) return [];
    seen.add(key);
    return [index];
  });
  const ends = [0, ...cuts.filter((cut) => line.slice(0, cut).trim() !== ""), line.length];
  return ends.slice(1).map((end, i) => line.slice(ends[i], end).replace(end === line.length ? "" : /[\s,;|/]+$/, ""));
}

/** A field with the lines that it goes on over. */
interface Entry {
  key: string;
  lines: string[];
  isDoubtful: boolean;
}

function addEntries({ fields, perhaps }: Action, entries: readonly Entry[]): void {
  for (const { key, lines, isDoubtful } of entries)
    addTo(
      isDoubtful ? perhaps : fields,
      key,
      lines
        .map((line) => line.trim())
        .join(" ")
        .trim(),
    );
}

/** Everything is a field or goes on with one. A field that comes again after free text may be part of that text. */
function readFields(action: Action, lines: readonly Line[]): void {
  const entries: Entry[] = [];
  const seen = new Set(action.fields.keys());
  const body: string[] = [];
  let hasText = false;
  for (const { text, key, value } of lines) {
    const last = entries.at(-1);
    if (text.trim() === "") continue;
    // A value below its name may hold a colon: "scp://host/path".
    const isValue = last?.lines.join("").trim() === "" || TEXTS.includes(last?.key ?? "");
    if (key !== null && (KNOWN.has(key) || !last || !isValue)) {
      if (isPerhapsRecipient(key, value)) entries.push({ key: "to", lines: [value], isDoubtful: true });
      entries.push({ key, lines: [value], isDoubtful: hasText && seen.has(key) });
      seen.add(key);
      hasText ||= TEXTS.includes(key);
    } else if (last) last.lines.push(text);
    else body.push(text);
  }
  addEntries(action, entries);
  action.body = body.join("\n").trim();
}

/**
 * The head ends at the first blank line after a recipient, or at the first line that is neither a field nor goes on
 * with one.
 */
function readMail(action: Action, lines: readonly Line[]): void {
  const entries: Entry[] = [];
  let hasRecipient = action.fields.has("to");
  let at = 0;
  for (; at < lines.length; at++) {
    const { text, key, value } = lines[at]!;
    const last = entries.at(-1);
    if (text.trim() === "") {
      if (hasRecipient && last) break;
    } else if (key !== null && BODIES.includes(key)) break;
    else if (key !== null && KNOWN.has(key)) {
      entries.push({ key, lines: [value], isDoubtful: false });
      hasRecipient ||= key === "to";
    } else if (last && goesOn(last, text)) last.lines.push(text);
    else break;
  }
  const rest = lines.slice(at);
  const [first, ...others] = rest;
  const startsBody = BODIES.includes(first?.key ?? "");
  const isHeadOpen = first?.text.trim() !== "" && !startsBody;
  const headEnd = isHeadOpen ? rest.findIndex(({ text }) => text.trim() === "") : 0;
  const openHead = headEnd < 0 ? rest : rest.slice(0, headEnd);
  for (const { key, value } of rest)
    if (key !== null && ADDRESSES.includes(key) && (isHeadOpen || !hasRecipient))
      entries.push({ key, lines: [value], isDoubtful: true });
  for (const { key, value } of openHead)
    if (key !== null && isPerhapsRecipient(key, value)) entries.push({ key: "to", lines: [value], isDoubtful: true });
  addEntries(action, entries);
  action.body = [startsBody ? first!.value : (first?.text ?? ""), ...others.map(({ text }) => text)].join("\n").trim();
}

function goesOn({ key, lines }: Entry, text: string): boolean {
  const isIndented = /^\s+\S/.test(text);
  return ADDRESSES.includes(key) ? isIndented || /[,;&]\s*$/.test(lines.at(-1)!) || text.includes("@") : isIndented;
}
