/**
 * @file A run's log as a TensorBoard event file: records (length, data, each with a masked CRC-32C, as TFRecord) of
 * Event messages, which are written out in protobuf's wire format.
 */
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { stageFile, writeAll } from "../base/atomic.js";
import { readSteps, type ShownStep } from "./steps.js";

/**
 * Writes the steps of `runFolder`/log.jsonl as one file in `folder`, in place of what was there of this run; false
 * where there is no log. `wallTime`: seconds since 1970.
 */
export async function writeTensorboard(runFolder: string, folder: string, wallTime: number): Promise<boolean> {
  if (!existsSync(join(runFolder, "log.jsonl"))) return false;
  const steps = readSteps(runFolder);
  mkdirSync(folder, { recursive: true });
  // TensorBoard wants a time in the name, and reads files in the order of their names.
  const path = join(folder, "events.out.tfevents.0000000000.train-msm");
  (await stageFile(path, (fd) => writeAll(fd, eventFile(steps, wallTime)))).commit();
  return true;
}

/** The bytes of an event file. */
export function eventFile(steps: readonly ShownStep[], wallTime: number): Uint8Array {
  const time = double(1, wallTime);
  const version = record(Buffer.concat([time, bytes(3, Buffer.from("brain.Event:2"))]));
  const events = steps.map(({ step, metrics }) => {
    const values = Object.entries(metrics).map(([tag, value]) =>
      bytes(1, Buffer.concat([bytes(1, Buffer.from(tag)), float(2, value)])),
    );
    return record(Buffer.concat([time, varintField(2, step), bytes(5, Buffer.concat(values))]));
  });
  return Buffer.concat([version, ...events]);
}

function record(data: Buffer): Buffer {
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(data.length));
  return Buffer.concat([length, maskedCrc(length), data, maskedCrc(data)]);
}

function maskedCrc(data: Uint8Array): Buffer {
  const crc = crc32c(data);
  const out = Buffer.alloc(4);
  out.writeUInt32LE((((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0);
  return out;
}

/** CRC-32 with Castagnoli's polynomial, as RFC 3720 has it. */
export function crc32c(data: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of data) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0);
  }
  return (crc ^ 0xffffffff) >>> 0;
}

function varint(value: number): Buffer {
  const out: number[] = [];
  let rest = value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) out.push((rest % 128) | 128);
  return Buffer.from([...out, rest]);
}

const varintField = (field: number, value: number): Buffer => Buffer.concat([varint(field * 8), varint(value)]);
const bytes = (field: number, value: Buffer): Buffer =>
  Buffer.concat([varint(field * 8 + 2), varint(value.length), value]);

function double(field: number, value: number): Buffer {
  const out = Buffer.alloc(8);
  out.writeDoubleLE(value);
  return Buffer.concat([varint(field * 8 + 1), out]);
}

function float(field: number, value: number): Buffer {
  const out = Buffer.alloc(4);
  out.writeFloatLE(value);
  return Buffer.concat([varint(field * 8 + 5), out]);
}
