/** @file Items of a stage, many under way together; what comes of them is in the order of the items all the same. */
import type { Asker } from "./ask.js";
import type { Journal, JournalRecord } from "./journal.js";
import type { Writer } from "./writer.js";

export interface Made<T> {
  /** Null: given up, or refused by a check. */
  value: T | null;
  records: JournalRecord[];
}

export interface Work {
  asker: Asker;
  writer: Writer;
  critic: Writer;
  /** Opens the records of a stage. */
  journal(name: string): Journal;
  /** How far a stage is: kept, wanted, given up. */
  /** A pilot asks by an asker of its own, which an interrupt has to stop too. */
  onPilot?(asker: Asker): void;
  onProgress(stage: string, kept: number, wanted: number, lost: number): void;
}

/**
 * Makes every item, at most `lanes` under way together. Where the asker stops, what is not finished is undefined, and
 * records end before the first of these. Throws what is thrown for another reason.
 */
export async function makeAll<Item, T>(
  { asker, writer }: Pick<Work, "asker" | "writer">,
  items: readonly Item[],
  journal: Journal,
  make: (item: Item) => Promise<Made<T>>,
  onMade: (made: Made<T>) => void = () => {},
): Promise<(T | null | undefined)[]> {
  const made = new Array<Made<T> | undefined>(items.length);
  let written = 0;
  const queue = items.entries();
  const lane = async (): Promise<void> => {
    for (const [i, item] of queue) {
      if (asker.stopped) return;
      try {
        made[i] = await make(item);
      } catch (error) {
        if (error !== asker.stopped) asker.stop(error as Error);
        return;
      }
      onMade(made[i]);
      for (; made[written]; written++) journal.append(made[written]!.records);
    }
  };
  await Promise.all(Array.from({ length: Math.min(writer.lanes, items.length) }, lane));
  return made.map((one) => one?.value);
}
