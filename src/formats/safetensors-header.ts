/** @file The header of a safetensors file: 8 bytes of length, then JSON; the tensors' bytes follow without gaps. */

import { z } from "zod";
import { InputError } from "../base/errors.js";
import { checkJson, checkJsonKeys, formatValue, parseJson } from "../base/json.js";

/** The reference implementation's limit; a header of a 10,000-tensor checkpoint is about 1 MB. */
export const MAX_HEADER_BYTES = 100_000_000;

/** PyTorch's own limit on dimensions; a header may not make us build longer lists. */
const MAX_RANK = 64;

/**
 * Bits an element, in the reference implementation's order, which is also the order (last first) of tensors in a file.
 */
const DTYPE_BITS: Record<string, number> = {
  BOOL: 8,
  F4: 4,
  F6_E2M3: 6,
  F6_E3M2: 6,
  U8: 8,
  I8: 8,
  F8_E5M2: 8,
  F8_E4M3: 8,
  F8_E8M0: 8,
  F8_E4M3FNUZ: 8,
  F8_E5M2FNUZ: 8,
  I16: 16,
  U16: 16,
  F16: 16,
  BF16: 16,
  I32: 32,
  U32: 32,
  F32: 32,
  C64: 64,
  F64: 64,
  I64: 64,
  U64: 64,
};
const DTYPE_ORDER = Object.keys(DTYPE_BITS);

/** One tensor of a file. `byteOffset` counts from the first byte after the header. */
export interface TensorEntry {
  dtype: string;
  shape: readonly number[];
  byteOffset: number;
  byteLength: number;
}

export interface SafetensorsHeader {
  /** In the order of their bytes. */
  tensors: Map<string, TensorEntry>;
  metadata: Record<string, string>;
}

const count = z.custom<number>(
  (value) => Number.isSafeInteger(value) && (value as number) >= 0 && !Object.is(value, -0),
  "needs whole numbers from 0 to 2^53",
);
const metadataSchema = z.record(z.string(), z.string("needs text values"), "must map names to text");
const entrySchema = z.strictObject(
  {
    dtype: z.string("must be the name of a dtype"),
    shape: z.array(count, "must be a list of sizes"),
    data_offsets: z.tuple([count, count], "must be [begin, end]"),
  },
  "must be {dtype, shape, data_offsets}",
);

/**
 * Bytes of `shape` in `dtype`. Throws InputError on an unknown dtype, an overflow or a broken byte; `where` names
 * tensor and file.
 */
export function tensorBytes(dtype: string, shape: readonly number[], where: string): number {
  const bits = Object.hasOwn(DTYPE_BITS, dtype) ? DTYPE_BITS[dtype]! : undefined;
  if (bits === undefined) throw new InputError(`${where}: unknown dtype ${formatValue(dtype)}`);
  let product = bits;
  for (const dim of shape) {
    product *= dim;
    if (!Number.isSafeInteger(product)) throw new InputError(`${where}: shape ${formatValue(shape)} overflows`);
  }
  if (product % 8 !== 0)
    throw new InputError(`${where}: shape ${formatValue(shape)} of ${dtype} does not fill whole bytes`);
  return product / 8;
}

/**
 * Parses header `text` of the file `where`, whose tensors take `dataBytes` bytes. Throws InputError on anything the
 * format forbids.
 */
export function parseHeader(text: string, dataBytes: number, where: string): SafetensorsHeader {
  if (!text.startsWith("{"))
    throw new InputError(`${where}: the header is not a JSON object; is this a safetensors file?`);
  checkJsonKeys(text, 3, where); // file, tensor, shape
  const json = parseJson(text, `${where}: the header`) as Record<string, unknown>;
  let metadata: Record<string, string> = {};
  const entries: [string, TensorEntry][] = [];
  for (const [name, value] of Object.entries(json)) {
    const place = `${where}: ${formatValue(name)}`;
    if (name === "__metadata__") metadata = checkJson(metadataSchema, value, place);
    else entries.push([name, parseEntry(value, place, dataBytes)]);
  }
  entries.sort(([, a], [, b]) => a.byteOffset - b.byteOffset || a.byteLength - b.byteLength);
  let end = 0;
  let before = "the header";
  for (const [name, entry] of entries) {
    const fault = entry.byteOffset < end ? "overlaps" : "leaves a gap after";
    if (entry.byteOffset !== end) {
      throw new InputError(
        `${where}: tensor ${formatValue(name)} begins at ${entry.byteOffset} and ${fault} ${before}, which ends ` +
          `at ${end}`,
      );
    }
    end += entry.byteLength;
    before = formatValue(name);
  }
  if (end !== dataBytes) {
    throw new InputError(
      `${where}: ${dataBytes} bytes follow the header but its tensors take ${end}; the file is damaged or cut short`,
    );
  }
  return { tensors: new Map(entries), metadata };
}

function parseEntry(value: unknown, where: string, dataBytes: number): TensorEntry {
  const dims = (value as { shape?: unknown } | null)?.shape;
  if (Array.isArray(dims) && dims.length > MAX_RANK)
    throw new InputError(`${where}: a shape of ${dims.length} dimensions`);
  const { dtype, shape, data_offsets } = checkJson(entrySchema, value, where);
  const [begin, end] = data_offsets;
  if (begin > end) throw new InputError(`${where}: data_offsets [${begin},${end}] end before they begin`);
  if (end > dataBytes) {
    throw new InputError(
      `${where}: data_offsets [${begin},${end}] end past the file's ${dataBytes} bytes of tensors; it may be cut short`,
    );
  }
  const byteLength = tensorBytes(dtype, shape, where);
  if (end - begin !== byteLength) {
    throw new InputError(
      `${where}: shape ${formatValue(shape)} of ${dtype} takes ${byteLength} bytes, data_offsets give ${end - begin}`,
    );
  }
  return { dtype, shape, byteOffset: begin, byteLength };
}

/**
 * Orders tensors as the reference implementation writes them: larger dtypes first (so that all are aligned), then by
 * name.
 */
export function compareTensors(a: { name: string; dtype: string }, b: { name: string; dtype: string }): number {
  const rank = DTYPE_ORDER.indexOf(b.dtype) - DTYPE_ORDER.indexOf(a.dtype);
  return rank || Buffer.compare(Buffer.from(a.name), Buffer.from(b.name));
}

/**
 * The bytes before the first tensor: length and JSON, padded with spaces to a multiple of 8. `tensors` are in file
 * order.
 */
export function formatHeader(
  tensors: Iterable<readonly [string, TensorEntry]>,
  metadata: Record<string, string>,
): Uint8Array {
  const parts: string[] = [];
  if (Object.keys(metadata).length > 0) parts.push(`"__metadata__":${JSON.stringify(metadata)}`);
  for (const [name, { dtype, shape, byteOffset, byteLength }] of tensors) {
    const entry = { dtype, shape, data_offsets: [byteOffset, byteOffset + byteLength] };
    parts.push(`${JSON.stringify(name)}:${JSON.stringify(entry)}`);
  }
  const json = Buffer.from(`{${parts.join(",")}}`);
  const padded = Math.ceil(json.byteLength / 8) * 8;
  const header = Buffer.alloc(8 + padded, " ");
  header.writeBigUInt64LE(BigInt(padded));
  json.copy(header, 8);
  return header;
}
