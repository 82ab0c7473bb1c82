/** @file Data files: which ones, their hashes, their records. */

import { createReadStream, existsSync, type ReadStream, statSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { isAbsolute } from "node:path";
import { createGunzip, type Gunzip } from "node:zlib";
import { glob, isDynamicPattern } from "tinyglobby";
import { InputError } from "../errors.js";
import { hashFile } from "../formats/hash.js";
import { resolveDataset } from "../formats/hub.js";
import { parseJson } from "../formats/json.js";
import { readLines } from "./lines.js";
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
  /** Resolves `hf://` arguments to files. */
  resolve?: (url: string) => Promise<string[]>;
}

const READERS: [suffix: string, read: (path: string) => AsyncIterable<RawRecord>][] = [
  [".jsonl", (path) => readJsonl(path, false)],
  [".jsonl.gz", (path) => readJsonl(path, true)],
  [".json", readJsonList],
  [".parquet", readParquet],
];
/** A JSON list is read at once; larger data belongs into JSONL. */
const MAX_JSON_BYTES = 500_000_000;

/** The files that `--data` arguments name, with their hashes: paths, wildcards (sorted) and hf:// data sets. */
export async function openDataFiles(
  args: readonly string[],
  { option = "--data", resolve = resolveDataset }: DataFileOptions = {},
): Promise<DataFile[]> {
  const files: DataFile[] = [];
  for (const arg of args)
    for (const path of await expand(arg, option, resolve)) files.push({ path, sha256: await hashFile(path) });
  return files;
}

async function expand(arg: string, option: string, resolve: (url: string) => Promise<string[]>): Promise<string[]> {
  if (arg.startsWith("hf://")) return resolve(arg);
  if (existsSync(arg)) {
    if (statSync(arg).isFile()) return [checkSuffix(arg, option)];
    throw new InputError(`${option} ${arg}: is a folder; name its files, for example "${arg}/*.jsonl"`);
  }
  if (!isDynamicPattern(arg)) throw new InputError(`${option} ${arg}: no such file`);
  const paths = await glob(arg, { absolute: isAbsolute(arg), expandDirectories: false });
  if (paths.length === 0) throw new InputError(`${option} ${arg}: matches no file`);
  // By code units: the same order on every machine.
  return paths.sort().map((path) => checkSuffix(path, option));
}

function checkSuffix(path: string, option: string): string {
  if (READERS.some(([suffix]) => path.endsWith(suffix))) return path;
  throw new InputError(
    `${option} ${path}: unknown kind of file; known are ${READERS.map(([suffix]) => suffix).join(", ")}`,
  );
}

/** The records of a data file one after the other; a file that is broken somewhere is an InputError that names the place. */
export function readRecords(path: string): AsyncIterable<RawRecord> {
  const [, read] = READERS.find(([suffix]) => checkSuffix(path, "--data").endsWith(suffix))!;
  return read(path);
}

async function* readJsonl(path: string, zipped: boolean): AsyncGenerator<RawRecord> {
  const file = createReadStream(path);
  for await (const { text, line } of readLines(zipped ? unzip(file) : file, path)) {
    const where = `${path} line ${line}`;
    yield { value: parseJson(text, where), line, where };
  }
}

function unzip(file: ReadStream): Gunzip {
  const bytes = createGunzip();
  // pipe does not hand on errors of the file.
  file.on("error", (error) => bytes.destroy(error));
  return file.pipe(bytes);
}

async function* readJsonList(path: string): AsyncGenerator<RawRecord> {
  const bytes = await readFile(path);
  if (bytes.length > MAX_JSON_BYTES)
    throw new InputError(`${path}: ${bytes.length} bytes are too many for .json; use .jsonl`);
  const list = parseJson(bytes.toString("utf8"), path);
  if (!Array.isArray(list))
    throw new InputError(`${path}: a .json file must hold a list of records (or be named .jsonl)`);
  for (const [i, value] of list.entries()) yield { value, line: i + 1, where: `${path} record ${i + 1}` };
}
