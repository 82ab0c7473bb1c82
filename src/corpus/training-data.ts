/** @file The records that a run trains on: drawn, mixed, and short enough for its rows. */

import { type Dataset, drawRecords, joinDatasets } from "./dataset.js";
import { type RowLimits, settleLongChats } from "./long-chats.js";

export interface TrainingDataSettings extends RowLimits {
  data: string[];
  /** Null: all. */
  records: number | null;
  mix: string[];
  seed: number;
}

/**
 * The records of `data`, or as many of those that are left as `records` says, and all of `mix`; `load` reads the files
 * that an option names. Throws InputError.
 */
export async function loadTrainingData(
  { data, records, mix, seed, ...limits }: TrainingDataSettings,
  load: (option: string, args: string[]) => Promise<Dataset>,
): Promise<Dataset> {
  const all = settleLongChats(await load("--data", data), limits);
  const drawn = records === null ? all : drawRecords(all, records, seed);
  if (mix.length === 0) return drawn;
  return joinDatasets(drawn, settleLongChats(await load("--mix", mix), limits));
}
