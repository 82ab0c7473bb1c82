/** @file What lies at a path, without exceptions for paths that cannot be. */

import { mkdirSync, type Stats, statSync } from "node:fs";
import { dirname } from "node:path";
import { InputError } from "./errors.js";

/**
 * What lies at `path`, links followed; undefined where nothing does or can (a parent that is a file, a loop of links,
 * no permission).
 */
export function statOf(path: string): Stats | undefined {
  try {
    return statSync(path);
  } catch {
    return undefined;
  }
}

/**
 * Throws InputError unless `path` is a plain file: opening a named pipe would block for ever. Returns its length in
 * bytes.
 */
export function plainFileBytes(path: string): number {
  const stats = statOf(path);
  if (!stats) throw new InputError(`${path} does not exist`);
  if (!stats.isFile()) throw new InputError(`${path} is not a plain file`);
  return stats.size;
}

/**
 * Makes `path` a folder, with those above it. Node's own recursion does not end, and takes all memory, where a parent
 * cannot hold folders (/proc).
 */
export function makeFolder(path: string): void {
  if (statOf(path)?.isDirectory()) return;
  const parent = dirname(path);
  if (parent !== path) makeFolder(parent);
  try {
    mkdirSync(path);
  } catch (error) {
    // Another process may have made it.
    if (!statOf(path)?.isDirectory()) throw error;
  }
}
