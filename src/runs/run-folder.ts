/**
 * @file The run folder: config.json (what was asked, and of what), log.jsonl (one record a line), checkpoint/ (run
 * state), adapter/ (the result). The same command on the same folder continues the run, or finds it finished.
 */

import { appendFileSync, existsSync, readFileSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { sweepStaged, writeTextFile } from "../base/atomic.js";
import { InputError } from "../base/errors.js";
import { makeFolder } from "../base/file.js";
import { PLACES } from "../config/identity.js";

/** One line of log.jsonl. */
export interface LogRecord {
  type: string;
  [key: string]: unknown;
}

/** What makes two runs the same; plain JSON. */
export interface RunConfig {
  command: string;
  settings: Record<string, unknown>;
  /** Content hashes of model, data and adapter. */
  inputs: Record<string, unknown>;
  /** Recorded, not compared. */
  versions: Record<string, unknown>;
  /**
   * Of a training run, how the rows of a step are split (train/memory.ts): chosen when it begins, and kept. Not
   * compared.
   */
  split?: unknown;
}

/** What the run in `folder` was asked for, null where it holds none. */
export function readRunConfig(folder: string): RunConfig | null {
  const path = join(folder, "config.json");
  return existsSync(path) ? parseConfig(path) : null;
}

/**
 * Makes the folder, or checks that it holds the same run.
 * @throws InputError naming the first setting or input that differs
 */
export async function openRunFolder(folder: string, config: RunConfig): Promise<void> {
  const path = join(folder, "config.json");
  makeFolder(folder);
  if (!existsSync(path)) {
    if (existsSync(join(folder, "results.json")))
      throw new InputError(`${folder} holds an evaluation: give another --out, or remove the folder`);
    await writeTextFile(path, `${JSON.stringify(config, null, 2)}\n`);
    return;
  }
  const previous = parseConfig(path);
  const difference = firstDifference("command", previous.command, config.command) ?? differenceOfRuns(previous, config);
  if (difference)
    throw new InputError(`${folder} holds another run (${difference}): give another --out, or remove the folder`);
}

function parseConfig(path: string): RunConfig {
  try {
    return JSON.parse(readFileSync(path, "utf8")) as RunConfig;
  } catch {
    throw new InputError(`${path} is not readable as a run's configuration: give another --out, or remove the folder`);
  }
}

/**
 * The first setting or input that differs, null where two runs are the same. Files are compared by what they hold,
 * wherever they are.
 */
export function differenceOfRuns(
  before: Pick<RunConfig, "settings" | "inputs">,
  now: Pick<RunConfig, "settings" | "inputs">,
): string | null {
  const places = new Set<string>(PLACES);
  const settings = (run: Pick<RunConfig, "settings">): unknown =>
    Object.fromEntries(Object.entries(run.settings).filter(([key]) => !places.has(key)));
  return (
    firstDifference("settings", settings(before), settings(now)) ??
    firstDifference("inputs", withoutNames(before.inputs), withoutNames(now.inputs))
  );
}

/** Every {path, sha256} as its hash alone. */
function withoutNames(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNames);
  if (typeof value !== "object" || value === null) return value;
  if ("path" in value && "sha256" in value) return value.sha256;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, withoutNames(item)]));
}

/** "settings.lr was 0.0001, is 0.001", or null where the values are the same JSON. */
function firstDifference(name: string, before: unknown, now: unknown): string | null {
  const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null;
  if (!isRecord(before) || !isRecord(now)) {
    const was = JSON.stringify(before);
    const is = JSON.stringify(now);
    return was === is ? null : `${name} was ${was}, is ${is}`;
  }
  for (const key of new Set([...Object.keys(before), ...Object.keys(now)])) {
    const difference = firstDifference(`${name}.${key}`, before[key], now[key]);
    if (difference) return difference;
  }
  return null;
}

/** Removes what a kill left half-written. The caller holds the folder's lock. */
export function sweepRunFolder(folder: string): void {
  for (const part of [".", "checkpoint", "adapter"]) sweepStaged(join(folder, part));
}

export interface Log {
  path: string;
  write(record: LogRecord): void;
}

/**
 * Opens log.jsonl, cut back to the records of steps up to `step`: what came after the last saved state will be written
 * again.
 */
export function openLog(folder: string, step: number): Log {
  const path = join(folder, "log.jsonl");
  if (existsSync(path)) truncateSync(path, keptBytes(readFileSync(path), step));
  return { path, write: (record) => appendFileSync(path, `${JSON.stringify(record)}\n`) };
}

function keptBytes(text: Buffer, step: number): number {
  let begin = 0;
  for (;;) {
    const end = text.indexOf(10, begin);
    if (end < 0) return begin; // a line cut short by a kill goes too
    const record = parseRecord(text.toString("utf8", begin, end));
    if (!record || (typeof record["step"] === "number" && record["step"] > step)) return begin;
    begin = end + 1;
  }
}

function parseRecord(line: string): LogRecord | null {
  try {
    return JSON.parse(line) as LogRecord;
  } catch {
    return null;
  }
}

/** The records of a log; none where there is no file. */
export function readLog(path: string): LogRecord[] {
  if (!existsSync(path)) return [];
  const lines = readFileSync(path, "utf8").split("\n");
  return lines.flatMap((line) => parseRecord(line) ?? []);
}

/** Whether the run ended with its adapter written. */
export function isFinished(folder: string): boolean {
  const path = join(folder, "log.jsonl");
  if (!existsSync(path) || !existsSync(join(folder, "adapter", "adapter_config.json"))) return false;
  const last = readFileSync(path, "utf8").trimEnd().split("\n").at(-1);
  return last !== undefined && parseRecord(last)?.type === "done";
}
