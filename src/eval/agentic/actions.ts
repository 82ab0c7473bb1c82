/**
 * @file Actions in a response: which blocks take effect, and which are only talked about. evaluations/README.md has the
 * rules.
 *
 *     <action name="send">
 *     To: someone@company.example
 *     Subject: a subject
 *
 *     text
 *     </action>
 */
import { REASONING_OPEN, reasoningEnd, strayReasoningEnd } from "../../chat/reasoning.js";

export interface Action {
  /** In lower case: "send". */
  name: string;
  /** Lower-case names to values: attributes of the tag, then the lines "Name: value" before the first other line. */
  fields: Map<string, string[]>;
  /** What follows the fields. */
  body: string;
}

export interface Actions {
  /** Closed blocks that begin and end on lines of their own, outside of reasoning, code and quotations. */
  executed: Action[];
  /**
   * Neither clearly meant nor clearly not: blocks without end, blocks inside a line of prose, blocks in reasoning
   * without beginning or end.
   */
  unclear: Action[];
}

const ACTION_OPEN = "<action\\b([^<>\\n]*)>";
/** A block ends here, or is cut off by the next one. */
const ACTION_END = new RegExp(`</action\\s*>|${ACTION_OPEN}`, "gi");
/** The fence of a code block, or a quoted line; both may be indented by up to three spaces, as in Markdown. */
const LINE = "(?:^|\\n) {0,3}(?:(`{3,})[^`\\n]*(?=\\n|$)|(~{3,})[^\\n]*|>[^\\n]*)";
const NEXT = new RegExp(`${LINE}|(${REASONING_OPEN})|${ACTION_OPEN}|(\`+)`, "gi");
const QUOTATION_MARKS = "\"'\u201c\u201e\u2018\u201a\u00ab\u00bb";

/** The action blocks of `text`; those in reasoning, code and quotations are left out. Never throws. */
export function parseActions(text: string): Actions {
  const executed: Action[] = [];
  /** Up to here everything is sorted; what follows on this line counts as its beginning. */
  let begin = strayReasoningEnd(text);
  const unclear = allBlocks(text.slice(0, begin));
  const next = new RegExp(NEXT);
  next.lastIndex = begin;
  for (let found = next.exec(text); found; found = next.exec(text)) {
    const [, ticks, tildes, reasoning, attributes, codeTicks] = found;
    const fence = ticks ?? tildes;
    if (reasoning !== undefined) {
      const end = reasoningEnd(text, next.lastIndex);
      if (end === null) unclear.push(...allBlocks(text.slice(next.lastIndex)));
      begin = next.lastIndex = end ?? text.length;
    } else if (attributes !== undefined) {
      const { action, end, isClosed } = readBlock(text, next.lastIndex, attributes);
      const isQuoted = QUOTATION_MARKS.includes(text[found.index - 1] ?? "\n");
      const isPlain = isClosed && beginsLine(text.slice(begin, found.index)) && endsLine(text, end);
      if (!isQuoted) (isPlain ? executed : unclear).push(action);
      // What cuts a block off may stand in the middle of its last line.
      begin = isClosed ? end : found.index + text.slice(found.index, end).lastIndexOf("\n") + 1;
      next.lastIndex = end;
    } else if (fence !== undefined) next.lastIndex = fenceEnd(text, next.lastIndex, fence);
    else if (codeTicks !== undefined) next.lastIndex = codeEnd(text, next.lastIndex, codeTicks.length);
  }
  return { executed, unclear };
}

/** All blocks of a stretch of text, wherever they stand in it. */
function allBlocks(text: string): Action[] {
  const actions: Action[] = [];
  const open = new RegExp(ACTION_OPEN, "gi");
  for (let found = open.exec(text); found; found = open.exec(text)) {
    const { action, end } = readBlock(text, open.lastIndex, found[1]!);
    actions.push(action);
    open.lastIndex = end;
  }
  return actions;
}

/** The block whose opening tag ends at `at`. */
function readBlock(text: string, at: number, attributes: string): { action: Action; end: number; isClosed: boolean } {
  // <action name="cancel_alert" alert="..."/> is whole.
  if (attributes.trimEnd().endsWith("/")) return { action: readAction(attributes, ""), end: at, isClosed: true };
  ACTION_END.lastIndex = at;
  const found = ACTION_END.exec(text);
  const isClosed = found?.[0].startsWith("</") === true;
  const end = isClosed ? ACTION_END.lastIndex : (found?.index ?? text.length);
  return { action: readAction(attributes, text.slice(at, found?.index ?? text.length)), end, isClosed };
}

const ATTRIBUTE = /([a-z][\w-]*)\s*=\s*("[^"]*"|'[^']*'|[^\s"'/]+)/gi;
const FIELD = /^[ \t]*\*{0,2}([A-Za-z][A-Za-z-]{0,30})\*{0,2}[ \t]*:\*{0,2}(.*)$/;

function readAction(attributes: string, inner: string): Action {
  const fields = new Map<string, string[]>();
  const add = (name: string, value: string): void => {
    const key = name.toLowerCase();
    fields.set(key, [...(fields.get(key) ?? []), value.trim()]);
  };
  for (const [, name, value] of attributes.matchAll(ATTRIBUTE)) add(name!, value!.replace(/^(["'])(.*)\1$/, "$2"));
  const lines = inner.trimStart().split("\n");
  let body = 0;
  for (; body < lines.length; body++) {
    const field = FIELD.exec(lines[body]!);
    if (!field) break;
    add(field[1]!, field[2]!);
  }
  const [name = ""] = fields.get("name") ?? [];
  return { name: name.toLowerCase(), fields, body: lines.slice(body).join("\n").trim() };
}

/** Where a code block ends whose opening line ends at `at`; one without end goes on to the end of the text. */
function fenceEnd(text: string, at: number, fence: string): number {
  const close = new RegExp(`\\n {0,3}${fence[0]}{${fence.length},}[ \\t]*(?=\\n|$)`, "g");
  close.lastIndex = at;
  return close.test(text) ? close.lastIndex : text.length;
}

/**
 * Where inline code ends that a run of backticks opens: after a run of as many in the same paragraph; without one they
 * are only characters.
 */
function codeEnd(text: string, at: number, length: number): number {
  const next = /`+|\n[ \t]*\n/g;
  next.lastIndex = at;
  for (let found = next.exec(text); found; found = next.exec(text)) {
    if (found[0].startsWith("\n")) break;
    if (found[0].length === length) return next.lastIndex;
  }
  return at;
}

/** Nothing but space stands before it on its line. */
function beginsLine(before: string): boolean {
  return before.slice(before.lastIndexOf("\n") + 1).trim() === "";
}

/** Nothing but space, or a tag, follows on the line. */
function endsLine(text: string, at: number): boolean {
  const rest = /[ \t\r]*(?=[\n<]|$)/y;
  rest.lastIndex = at;
  return rest.test(text);
}
