/** @file The data of a task: records of files, or texts, checked. */
import { existsSync } from "node:fs";
import { type DataFile, openDataFiles, readRecords } from "../corpus/files.js";
import { InputError } from "../errors.js";
import { hashFile } from "../formats/hash.js";
import { loadText } from "../formats/json.js";
import type { Task } from "./task.js";

/** Larger texts belong into JSONL, cut where they may be cut. */
const MAX_TEXT_BYTES = 500_000_000;
const RECORD_FILE = /\.(jsonl|jsonl\.gz|json|parquet)$/;

/** A sample with its place in the data. */
export interface PlacedSample {
  sample: unknown;
  where: string;
  /** The record as the file has it. */
  record: unknown;
}

export interface TaskData {
  samples: PlacedSample[];
  files: DataFile[];
}

/** Reads and checks the data of `task`: at most `limit` records (null: all). Throws InputError that names file and line. */
export async function loadSamples(task: Task, args: readonly string[], limit: number | null): Promise<TaskData> {
  const samples: PlacedSample[] = [];
  const files: DataFile[] = [];
  const isFull = (): boolean => limit !== null && samples.length >= limit;
  const add = (record: unknown, where: string): void => {
    samples.push({ sample: task.parse(record, where), where, record });
  };
  for (const arg of args) {
    if (task.readsText && !RECORD_FILE.test(arg) && existsSync(arg)) {
      if (!isFull()) add({ text: loadText(arg, MAX_TEXT_BYTES) }, arg);
      files.push({ path: arg, sha256: await hashFile(arg) });
      continue;
    }
    for (const file of await openDataFiles([arg])) {
      files.push(file);
      if (isFull()) continue;
      for await (const { value, where } of readRecords(file.path)) {
        add(value, where);
        if (isFull()) break;
      }
    }
  }
  if (samples.length === 0) throw new InputError(`--data ${args.join(" ")}: no records`);
  return { samples, files };
}
