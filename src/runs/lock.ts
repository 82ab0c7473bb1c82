/** @file One process per run folder, by the kernel's file lock: it ends with the process, however that ends. */
import { closeSync, openSync } from "node:fs";
import { join } from "node:path";
import koffi from "koffi";
import { InputError, messageOf } from "../base/errors.js";
import { makeFolder } from "../base/file.js";

const LOCK_EX = 2;
const LOCK_NB = 4;

/**
 * Locks `folder` until the returned function is called or the process ends. Throws InputError where another process
 * holds it.
 */
export function lockFolder(folder: string): () => void {
  const fd = openLock(folder);
  const flock = koffi.load(null).func("int flock(int fd, int operation)");
  if (flock(fd, LOCK_EX | LOCK_NB) !== 0) {
    closeSync(fd);
    throw new InputError(`${folder} is in use by another process: wait for it, or give another --out`);
  }
  return () => closeSync(fd);
}

/** Makes the folder where it is missing. */
function openLock(folder: string): number {
  try {
    makeFolder(folder);
    return openSync(join(folder, "lock"), "a");
  } catch (error) {
    throw new InputError(
      `--out ${folder} cannot be used as a run folder (${messageOf(error)}): name a folder that can be made and ` +
        "written to",
    );
  }
}
