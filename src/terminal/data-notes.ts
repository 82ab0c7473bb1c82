/** @file What happened to data on their way to a model, in sentences. */
import type { EncodingNotes } from "../corpus/encode.js";
import type { DataStats } from "../corpus/stats.js";
import type { ChatNotes } from "../tokenizer/chat.js";

const number = (value: number): string => value.toLocaleString("en-US");

/** Counts with what each is the number of, those of zero left out. */
function sentences(notes: readonly [count: number, text: string][]): string[] {
  return notes.filter(([count]) => count > 0).map(([count, text]) => `${number(count)} ${text}`);
}

/** What rows were made of training data. */
export function rowNotes(stats: DataStats): string[] {
  const { splitRecords, lostTargets, untargetedRecords, untargetedPieces } = stats;
  return sentences([
    [splitRecords, `records are longer than a row and were split, ${number(lostTargets)} targets lost at the cuts`],
    [untargetedRecords, "records have no target and make no rows"],
    [untargetedPieces, "pieces of split records have no target and make no rows"],
  ]);
}

/** What records became. */
export function encodingNotes(notes: EncodingNotes): string[] {
  const { droppedLong, skippedRows, specialTokensInText, markedInVain } = notes;
  return sentences([
    [skippedRows, "bad rows were left out (--skip-bad-rows)"],
    [droppedLong, "records are longer than a row and were left out (--long-chats drop)"],
    [specialTokensInText, "special tokens are written out in documents or completions and were read as these tokens"],
    [markedInVain, "messages have weight 1 or train true and are no targets: only what the assistant says is one"],
    ...chatCounts(notes),
  ]);
}

/** What the chat template made of chats. */
export function chatNotes(notes: ChatNotes): string[] {
  return sentences(chatCounts(notes));
}

function chatCounts(notes: ChatNotes): [number, string][] {
  return [
    [notes.specialTextsInContent, "texts of special tokens in chat contents were encoded as plain text"],
    [
      notes.changedContents,
      "messages were changed or left out by the chat template (thinking of earlier turns, for example)",
    ],
    [
      notes.unwrittenCalls,
      "messages call tools, and the chat template does not write these calls: they are not learned",
    ],
    [
      notes.unwrittenReasoning,
      "messages have reasoning (reasoning_content) that the chat template does not write: it is not learned",
    ],
    [notes.unwrittenTools, "chats have tools, and the chat template does not write them: the model does not see them"],
  ];
}
