/** @file One process per run folder, by the kernel's file lock: it ends with the process, however that ends. */
import { closeSync, existsSync, fstatSync, openSync, readdirSync, rmdirSync, unlinkSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import koffi from "koffi";
import { InputError, messageOf } from "../base/errors.js";
import { makeFolder, statOf } from "../base/file.js";

const LOCK_EX = 2;
const LOCK_NB = 4;
const NAME = "lock";

/**
 * Locks `folder` until the returned function is called or the process ends. Where nothing was written meanwhile, lock
 * and folder go again. Throws InputError where another process holds it.
 */
export function lockFolder(folder: string): () => void {
  const made = missingFolders(folder);
  const before = namesIn(folder);
  const fd = openLock(folder);
  const flock = koffi.load(null).func("int flock(int fd, int operation)");
  // A lock that its holder has just removed is nobody's.
  const isTaken = flock(fd, LOCK_EX | LOCK_NB) !== 0 || statOf(join(folder, NAME))?.ino !== fstatSync(fd).ino;
  if (isTaken) {
    closeSync(fd);
    throw new InputError(`${folder} is in use by another process: wait for it, or give another --out`);
  }
  return () => {
    const written = namesIn(folder).filter((name) => name !== NAME);
    if (!before.includes(NAME) && written.join("/") === before.join("/")) removeLock(folder, made);
    closeSync(fd);
  };
}

/** `folder` and those above it that are not there, the innermost first. */
function missingFolders(folder: string): string[] {
  const missing: string[] = [];
  for (let path = resolve(folder); !existsSync(path); path = dirname(path)) missing.push(path);
  return missing;
}

function namesIn(folder: string): string[] {
  return statOf(folder)?.isDirectory() ? readdirSync(folder).sort() : [];
}

/** Also removes the folders `made`, as far as they are empty. */
function removeLock(folder: string, made: readonly string[]): void {
  try {
    unlinkSync(join(folder, NAME));
    for (const path of made) rmdirSync(path);
  } catch {
    // Somebody else's by now, or gone already.
  }
}

/** Makes the folder where it is missing. */
function openLock(folder: string): number {
  try {
    makeFolder(folder);
    return openSync(join(folder, NAME), "a");
  } catch (error) {
    throw new InputError(
      `--out ${folder} cannot be used as a run folder (${messageOf(error)}): name a folder that can be made and ` +
        "written to",
    );
  }
}
