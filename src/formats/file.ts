/** @file What lies at a path, without exceptions for paths that cannot be. */

import { type Stats, statSync } from "node:fs";
import { InputError } from "../errors.js";

/** What lies at `path`, links followed; undefined where nothing does or can (a parent that is a file, a loop of links, no permission). */
export function statOf(path: string): Stats | undefined {
  try {
    return statSync(path);
  } catch {
    return undefined;
  }
}

/** Throws InputError unless `path` is a plain file: opening a named pipe would block for ever. Returns its length in bytes. */
export function plainFileBytes(path: string): number {
  const stats = statOf(path);
  if (!stats) throw new InputError(`${path} does not exist`);
  if (!stats.isFile()) throw new InputError(`${path} is not a plain file`);
  return stats.size;
}
