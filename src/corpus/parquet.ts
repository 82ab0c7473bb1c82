/** @file Records of Parquet files. */

import { asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects } from "hyparquet";
import { compressors } from "hyparquet-compressors";
import { InputError, messageOf } from "../errors.js";
import type { RawRecord } from "./files.js";

/** The rows of a Parquet file, one row group in memory at a time. */
export async function* readParquet(path: string): AsyncGenerator<RawRecord> {
  let first = 0;
  try {
    const file = await asyncBufferFromFile(path);
    const metadata = await parquetMetadataAsync(file);
    for (const group of metadata.row_groups) {
      const end = first + Number(group.num_rows);
      const rows = await parquetReadObjects({ file, metadata, compressors, rowStart: first, rowEnd: end });
      for (const [i, row] of rows.entries()) {
        const line = first + i + 1;
        yield { value: plain(row), line, where: `${path} row ${line}` };
      }
      first = end;
    }
  } catch (error) {
    if (error instanceof InputError) throw error;
    throw new InputError(`${path}: not readable as Parquet after row ${first}: ${messageOf(error)}`);
  }
}

/** 64-bit integers as numbers: token ids are small, and JSON has no others. */
function plain(value: unknown): unknown {
  if (typeof value === "bigint") return Number(value);
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== "object" || value === null || value instanceof Date) return value;
  if (ArrayBuffer.isView(value)) return Array.from(value as unknown as ArrayLike<unknown>, plain);
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item)]));
}
