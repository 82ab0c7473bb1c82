/** @file Records to token ids and targets. */

import { InputError } from "../base/errors.js";
import { addNotes, type ChatNotes, encodeChat, NO_CHAT_NOTES } from "../tokenizer/chat.js";
import type { Tokenizer } from "../tokenizer/tokenizer.js";
import type { ChatRecord, DataRecord } from "./records.js";

/** A record as tokens. */
export interface Example {
  ids: Int32Array;
  /** For each token the id that it is a target as (its own, or what `labels` says), -100 where it is none. */
  targets: Int32Array;
  kind: DataRecord["kind"];
  /** The form of the record, as forms.ts names it. */
  form: string;
  /** Place of the record in the data: index of its file, line (or row) counted from 1. */
  file: number;
  line: number;
}

/** What happened to records on their way to tokens, counted over a data set. */
export interface EncodingNotes extends ChatNotes {
  /** Special tokens in documents and completions, written there as text and read as these tokens. */
  specialTokensInText: number;
  /** Messages that ask to be targets and are none. */
  markedInVain: number;
  /** Records longer than a row that were left out (--long-chats drop). */
  droppedLong: number;
  /** Rows that are no records and were left out (--skip-bad-rows). */
  skippedRows: number;
}

export const NO_NOTES: Readonly<EncodingNotes> = {
  ...NO_CHAT_NOTES,
  specialTokensInText: 0,
  markedInVain: 0,
  droppedLong: 0,
  skippedRows: 0,
};

/** Marks a token that is no target, as PyTorch's cross-entropy does. */
export const NO_TARGET = -100;

/** Encodes one record; `where` names it in errors. Counts into `notes`. */
export function encodeRecord(record: DataRecord, tokenizer: Tokenizer, where: string, notes: EncodingNotes): Encoded {
  switch (record.kind) {
    case "document": {
      const ids = tokenizer.encode(record.text);
      notes.specialTokensInText += countSpecials(tokenizer, ids);
      return withTargets(record.kind, withEnd(ids, tokenizer, where), 0);
    }
    case "completion":
      return encodeCompletion(record, tokenizer, where, notes);
    case "chat":
      return encodeChatRecord(record, tokenizer, where, notes);
    case "row":
      return encodeRow(record);
  }
}

type Encoded = Pick<Example, "ids" | "targets" | "kind">;

/** All tokens from `first` on are targets. */
function withTargets(kind: Example["kind"], tokens: number[], first: number): Encoded {
  const ids = Int32Array.from(tokens);
  // Nothing writes to either: a document's can be the same array.
  const targets = first === 0 ? ids : ids.slice();
  if (first > 0) targets.fill(NO_TARGET, 0, first);
  return { ids, targets, kind };
}

function withEnd(ids: number[], tokenizer: Tokenizer, where: string): number[] {
  if (tokenizer.endOfTextId === undefined) {
    throw new InputError(`${where}: the checkpoint names no end-of-text token (eos_token in tokenizer_config.json)`);
  }
  // A text may end in that token already; one ends it.
  if (ids.at(-1) !== tokenizer.endOfTextId) ids.push(tokenizer.endOfTextId);
  return ids;
}

/** Special tokens beyond those that the post-processor adds to every text. */
function countSpecials(tokenizer: Tokenizer, ids: number[]): number {
  let count = -(tokenizer.surround.before.length + tokenizer.surround.after.length);
  for (const id of ids) if (tokenizer.specialIds.has(id)) count++;
  return Math.max(0, count);
}

/**
 * TRL's language-modelling form of prompt and completion: one text and an end-of-text token; the completion and that
 * token are targets. A token that holds the end of the prompt and the start of the completion is a target.
 */
function encodeCompletion(
  { prompt, completion }: Extract<DataRecord, { kind: "completion" }>,
  tokenizer: Tokenizer,
  where: string,
  notes: EncodingNotes,
): Encoded {
  const { ids, indices } = tokenizer.encodeWithCuts(prompt + completion, [prompt.length]);
  const { before, after } = tokenizer.surround;
  const all = [...before, ...ids, ...after];
  notes.specialTokensInText += countSpecials(tokenizer, all);
  return withTargets("completion", withEnd(all, tokenizer, where), before.length + (indices[0] ?? 0));
}

function encodeChatRecord(
  { kind: _k, messages, markedInVain = 0, ...options }: ChatRecord,
  tokenizer: Tokenizer,
  where: string,
  notes: EncodingNotes,
): Encoded {
  const chat = encodeChat(tokenizer, messages, { ...options, where });
  addNotes(notes, chat);
  notes.markedInVain += markedInVain;
  const ids = Int32Array.from(chat.ids);
  const targets = ids.map((id, n) => (chat.targets[n] ? id : NO_TARGET));
  return { ids, targets, kind: "chat" };
}

/** Ids of the embedding or not: the model decides, and it is not known here (train/plan.ts). */
function encodeRow({ ids, labels }: Extract<DataRecord, { kind: "row" }>): Encoded {
  return { ids: Int32Array.from(ids), targets: Int32Array.from(labels ?? ids), kind: "row" };
}
