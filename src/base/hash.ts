/** @file Content hashes, so that a run knows what it was made from. */
import { createHash } from "node:crypto";
import { createReadStream, realpathSync, statSync } from "node:fs";
import { basename, dirname } from "node:path";
import { InputError, messageOf } from "./errors.js";

/**
 * Of files hashed by this process, by name and what changes when a file does: the stages of an experiment share model
 * and data.
 */
const known = new Map<string, string>();

/** SHA-256 of a file, in hex. A large file in the hub cache is named by it already. */
export async function hashFile(path: string): Promise<string> {
  try {
    const real = realpathSync(path);
    if (basename(dirname(real)) === "blobs" && /^[0-9a-f]{64}$/.test(basename(real))) return basename(real);
    const key = fileVersion(real);
    const hex = known.get(key) ?? (await readHash(real));
    known.set(key, hex);
    return hex;
  } catch (error) {
    throw new InputError(`${path}: cannot be read: ${messageOf(error)}`);
  }
}

/** Name of a file, and what changes when it does. */
export function fileVersion(path: string): string {
  const { size, mtimeMs, ino } = statSync(path);
  return `${path} ${size} ${mtimeMs} ${ino}`;
}

async function readHash(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(chunk as Buffer);
  return hash.digest("hex");
}
