/**
 * @file Files that appear whole or not at all: written under a temporary name in the same folder, synced, then renamed.
 */

import { closeSync, existsSync, fsyncSync, openSync, readdirSync, renameSync, rmSync, writeSync } from "node:fs";
import { dirname, join } from "node:path";
import { RunError } from "./errors.js";

/** A file written under a temporary name: `commit` gives it its own, `discard` deletes it. */
export interface StagedFile {
  commit(): void;
  discard(): void;
}

/**
 * Writes `path` under a temporary name and syncs it to disk. `write` gets an open descriptor. The temporary file goes
 * where it throws.
 */
export async function stageFile(path: string, write: (fd: number) => void | Promise<void>): Promise<StagedFile> {
  const staged = `${path}.${process.pid}.tmp`;
  const discard = () => rmSync(staged, { force: true });
  const fd = openSync(staged, "w");
  try {
    await write(fd);
    fsyncSync(fd);
  } catch (error) {
    closeSync(fd);
    discard();
    throw (error as NodeJS.ErrnoException).code === "ENOSPC"
      ? new RunError(`${path}: no space is left on the device; make some, and the same command goes on`)
      : error;
  }
  closeSync(fd);
  const commit = () => {
    renameSync(staged, path);
    syncFolder(dirname(path));
  };
  return { commit, discard };
}

/**
 * Deletes what killed processes staged in `folder` and never committed. The caller makes sure that no process is
 * writing there.
 */
export function sweepStaged(folder: string): void {
  if (!existsSync(folder)) return;
  for (const name of readdirSync(folder)) if (/\.\d+\.tmp$/.test(name)) rmSync(join(folder, name), { force: true });
}

/** All of `bytes` at the descriptor's place (a single write may be cut short). */
export function writeAll(fd: number, bytes: Uint8Array): void {
  // One system call moves under 2 GiB.
  const CALL_BYTES = 1 << 30;
  for (let at = 0; at < bytes.byteLength; ) {
    at += writeSync(fd, bytes, at, Math.min(bytes.byteLength - at, CALL_BYTES));
  }
}

/** Makes a rename in `folder` survive a power cut. Not every file system can; those that cannot lose nothing by it. */
function syncFolder(folder: string): void {
  try {
    const fd = openSync(folder, "r");
    try {
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
  } catch {
    // Windows and some network file systems refuse to sync a folder.
  }
}

/** Writes a small file whole or not at all. */
export async function writeTextFile(path: string, text: string): Promise<void> {
  (await stageFile(path, (fd) => writeAll(fd, new TextEncoder().encode(text)))).commit();
}
