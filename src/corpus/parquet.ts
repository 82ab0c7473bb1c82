/** @file Records of Parquet files. */

import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { type AsyncBuffer, parquetMetadataAsync, parquetReadObjects } from "hyparquet";
import { compressors } from "hyparquet-compressors";
import { InputError } from "../base/errors.js";
import { shortMessage } from "../tokenizer/files.js";
import type { RawRecord } from "./records.js";

/** A row group of more rows or bytes does not fit in memory, or its file is damaged. */
const MAX_GROUP_ROWS = 1 << 26;

/** The rows of a Parquet file, one row group in memory at a time. */
export async function* readParquet(path: string): AsyncGenerator<RawRecord> {
  const file = openSync(path, "r");
  let first = 0;
  try {
    const buffer = fileBuffer(file);
    const metadata = await parquetMetadataAsync(buffer);
    for (const group of metadata.row_groups) {
      const end = first + Number(group.num_rows);
      if (!(end >= first && end - first <= MAX_GROUP_ROWS)) throw new Error(`a row group of ${group.num_rows} rows`);
      const rows = await parquetReadObjects({ file: buffer, metadata, compressors, rowStart: first, rowEnd: end });
      for (const [i, row] of rows.entries()) {
        const line = first + i + 1;
        yield { value: plain(row), line, where: `${path} row ${line}` };
      }
      first = end;
    }
  } catch (error) {
    if (error instanceof InputError) throw error;
    throw new InputError(`${path}: not readable as Parquet after row ${first}: ${shortMessage(error)}`);
  } finally {
    closeSync(file);
  }
}

/** Positioned reads, which end with the call: nothing goes on reading after an error. */
function fileBuffer(file: number): AsyncBuffer {
  const byteLength = fstatSync(file).size;
  const slice = (start: number, end = byteLength): Promise<ArrayBuffer> => {
    if (!(start >= 0 && start <= end && end <= byteLength)) {
      throw new Error(`bytes ${start} to ${end} of a file of ${byteLength}`);
    }
    const bytes = new Uint8Array(end - start);
    readSync(file, bytes, 0, bytes.length, start);
    return quiet(Promise.resolve(bytes.buffer));
  };
  return { byteLength, slice };
}

/**
 * hyparquet (1.31) starts all columns of a group and waits for none of them when one is found to be damaged; another
 * one that fails after that would be an unhandled rejection, which ends the process. So what is chained to a read
 * counts as handled.
 */
function quiet<T>(promise: Promise<T>): Promise<T> {
  const chain = Promise.prototype.then.bind(promise) as typeof promise.then;
  // biome-ignore lint/suspicious/noThenProperty: it is a promise, and stays one
  promise.then = ((...handlers: Parameters<typeof chain>) => {
    const next = chain(...handlers) as Promise<unknown>;
    next.catch(() => undefined);
    return quiet(next);
  }) as typeof promise.then;
  return promise;
}

/**
 * 64-bit integers as numbers: token ids are small, and JSON has no others. Fields that are null are left out at every
 * depth: a struct has the fields of all rows, so null says that this row has none (items of lists stay).
 */
function plain(value: unknown): unknown {
  if (typeof value === "bigint") return Number(value);
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== "object" || value === null || value instanceof Date) return value;
  if (ArrayBuffer.isView(value)) return Array.from(value as unknown as ArrayLike<unknown>, plain);
  const present = Object.entries(value).filter(([, item]) => item !== null && item !== undefined);
  return Object.fromEntries(present.map(([key, item]) => [key, plain(item)]));
}
