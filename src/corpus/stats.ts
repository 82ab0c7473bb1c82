/** @file What a data set amounts to: counts, a check that it can be learned from, and a row to look at. */

import { InputError } from "../base/errors.js";
import type { Tokenizer } from "../tokenizer/tokenizer.js";
import type { Dataset } from "./dataset.js";
import { type EncodingNotes, NO_TARGET } from "./encode.js";
import { type Packing, type Row, targetPieces } from "./pack.js";

/** Counts of a data set and its rows. */
export interface DataStats extends EncodingNotes {
  records: number;
  /** Records by the name of their form. */
  forms: Record<string, number>;
  tokens: number;
  targetTokens: number;
  rows: number;
  /** Share of the rows' tokens that is padding. */
  paddingShare: number;
  /** Records longer than a row, which were split. */
  splitRecords: number;
  /** Records without a target, which make no rows. */
  untargetedRecords: number;
  /** Pieces of split records in which nothing is a target, and which make no rows either. */
  untargetedPieces: number;
  /** Targets that splitting cost: the first token of a piece has nothing before it to be predicted from. */
  lostTargets: number;
  /** Records by length: those of more than `over` tokens, up to twice as many. */
  lengths: { over: number; records: number }[];
}

/** Counts over the whole data set. */
export function computeStats({ examples, notes }: Dataset, packing: Packing): DataStats {
  const { seqLen } = packing;
  let tokens = 0;
  let targetTokens = 0;
  let splitRecords = 0;
  let untargetedRecords = 0;
  let untargetedPieces = 0;
  let lostTargets = 0;
  const byLength: number[] = [];
  const forms: Record<string, number> = {};
  for (const example of examples) {
    const { ids, targets } = example;
    tokens += ids.length;
    forms[example.form] = (forms[example.form] ?? 0) + 1;
    const pieces = targetPieces(example, seqLen).length;
    if (pieces === 0) untargetedRecords++;
    else untargetedPieces += Math.ceil(ids.length / seqLen) - pieces;
    for (let n = 1; n < targets.length; n++) if (targets[n] !== NO_TARGET) targetTokens++;
    byLength[bucket(ids.length)] = (byLength[bucket(ids.length)] ?? 0) + 1;
    if (ids.length > seqLen) splitRecords++;
    for (let n = seqLen; n < ids.length; n += seqLen) if (targets[n] !== NO_TARGET) lostTargets++;
  }
  const lengths = Array.from(byLength, (records = 0, i) => ({ over: 2 ** i, records })).filter(
    ({ records }) => records > 0,
  );
  const packed = packing.to.reduce((sum, to, piece) => sum + to - packing.from[piece]!, 0);
  const paddingShare = 1 - packed / (packing.numRows * seqLen);
  const counts = {
    records: examples.length,
    forms,
    tokens,
    targetTokens: targetTokens - lostTargets,
    rows: packing.numRows,
  };
  return { ...counts, paddingShare, splitRecords, untargetedRecords, untargetedPieces, lostTargets, lengths, ...notes };
}

/** Lengths over 2^i up to 2^(i + 1) share bucket i. */
function bucket(length: number): number {
  return Math.max(0, Math.ceil(Math.log2(length)) - 1);
}

/**
 * Throws InputError where training would teach nothing, or never to stop: no target at all, or no end-of-text or
 * end-of-turn token among the targets of documents, chats and completions. Rows of input_ids may be what they are.
 */
export function checkTrainable({ examples, files }: Dataset, tokenizer: Tokenizer): void {
  const where = files.map(({ path }) => path).join(", ");
  if (!hasTarget(examples)) throw new InputError(`${where}: no token is a target, so there is nothing to learn`);
  const ends = new Set([tokenizer.endOfTextId, tokenizer.endOfTurnId, ...tokenizer.stopIds]);
  const texts = examples.filter(({ kind }) => kind !== "row");
  if (texts.length === 0) return;
  for (const { targets } of texts) {
    // From the back: the end is where one looks for it.
    for (let n = targets.length - 1; n > 0; n--) if (ends.has(targets[n])) return;
  }
  const names = [...ends].map((id) => id !== undefined && tokenizer.tokenText(id)).filter((name) => name);
  throw new InputError(
    `${where}: no end-of-text or end-of-turn token (${names.join(", ")}) is ever a target: the model would not ` +
      "learn to stop; check the chat template",
  );
}

/** Whether any token is to be predicted: the first of an example never is. */
export function hasTarget(examples: Dataset["examples"]): boolean {
  return examples.some(({ targets }) => targets.some((target, n) => n > 0 && target !== NO_TARGET));
}

/** How a preview marks targets. */
export interface PreviewOptions {
  /** ANSI colours; false (NO_COLOR, no terminal): targets stand in ⟦brackets⟧. */
  color: boolean;
  /** At most so many tokens of the row. Default 300. */
  maxTokens?: number;
}

/** The beginning of a row as text with its targets marked; "|" on a line of its own divides segments. */
export function formatPreview(row: Row, tokenizer: Tokenizer, { color, maxTokens = 300 }: PreviewOptions): string {
  const [open, close] = color ? ["\x1b[32m", "\x1b[0m"] : ["⟦", "⟧"];
  const end = Math.min(row.ids.length, maxTokens, contentLength(row));
  let text = "";
  for (let from = 0; from < end; ) {
    const target = isTarget(row, from);
    let to = from + 1;
    while (to < end && isTarget(row, to) === target && row.starts[to] === row.starts[from]) to++;
    if (from > 0 && row.starts[from] === from) text += "\n|\n";
    const part = visible(tokenizer.decode(row.ids.subarray(from, to)));
    text += target ? open + part + close : part;
    from = to;
  }
  return end < contentLength(row) ? `${text} ...` : text;
}

function isTarget(row: Row, n: number): boolean {
  return n > 0 && row.starts[n] !== n && row.targets[n - 1] !== NO_TARGET;
}

/** Tokens before the padding: at the end each token is its own segment. */
function contentLength({ starts }: Row): number {
  let length = starts.length;
  while (length > 1 && starts[length - 1] === length - 1) length--;
  return length;
}

/** Line breaks stay and are shown; other control characters (escape sequences, reversed text) become their code. */
function visible(text: string): string {
  return text
    .replace(/\n/g, "⏎\n")
    .replace(/(?!\n)[\p{Cc}\u202a-\u202e\u2066-\u2069]/gu, (char) => `\\u{${char.codePointAt(0)!.toString(16)}}`);
}
