/** @file The data of a task: records of files, or texts, checked. */

import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { InputError } from "../base/errors.js";
import { loadText } from "../base/json.js";
import { type DataFile, openDataFiles, readRecords } from "../corpus/files.js";
import type { PlacedSample, Task, TaskSettings } from "./task.js";

/** Larger texts belong into JSONL, cut where they may be cut. */
const MAX_TEXT_BYTES = 500_000_000;
const RECORD_FILE = /\.(jsonl|jsonl\.gz|json|parquet)$/;

export interface TaskData {
  samples: PlacedSample[];
  files: DataFile[];
}

/** The data files of a task: those that are given, or those that ship with it. */
export function dataOf(task: Task, given: readonly string[]): readonly string[] {
  const args = given.length > 0 ? given : (task.data ?? []);
  if (args.length === 0) throw new InputError(`--data is missing: --task ${task.name} has none of its own`);
  return args;
}

/** Control questions lie beside the data that they belong to under this name, unless they are given. */
const CONTROL_FILE = "format-competence.jsonl";

/**
 * The control questions of a task that has some (null: it has none): those of `settings`, else those beside the first
 * data file, else those that ship with the task.
 */
export async function loadControl(
  task: Task,
  { data, control }: { data: readonly string[]; control: string | null },
): Promise<TaskData | null> {
  if (!task.control) return null;
  const beside = join(dirname(data[0] ?? ""), CONTROL_FILE);
  const found = control ?? (data.length > 0 && existsSync(beside) ? beside : task.control.data);
  return loadSamples(task, [found], null, undefined, "--control");
}

/**
 * Reads and checks the data of `task` (none given: those that ship with it): at most `limit` samples (null: all) of
 * those that the settings ask for. Throws InputError that names file and line.
 */
export async function loadSamples(
  task: Task,
  given: readonly string[],
  limit: number | null,
  settings: TaskSettings = { seqLen: null },
  option = "--data",
): Promise<TaskData> {
  const args = dataOf(task, given);
  const samples: PlacedSample[] = [];
  const files: DataFile[] = [];
  const isFull = (): boolean => limit !== null && samples.length >= limit;
  const add = (value: unknown, where: string): void => {
    for (const record of task.expand?.(value, where) ?? [value]) {
      const sample = task.parse(record, where);
      if (!isFull() && (task.keeps?.(sample, settings) ?? true)) samples.push({ sample, where, record });
    }
  };
  for (const file of await openDataFiles(args, { option, anyKind: task.readsText ?? false })) {
    files.push(file);
    if (isFull()) continue;
    if (task.readsText && !RECORD_FILE.test(file.path)) {
      add({ text: loadText(file.path, MAX_TEXT_BYTES) }, file.path);
      continue;
    }
    for await (const { value, where } of readRecords(file.path)) {
      add(value, where);
      if (isFull()) break;
    }
  }
  if (samples.length === 0) throw new InputError(`${option} ${args.join(" ")}: no records`);
  return { samples, files };
}
