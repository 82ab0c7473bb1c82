/** @file Data files: which ones, their hashes, their records. */

import { createReadStream, existsSync, type ReadStream, statSync } from "node:fs";
import { join, sep } from "node:path";
import { createGunzip, type Gunzip } from "node:zlib";
import { glob, isDynamicPattern } from "tinyglobby";
import { InputError } from "../base/errors.js";
import { hashFile } from "../base/hash.js";
import { loadText, parseOrderedJson } from "../base/json.js";
import { resolveDataset } from "../formats/hub/hub.js";
import { raise, readLines } from "./lines.js";
import { readParquet } from "./parquet.js";
import type { RawRecord } from "./records.js";

/** A data file of a run, for its config. */
export interface DataFile {
  path: string;
  sha256: string;
}

export interface DataFileOptions {
  /** The option that named them, for messages. */
  option?: string;
  /** Files of any kind, not only those that `readRecords` reads. */
  anyKind?: boolean;
  /** Resolves `hf://` arguments to files. */
  resolve?: (url: string) => Promise<string[]>;
}

/** What becomes of an error of one row: thrown, it ends the reading; otherwise the row is left out. */
type OnBadRow = (error: unknown) => void;

const READERS: [suffix: string, read: (path: string, onBadRow: OnBadRow) => AsyncIterable<RawRecord>][] = [
  [".jsonl", (path, onBadRow) => readJsonl(path, false, onBadRow)],
  [".jsonl.gz", (path, onBadRow) => readJsonl(path, true, onBadRow)],
  [".json", readJsonList],
  [".parquet", readParquet],
  [".txt", readDocument],
  [".md", readDocument],
];
/** A JSON list is read at once; larger data belongs into JSONL. */
const MAX_JSON_BYTES = 500_000_000;

/** The files that `--data` arguments name, with their hashes: paths, wildcards (sorted) and hf:// data sets. */
export async function openDataFiles(
  args: readonly string[],
  { option = "--data", anyKind = false, resolve = resolveDataset }: DataFileOptions = {},
): Promise<DataFile[]> {
  const files: DataFile[] = [];
  for (const arg of args) {
    const paths = await expand(arg, option, resolve);
    if (!anyKind) for (const path of paths) checkSuffix(path, `${option} ${path}`);
    for (const path of paths) files.push({ path, sha256: await hashFile(path) });
  }
  return files;
}

async function expand(arg: string, option: string, resolve: (url: string) => Promise<string[]>): Promise<string[]> {
  if (arg.startsWith("hf://")) return resolve(arg);
  if (existsSync(arg)) {
    if (statSync(arg).isFile()) return [arg];
    throw new InputError(`${option} ${arg}: is a folder; name its files, for example "${arg}/*.jsonl"`);
  }
  if (!isDynamicPattern(arg)) throw new InputError(`${option} ${arg}: no such file`);
  const { folder, pattern } = splitPattern(arg);
  const matches = await glob(pattern, { cwd: folder || ".", expandDirectories: false });
  const paths = matches.map((path) => join(folder, path));
  if (paths.length === 0) throw new InputError(`${option} ${arg}: matches no file`);
  // By code units: the same order on every machine.
  return paths.sort();
}

/** The folders that exist as they are written, with whatever is in their names, and what is left to match. */
function splitPattern(arg: string): { folder: string; pattern: string } {
  const parts = arg.split(sep);
  let literal = 1;
  while (literal < parts.length - 1 && existsSync(parts.slice(0, literal + 1).join(sep))) literal++;
  if (!existsSync(parts.slice(0, literal).join(sep) || sep)) literal = 0;
  const folder = parts.slice(0, literal).join(sep);
  return { folder: literal > 0 && folder === "" ? sep : folder, pattern: parts.slice(literal).join(sep) };
}

function checkSuffix(path: string, where: string): string {
  if (READERS.some(([suffix]) => path.endsWith(suffix))) return path;
  throw new InputError(`${where}: unknown kind of file; known are ${READERS.map(([suffix]) => suffix).join(", ")}`);
}

/**
 * The records of a data file one after the other; a file that is broken somewhere is an InputError that names the
 * place.
 */
export function readRecords(path: string, onBadRow: OnBadRow = raise): AsyncIterable<RawRecord> {
  const [, read] = READERS.find(([suffix]) => checkSuffix(path, path).endsWith(suffix))!;
  return read(path, onBadRow);
}

async function* readJsonl(path: string, zipped: boolean, onBadRow: OnBadRow): AsyncGenerator<RawRecord> {
  const file = createReadStream(path);
  for await (const { text, line } of readLines(zipped ? unzip(file) : file, path, onBadRow)) {
    const where = `${path} line ${line}`;
    let value: unknown;
    try {
      value = parseOrderedJson(text, where);
    } catch (error) {
      onBadRow(error);
      continue;
    }
    yield { value, line, where };
  }
}

/** A file of plain text or Markdown is one document. */
async function* readDocument(path: string, onBadRow: OnBadRow): AsyncGenerator<RawRecord> {
  let text: string;
  try {
    text = loadText(path, MAX_JSON_BYTES);
    if (text.trim() === "") throw new InputError(`${path}: is empty; a text file is one document`);
  } catch (error) {
    onBadRow(error);
    return;
  }
  yield { value: { text }, line: 1, where: path };
}

function unzip(file: ReadStream): Gunzip {
  const bytes = createGunzip();
  // pipe does not hand on errors of the file.
  file.on("error", (error) => bytes.destroy(error));
  return file.pipe(bytes);
}

async function* readJsonList(path: string): AsyncGenerator<RawRecord> {
  const { size } = statSync(path);
  if (size > MAX_JSON_BYTES) throw new InputError(`${path}: ${size} bytes are too many for .json; use .jsonl`);
  const text = loadText(path, MAX_JSON_BYTES);
  if (holdsLines(text)) throw new InputError(`${path}: holds one record a line: name it .jsonl`);
  const list = parseOrderedJson(text, path);
  if (!Array.isArray(list)) throw new InputError(`${path}: a .json file must hold a list of records`);
  for (const [i, value] of list.entries()) yield { value, line: i + 1, where: `${path} record ${i + 1}` };
}

/** Whether the first line is an object by itself, and not the last one. */
function holdsLines(text: string): boolean {
  const first = text.trimStart().split("\n", 1)[0]!;
  if (!first.startsWith("{") || first.length === text.trim().length) return false;
  try {
    JSON.parse(first);
    return true;
  } catch {
    return false;
  }
}
