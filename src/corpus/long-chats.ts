/** @file Records that are longer than a row. */

import { InputError } from "../base/errors.js";
import { type Dataset, withExamples } from "./dataset.js";
import type { Example } from "./encode.js";

/** What becomes of a record other than a document that is longer than a row. */
type LongChats = "refuse" | "drop" | "split";

const NAMES: Record<Exclude<Example["kind"], "document">, string> = {
  chat: "a chat",
  completion: "a prompt with its completion",
  row: "a list of input_ids",
};

export interface RowLimits {
  longChats: LongChats;
  seqLen: number;
  /** The model's: no row can be longer. */
  positions: number;
}

/**
 * The data with what is to become of records that are longer than a row of `seqLen` tokens. Documents are always split.
 * A part of a chat is something else than the chat: its answer would be trained on the tail of its prompt.
 * @throws InputError ("refuse") naming the first, and the --seq-len, at most `positions`, that fits them all
 */
export function settleLongChats(dataset: Dataset, { longChats, seqLen, positions }: RowLimits): Dataset {
  const isLong = ({ ids, kind }: Example): boolean => kind !== "document" && ids.length > seqLen;
  const long = dataset.examples.filter(isLong);
  if (long.length === 0 || longChats === "split") return dataset;
  if (longChats === "drop") {
    const notes = { ...dataset.notes, droppedLong: dataset.notes.droppedLong + long.length };
    const kept = dataset.examples.filter((example) => !isLong(example));
    const longest = Math.max(...long.map(({ ids }) => ids.length));
    if (kept.length > 0) return withExamples({ ...dataset, notes }, kept);
    const where = dataset.files.map(({ path }) => path).join(", ");
    throw new InputError(
      `${where}: every record is longer than a row of ${seqLen} tokens, and --long-chats drop leaves nothing; ` +
        wayToFit(longest, positions),
    );
  }
  const first = dataset.examples.findIndex(isLong);
  const { ids, kind } = dataset.examples[first]!;
  const others = long.length === 1 ? "" : `, and ${long.length - 1} more ${long.length === 2 ? "is" : "are"} too long`;
  const longest = Math.max(...long.map((example) => example.ids.length));
  throw new InputError(
    `${dataset.describe(first)}: ${NAMES[kind as keyof typeof NAMES]} of ${ids.length} tokens is longer than a row ` +
      `(--seq-len ${seqLen})${others}; ${wayToFit(longest, positions)}, --long-chats drop leaves such records out, ` +
      "--long-chats split trains on their pieces",
  );
}

function wayToFit(longest: number, positions: number): string {
  return longest <= positions
    ? `--seq-len ${longest} fits all`
    : `the longest has ${longest} tokens, the model ${positions} positions`;
}
