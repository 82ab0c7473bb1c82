/**
 * @file The structure of what a model writes: reasoning, code, quotations and blocks between tags, one inside the
 * other.
 *
 * Two passes: the text becomes tokens (tags, fences, backticks), and the tokens a tree. A mark without a partner is
 * only a character.
 */

export interface Tag {
  from: number;
  to: number;
  /** Letters alone, in lower case: "cancelalert" for <Cancel-Alert>. */
  name: string;
  attributes: [name: string, value: string][];
  form: "open" | "close" | "empty";
}

/** "other": between tags that say nothing of what they mean. */
type PartKind = "reasoning" | "code" | "quotation" | "block" | "other";

export interface Part {
  kind: PartKind;
  from: number;
  to: number;
  /** What stands between the marks. */
  inner: [from: number, to: number];
  /** Absent: code. */
  tag?: Tag;
  isClosed: boolean;
  /** What stands in it; of code nothing. */
  parts: Part[];
}

export interface Markup {
  parts: Part[];
  /** Where closing tags of reasoning end that nothing opened. */
  strayEnds: number[];
  /** A fence outside of everything has no partner, so nobody can tell which of them belong together. */
  hasStrayFence: boolean;
}

type Token =
  | ({ kind: "tag" } & Tag)
  | { kind: "fence"; from: number; to: number; mark: string; info: string }
  | { kind: "ticks"; from: number; to: number }
  | { kind: "comment"; from: number; to: number };

/** Longer ones are no tags. */
const MAX_TAG_CHARS = 4000;
const MAX_LINE_CHARS = 400;
/** What opens below so many others is text. */
const MAX_DEPTH = 100;
/** Backticks that are looked at to find the one that ends inline code. */
const MAX_TICKS = 100;

const REASONING = new RegExp(
  "think|thought|reasoning|scratch|reflecti|analysis|monologue|deliberat|brainstorm|" +
    "^cot$|^plan(?:ning)?$|^private|^internal",
);
const QUOTATION = new Set(["quote", "blockquote", "example", "code", "pre", "samp", "xmp", "cite", "sample"]);
/** Tags of a layout, or around a whole answer: they change nothing of what they hold. */
const TRANSPARENT = new Set([
  "answer",
  "finalanswer",
  "final",
  "response",
  "output",
  "reply",
  "result",
  "actions",
  "actionblocks",
  "b",
  "i",
  "u",
  "em",
  "strong",
  "p",
  "div",
  "span",
  "br",
  "hr",
  "center",
  "section",
  "article",
  "body",
  "html",
]);

/** The letters of a name alone, in lower case. */
export function lettersOf(name: string): string {
  return name.replace(/[^a-z]/gi, "").toLowerCase();
}

/** @param isBlock whether a tag begins or ends a block, in which other tags are only text */
export function parseMarkup(text: string, isBlock: (tag: Tag) => boolean): Markup {
  const tokens = tokenize(text);
  const closings = closingsAhead(tokens);
  const root: Part[] = [];
  /** What is open, the innermost last; and how many of a kind, and of a name. */
  const stack: Part[] = [];
  const open = new Map<string, number>();
  const strayEnds: number[] = [];
  let hasStrayFence = false;
  const count = ({ kind, tag }: Part, by: number): void => {
    for (const key of [kind, `<${tag!.name}>`]) open.set(key, (open.get(key) ?? 0) + by);
  };
  const isIn = (key: string): boolean => (open.get(key) ?? 0) > 0;
  const add = (part: Part): void => {
    (stack.at(-1)?.parts ?? root).push(part);
  };
  const close = (tag: Tag, kind: PartKind): boolean => {
    if (!isIn(`<${tag.name}>`)) return false;
    const at = stack.findLastIndex((part) => part.kind === kind && part.tag!.name === tag.name);
    if (at < 0 || (kind !== "reasoning" && stack.slice(at).some((part) => part.kind === "reasoning"))) return false;
    const [closed, ...cut] = stack.splice(at) as [Part, ...Part[]];
    for (const part of [closed, ...cut]) {
      count(part, -1);
      [part.to, part.inner[1]] = [tag.from, tag.from];
    }
    [closed.to, closed.isClosed] = [tag.to, true];
    return true;
  };
  for (let i = 0; i < tokens.length; i++) {
    const token = tokens[i]!;
    if (token.kind !== "tag") {
      if (isIn("reasoning")) continue;
      const end = codeEnd(tokens, i, text, isIn("block") ? isBlock : null);
      if (end !== null) {
        const last = tokens[end]!;
        add({
          kind: "code",
          from: token.from,
          to: last.to,
          isClosed: true,
          parts: [],
          inner: [token.to, last.from],
        });
        i = end;
      } else if (token.kind === "fence" && stack.length === 0) hasStrayFence = true;
      continue;
    }
    const kind = kindOf(token, isBlock);
    if (kind === null || isMention(text, token) || (isIn("block") && kind !== "block" && !isIn("reasoning"))) continue;
    if (token.form === "close") {
      if (!close(token, kind) && kind === "reasoning" && !isIn("reasoning")) strayEnds.push(token.to);
      continue;
    }
    const part: Part = {
      kind,
      from: token.from,
      to: token.to,
      tag: token,
      isClosed: true,
      parts: [],
      inner: [token.to, token.to],
    };
    if (token.form === "empty") {
      if (kind === "block") add(part);
      continue;
    }
    if (stack.length >= MAX_DEPTH || !opensPart(text, token, kind, closings[i]!, isIn("block"))) continue;
    add(part);
    [part.isClosed, part.to, part.inner[1]] = [false, text.length, text.length];
    stack.push(part);
    count(part, 1);
  }
  return { parts: root, strayEnds, hasStrayFence };
}

/** What is known of the tags that follow one of the same name: whether the next one closes, and whether any does. */
interface Closings {
  next: boolean;
  any: boolean;
}

function closingsAhead(tokens: readonly Token[]): Closings[] {
  const seen = new Map<string, Closings>();
  return tokens
    .toReversed()
    .map((token) => {
      if (token.kind !== "tag") return { next: false, any: false };
      const ahead = seen.get(token.name) ?? { next: false, any: false };
      const isClose = token.form === "close";
      seen.set(token.name, { next: isClose, any: ahead.any || isClose });
      return ahead;
    })
    .reverse();
}

function kindOf(tag: Tag, isBlock: (tag: Tag) => boolean): Exclude<PartKind, "code"> | null {
  if (isBlock(tag)) return "block";
  if (REASONING.test(tag.name)) return "reasoning";
  if (QUOTATION.has(tag.name)) return "quotation";
  return TRANSPARENT.has(tag.name) ? null : "other";
}

/** Whether an opening tag opens anything, or is only mentioned: "between <scratchpad> tags I would ...". */
function opensPart(text: string, tag: Tag, kind: PartKind, closings: Closings, isInBlock: boolean): boolean {
  if (kind === "reasoning") return closings.next || beginsLine(text, tag.from);
  if (kind === "quotation") return closings.any || isAlone(text, tag);
  if (kind !== "block") return closings.any;
  if (!isInBlock || beginsLine(text, tag.from)) return true;
  const [rest = ""] = text.slice(tag.to, tag.to + MAX_LINE_CHARS).split("\n", 1);
  return rest.trim() === "" || rest.includes("</");
}

/** Nothing else stands on its line. */
function isAlone(text: string, { from, to }: Tag): boolean {
  return beginsLine(text, from) && /^[ \t]*(?:\n|$)/.test(text.slice(to, to + MAX_LINE_CHARS));
}

/** Nothing but space stands before `at` on its line. */
function beginsLine(text: string, at: number): boolean {
  let before = at - 1;
  while (text[before] === " " || text[before] === "\t") before--;
  return before < 0 || text[before] === "\n";
}

/** The same quotation mark or backtick stands directly on both sides. */
function isMention(text: string, { from, to }: Tag): boolean {
  const before = text[from - 1];
  const after = text[to];
  return before !== undefined && before === after && "`\"'".includes(before);
}

/** The token that ends the code which token `i` begins; null where none does. */
function codeEnd(
  tokens: readonly Token[],
  i: number,
  text: string,
  isBlock: ((tag: Tag) => boolean) | null,
): number | null {
  const begin = tokens[i]!;
  if (begin.kind === "comment") return i;
  if (begin.kind === "ticks") {
    for (let k = i + 1; k < Math.min(tokens.length, i + MAX_TICKS); k++) {
      const token = tokens[k]!;
      if (text.slice(begin.to, token.from).includes("\n")) return null;
      if (token.kind === "ticks" && token.to - token.from === begin.to - begin.from) return k;
    }
    return null;
  }
  if (begin.kind !== "fence") return null;
  // A fence in a block ends in it: what lies between opens as many blocks as it closes.
  for (let k = i + 1, depth = 0; k < tokens.length; k++) {
    const token = tokens[k]!;
    if (token.kind === "tag" && isBlock?.(token)) {
      depth += token.form === "open" ? 1 : token.form === "close" ? -1 : 0;
      if (depth < 0) return null;
    }
    if (token.kind !== "fence" || token.mark[0] !== begin.mark[0] || token.mark.length < begin.mark.length) continue;
    return token.info === "" ? k : null;
  }
  return null;
}

const TOKEN = /^[ \t]*(`{3,}|~{3,})[ \t]*([^`\n]*)$|<!--[\s\S]*?-->|[<[\u25c1]|`+/gm;

function tokenize(text: string): Token[] {
  const tokens: Token[] = [];
  TOKEN.lastIndex = 0;
  // A comment without end is looked for only once.
  const hasComments = text.includes("-->");
  const pattern = new RegExp(hasComments ? TOKEN : TOKEN.source.replace("<!--[\\s\\S]*?-->|", ""), "gm");
  for (let found = pattern.exec(text); found; found = pattern.exec(text)) {
    const [all, mark, info] = found;
    const from = found.index;
    const to = pattern.lastIndex;
    if (mark !== undefined) tokens.push({ kind: "fence", from, to, mark, info: info!.trim() });
    else if (all.startsWith("`")) tokens.push({ kind: "ticks", from, to });
    else if (all.startsWith("<!--")) tokens.push({ kind: "comment", from, to });
    else {
      const tag = all === "<" ? readTag(text, from) : readBracketTag(text, from);
      if (!tag) continue;
      tokens.push({ kind: "tag", ...tag });
      pattern.lastIndex = tag.to;
    }
  }
  return tokens;
}

const TAG_BEGIN = /<[ \t]{0,3}(\/?)[ \t]{0,3}\|?([A-Za-z][\w:-]*)(?=[\s/=|>])/y;
/** Mistral's [THINK] and Kimi's ◁think▷. */
const BRACKET_TAG = /(?:\[(\/?)([A-Za-z_ -]{3,30})\]|\u25c1(\/?)([A-Za-z_-]{3,30})\u25b7)/y;
const ATTRIBUTE = /([a-z][\w-]*)?\s*=\s*("[^"]*"|'[^']*'|[^\s"'/>|]+)/gi;

/** The tag that begins at `at`; values in quotes may hold angle brackets and line ends. Null where there is none. */
function readTag(text: string, at: number): Tag | null {
  TAG_BEGIN.lastIndex = at;
  const found = TAG_BEGIN.exec(text);
  if (!found) return null;
  const begin = TAG_BEGIN.lastIndex;
  const limit = Math.min(text.length, at + MAX_TAG_CHARS);
  for (let i = begin; i < limit; i++) {
    const char = text[i]!;
    if (char === "<") return null;
    if ((char === '"' || char === "'") && text.slice(begin, i).trimEnd().endsWith("=")) {
      const end = text.indexOf(char, i + 1);
      if (end > 0 && end < limit) i = end;
    } else if (char === ">") {
      const inside = text.slice(begin, i).trim();
      const attributes = [...inside.matchAll(ATTRIBUTE)].map(([, name = "name", value]): [string, string] => [
        lettersOf(name),
        value!.replace(/^(["'])([\s\S]*)\1$/, "$2").trim(),
      ]);
      return tagOf(at, i + 1, found[2]!, found[1] === "/", attributes, inside.endsWith("/"));
    }
  }
  return null;
}

function readBracketTag(text: string, at: number): Tag | null {
  BRACKET_TAG.lastIndex = at;
  const found = BRACKET_TAG.exec(text);
  if (!found) return null;
  const tag = tagOf(at, BRACKET_TAG.lastIndex, found[2] ?? found[4]!, (found[1] ?? found[3]) === "/", [], false);
  return REASONING.test(tag.name) ? tag : null;
}

/** <|begin_of_thought|> and <|end_of_thought|> are a pair, <thinking> is the same as <think>. */
function tagOf(
  from: number,
  to: number,
  spelled: string,
  isClose: boolean,
  attributes: Tag["attributes"],
  isEmpty: boolean,
): Tag {
  const letters = lettersOf(spelled);
  const [, edge, rest] = /^(beginof|endof)(.+)$/.exec(letters) ?? [];
  const name = (rest ?? letters).replace(/^(?:thinking|thoughts?)$/, "think").replace(/^scratchpad.*/, "scratchpad");
  return { from, to, name, attributes, form: isClose || edge === "endof" ? "close" : isEmpty ? "empty" : "open" };
}
