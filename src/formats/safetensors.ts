/** @file safetensors files: opened by reading the header only, tensors read by position, written as a stream. */

import { closeSync, fstatSync, openSync, read as readCallback, readSync } from "node:fs";
import { promisify } from "node:util";
import { type StagedFile, stageFile, writeAll } from "../base/atomic.js";
import { InputError, messageOf } from "../base/errors.js";
import { plainFileBytes } from "../base/file.js";
import { formatValue } from "../base/json.js";
import {
  compareTensors,
  formatHeader,
  MAX_HEADER_BYTES,
  parseHeader,
  type SafetensorsHeader,
  type TensorEntry,
  tensorBytes,
} from "./safetensors-header.js";

/** One system call moves under 2 GiB. */
const CALL_BYTES = 1 << 30;

/** An open safetensors file. */
export interface SafetensorsFile extends SafetensorsHeader {
  path: string;
  /**
   * Reads `byteLength` bytes (default: what `target` holds) of tensor `name` from `byteOffset` within it into the start
   * of `target`, so that a large tensor can be streamed in pieces. Throws InputError on an unknown name or a file cut
   * short.
   */
  readInto(name: string, target: Uint8Array, byteOffset?: number, byteLength?: number): void;
  /** `readInto` on another thread; several may be under way. The file stays open until they are done. */
  readIntoAsync(name: string, target: Uint8Array, byteOffset?: number, byteLength?: number): Promise<void>;
  /** The whole tensor `name` in a fresh buffer. */
  read(name: string): Uint8Array;
  close(): void;
}

/** Opens `path` and checks its whole header. Throws InputError naming the file and what is wrong. */
export function openSafetensors(path: string): SafetensorsFile {
  plainFileBytes(path);
  const fd = openToRead(path);
  try {
    const { header, dataStart } = readHeader(fd, path);
    return opened(path, fd, dataStart, header);
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

function openToRead(path: string): number {
  try {
    return openSync(path, "r");
  } catch (error) {
    throw new InputError(`${path} cannot be opened (${messageOf(error)})`);
  }
}

function readHeader(fd: number, path: string): { header: SafetensorsHeader; dataStart: number } {
  const fileBytes = fstatSync(fd).size;
  if (fileBytes < 8) throw new InputError(`${path}: ${fileBytes} bytes are too few for a safetensors file`);
  const prefix = Buffer.alloc(8);
  readExactly(fd, prefix, 0, 8, 0, path);
  const headerBytes = prefix.readBigUInt64LE();
  if (headerBytes > MAX_HEADER_BYTES) {
    throw new InputError(
      `${path}: a header of ${headerBytes} bytes is over the limit of ${MAX_HEADER_BYTES}; is this a safetensors file?`,
    );
  }
  const dataStart = 8 + Number(headerBytes);
  // Before anything of that length is allocated.
  if (dataStart > fileBytes) {
    throw new InputError(
      `${path}: the header takes ${headerBytes} bytes but the file has ${fileBytes}; it is cut short`,
    );
  }
  const bytes = new Uint8Array(dataStart - 8);
  readExactly(fd, bytes, 0, bytes.byteLength, 8, path);
  return { header: parseHeader(decodeUtf8(bytes, path), fileBytes - dataStart, path), dataStart };
}

function decodeUtf8(bytes: Uint8Array, path: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new InputError(`${path}: the header is not UTF-8; is this a safetensors file?`);
  }
}

function opened(path: string, fd: number, dataStart: number, header: SafetensorsHeader): SafetensorsFile {
  let isOpen = true;
  const entryOf = (name: string): TensorEntry => {
    const entry = header.tensors.get(name);
    if (!entry) throw new InputError(`${path} has no tensor ${formatValue(name)}`);
    return entry;
  };
  /** Position in the file of bytes of a tensor that fit into `target`. */
  const positionOf = (name: string, target: Uint8Array, byteOffset: number, byteLength: number): number => {
    const entry = entryOf(name);
    if (!isOpen) throw new Error(`${path} is closed`);
    const inside = byteOffset >= 0 && byteLength >= 0 && byteOffset + byteLength <= entry.byteLength;
    if (!inside || byteLength > target.byteLength) {
      throw new RangeError(
        `${path}: bytes ${byteOffset} + ${byteLength} of ${name} (${entry.byteLength} bytes) into ${target.byteLength}`,
      );
    }
    return dataStart + entry.byteOffset + byteOffset;
  };
  const readInto: SafetensorsFile["readInto"] = (name, target, byteOffset = 0, byteLength = target.byteLength) =>
    readExactly(fd, target, 0, byteLength, positionOf(name, target, byteOffset, byteLength), path);
  const readIntoAsync: SafetensorsFile["readIntoAsync"] = async (
    name,
    target,
    byteOffset = 0,
    byteLength = target.byteLength,
  ) => readExactlyAsync(fd, target, byteLength, positionOf(name, target, byteOffset, byteLength), path);
  const read = (name: string): Uint8Array => {
    const target = new Uint8Array(entryOf(name).byteLength);
    readInto(name, target);
    return target;
  };
  const close = () => {
    if (isOpen) closeSync(fd);
    isOpen = false;
  };
  return { path, ...header, readInto, readIntoAsync, read, close };
}

function readExactly(
  fd: number,
  target: Uint8Array,
  at: number,
  byteLength: number,
  position: number,
  path: string,
): void {
  for (let done = 0; done < byteLength; ) {
    const moved = readSync(fd, target, at + done, Math.min(byteLength - done, CALL_BYTES), position + done);
    if (moved === 0) throw cutShort(path, position + done);
    done += moved;
  }
}

const readPromise = promisify(readCallback);

async function readExactlyAsync(
  fd: number,
  target: Uint8Array,
  byteLength: number,
  position: number,
  path: string,
): Promise<void> {
  for (let done = 0; done < byteLength; ) {
    const length = Math.min(byteLength - done, CALL_BYTES);
    const { bytesRead } = await readPromise(fd, target, done, length, position + done);
    if (bytesRead === 0) throw cutShort(path, position + done);
    done += bytesRead;
  }
}

function cutShort(path: string, position: number): InputError {
  return new InputError(`${path} ended at byte ${position} while it was being read`);
}

/** A tensor to write: its bytes, or a function that yields them in pieces so that they never lie in memory at once. */
export interface TensorSource {
  name: string;
  dtype: string;
  shape: readonly number[];
  bytes: Uint8Array | (() => Iterable<Uint8Array> | AsyncIterable<Uint8Array>);
}

/**
 * Writes a safetensors file in the order and alignment of the reference implementation, under a temporary name that is
 * synced and renamed, so that `path` is never half a file. Throws InputError on a duplicate or impossible tensor.
 */
export async function writeSafetensors(
  path: string,
  tensors: Iterable<TensorSource>,
  metadata: Record<string, string> = {},
): Promise<void> {
  (await stageSafetensors(path, tensors, metadata)).commit();
}

/** `writeSafetensors` up to the rename, for files that must appear together. */
export async function stageSafetensors(
  path: string,
  tensors: Iterable<TensorSource>,
  metadata: Record<string, string> = {},
): Promise<StagedFile> {
  const sources = [...tensors].sort(compareTensors);
  const entries = new Map<string, TensorEntry>();
  let byteOffset = 0;
  for (const { name, dtype, shape } of sources) {
    if (entries.has(name) || name === "__metadata__")
      throw new InputError(`${path}: tensor ${formatValue(name)} given twice or reserved`);
    const byteLength = tensorBytes(dtype, shape, `${path}: ${formatValue(name)}`);
    entries.set(name, { dtype, shape, byteOffset, byteLength });
    byteOffset += byteLength;
  }
  return stageFile(path, async (fd) => {
    writeAll(fd, formatHeader(entries, metadata));
    for (const { name, bytes } of sources) {
      let written = 0;
      for await (const piece of bytes instanceof Uint8Array ? [bytes] : bytes()) {
        written += piece.byteLength;
        writeAll(fd, piece);
      }
      const expected = entries.get(name)!.byteLength;
      if (written !== expected) throw new RangeError(`${path}: ${name} takes ${expected} bytes, got ${written}`);
    }
  });
}
