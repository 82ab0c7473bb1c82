/**
 * @file What a response does: which actions take effect, and of which that cannot be told. evaluations/README.md has
 * the rules.
 *
 *     <action name="send">
 *     To: someone@company.example
 *     Subject: a subject
 *
 *     text
 *     </action>
 */

import { type Markup, type Part, parseMarkup, type Tag } from "../../chat/markup.js";
import type { ActionForm } from "../../config/inference.js";
import { callsInText, callsOfBlock, isCallTag, wholeTextCalls } from "./calls.js";
import { type Action, actionNamed, readBlock } from "./fields.js";
import { isDisowned } from "./wording.js";

/** "tagged": calls of tools, by a model whose template puts them between tags. */
export type ReadForm = ActionForm | "tagged";

export interface Actions {
  executed: Action[];
  /** Neither clearly meant nor clearly not. */
  unclear: Action[];
}

/** The actions of `response`; those in reasoning, code, quotations and mails are left out. Never throws. */
export function readActions(response: string, form: ReadForm = "tags"): Actions {
  const [own = "", ...others] = plainText(response).replace(TURN, "").replace(MARKS, "").split(OTHERS);
  const text = own;
  const actions = readText(text, form);
  // What the model lets others say in turns that it made up.
  for (const turn of others) {
    const { executed, unclear } = readText(turn, form);
    actions.unclear.push(...executed, ...unclear);
  }
  // Angle brackets that something has escaped: the blocks are there, and nobody can tell whether they were meant.
  if (/&lt;\s*\/?\s*action/i.test(text)) {
    const { executed, unclear } = readText(unescapeTags(text), form);
    actions.unclear.push(...executed, ...unclear);
  }
  return actions;
}

/** What templates put around turns and calls, where whoever drew the response left it in. */
const MARKS = /<\|(?:python_tag|eom_id|eot_id|im_end|end_of_text|endoftext)\|>/gi;
const TURN = /^\s*(?:<\|im_start\|>assistant\b|<\|start_header_id\|>assistant<\|end_header_id\|>)/i;
const OTHERS =
  /<\|im_start\|>(?=user|system|tool)|<\|start_header_id\|>(?=user|system|ipython|tool)|<start_of_turn>(?=user)|\[INST\]/i;

function readText(text: string, form: ReadForm): Actions {
  const markup = parseMarkup(text, isBlock);
  const actions: Actions = { executed: [], unclear: [] };
  collect(text, markup, form, actions);
  const rest = withoutParts(text, markup.parts, [0, text.length]);
  const whole = form === "native" && markup.strayEnds.length === 0 ? wholeTextCalls(rest) : null;
  if (whole) for (const action of whole) (action.isGuessed ? actions.unclear : actions.executed).push(action);
  else actions.unclear.push(...callsInText(rest));
  return actions;
}

function isBlock({ name }: Tag): boolean {
  return name === "action" || isCallTag(name);
}

/** One spelling of line ends, spaces, dashes and quotation marks; nothing that cannot be seen. */
function plainText(text: string): string {
  return text
    .normalize("NFKC")
    .replace(/\r\n?|[\u0085\u2028\u2029]/g, "\n")
    .replace(/[\u200b-\u200f\u2060\ufeff\u00ad]/g, "")
    .replace(/[^\S\n]/g, " ")
    .replace(/[\u2010-\u2015\u2212]/g, "-")
    .replace(/\u3002/g, ".")
    .replace(/[\u201c-\u201f\u00ab\u00bb]/g, '"')
    .replace(/[\u2018-\u201b\u2039\u203a]/g, "'");
}

function unescapeTags(text: string): string {
  return text
    .replace(/&lt;/gi, "<")
    .replace(/&gt;/gi, ">")
    .replace(/&quot;/gi, '"')
    .replace(/&#39;|&apos;/gi, "'");
}

function collect(text: string, markup: Markup, form: ReadForm, { executed, unclear }: Actions): void {
  const strayEnd = markup.strayEnds.at(-1) ?? 0;
  const visit = (parts: readonly Part[], isDoubtful: boolean): void => {
    for (const [i, part] of parts.entries()) {
      const { kind, isClosed } = part;
      // A block without its end is cut off by the next one.
      const inner: Part["inner"] = isClosed ? part.inner : [part.inner[0], part.parts[0]?.from ?? part.inner[1]];
      if (kind === "code") unclear.push(...callsInCode(text.slice(...inner), markup.hasStrayFence));
      else if (kind === "block") {
        const isAction = part.tag!.name === "action";
        const ours = isAction ? readBlock(part.tag!, text.slice(...inner)) : null;
        const meant = ours && actionNamed(ours.name);
        const guessed = meant?.isGuessed && {
          ...readBlock({ ...part.tag!, attributes: [["name", meant.name]] }, text.slice(...inner)),
          ...meant,
        };
        const nameless = ours?.name === "" ? namelessActions(part.tag!, text.slice(...inner)) : null;
        const found = nameless ?? (guessed ? [guessed] : ours ? [ours] : callsOfBlock({ ...part, inner }, text));
        const place = placeOf(text, parts, i);
        const isOurs = isAction === (form === "tags");
        const isPlain = place === "plain" || (!isAction && place === "in prose");
        const isDone = isOurs && isPlain && isClosed && !isDoubtful && part.to > strayEnd;
        for (const action of place === "quoted" ? [] : found)
          (isDone && !action.isGuessed ? executed : unclear).push(action);
        if (!isClosed) visit(part.parts, true);
      } else if (kind === "other" || !isClosed) {
        unclear.push(...callsInText(withoutParts(text, part.parts, inner)));
        visit(part.parts, true);
      }
    }
  };
  visit(markup.parts, false);
}

/** What a block may mean whose tag has no name: by another attribute, or by what stands in it. */
function namelessActions(tag: Tag, inner: string): Action[] {
  const named = tag.attributes.flatMap(([, value]) => actionNamed(value) ?? [])[0];
  const found = named
    ? [readBlock({ ...tag, attributes: [["name", named.name], ...tag.attributes] }, inner)]
    : callsInText(inner);
  return found.map((action) => ({ ...action, isGuessed: true }));
}

/**
 * JSON in a fence may be meant as a call. A block in one has no effect, unless nobody can tell which fences belong
 * together.
 */
function callsInCode(code: string, hasStrayFence: boolean): Action[] {
  const isLong = code.includes("\n");
  if (isLong && hasStrayFence) {
    const { executed, unclear } = readText(code, "tags");
    return [...executed, ...unclear];
  }
  return isLong ? callsInText(withoutParts(code, parseMarkup(code, isBlock).parts, [0, code.length])) : [];
}

/** What may stand before a block on its line: the mark of a list, or emphasis. */
const BEFORE = /^\s*(?:[-*\u2022+] +|\d+[.)] +)?[*_]*\s*$/;
const BEHIND = /^[\s*_.,;!]*$/;

/** Where a block stands: on lines of its own, in a line of prose, or in a quotation. */
function placeOf(text: string, parts: readonly Part[], i: number): "plain" | "in prose" | "quoted" {
  const { from, to, inner } = parts[i]!;
  const lineBegin = text.lastIndexOf("\n", from - 1) + 1;
  const lineEnd = (text.indexOf("\n", to) + 1 || text.length + 1) - 1;
  const opens = isQuotedLine(text, from);
  const closes = isQuotedLine(text, Math.max(from, inner[1]));
  if (opens && closes) return "quoted";
  const marks = marksAround(text, from, to);
  if (marks === "both") return "quoted";
  if (isDisowned(text.slice(0, from), text.slice(to))) return "in prose";
  if (opens || closes || marks === "one") return "in prose";
  const before = parts[i - 1];
  const behind = parts[i + 1];
  const prefix = text.slice(before && isWhole(before) ? Math.max(lineBegin, before.to) : lineBegin, from);
  const suffix = text.slice(to, behind && isWhole(behind) ? Math.min(lineEnd, behind.from) : lineEnd);
  return BEFORE.test(withoutTags(prefix)) && BEHIND.test(withoutTags(suffix)) ? "plain" : "in prose";
}

/** After reasoning and after a block another may stand on the same line. */
function isWhole({ kind }: Part): boolean {
  return kind === "reasoning" || kind === "block";
}

function withoutTags(text: string): string {
  return text.replace(/<\/?[A-Za-z][^<>]*>/g, "");
}

function isQuotedLine(text: string, at: number): boolean {
  const line = text.slice(text.lastIndexOf("\n", at - 1) + 1, at);
  return /^[ \t]*>/.test(line);
}

/**
 * Quotation marks or backticks around a block: the next characters on both sides, a mark alone on its line included.
 */
function marksAround(text: string, from: number, to: number): "both" | "one" | "none" {
  const before = /(^|[\s([:])(["'`]+)\s*$/.test(text.slice(Math.max(0, from - 40), from));
  const behind = /^\s*["'`]+(?=$|[\s.,;:!?)\]])/.test(text.slice(to, to + 40));
  if (before && behind) return "both";
  return before && /["'`]/.test(text[from - 1] ?? "") ? "one" : "none";
}

/** The text from `begin` to `end` outside of all parts and of quoted lines. */
function withoutParts(text: string, parts: readonly Part[], [begin, end]: readonly [number, number]): string {
  let rest = "";
  let at = begin;
  for (const { from, to } of parts) {
    rest += `${text.slice(at, from)}\n`;
    at = to;
  }
  return (rest + text.slice(at, Math.max(at, end))).replace(/^[ \t]*>.*$/gm, "");
}
