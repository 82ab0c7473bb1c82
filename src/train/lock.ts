/** @file One process per run folder, by the kernel's file lock: it ends with the process, however that ends. */
import { closeSync, openSync } from "node:fs";
import { join } from "node:path";
import koffi from "koffi";
import { InputError } from "../errors.js";

const LOCK_EX = 2;
const LOCK_NB = 4;

/** Locks `folder` until the returned function is called or the process ends. Throws InputError where another process holds it. */
export function lockFolder(folder: string): () => void {
  const fd = openSync(join(folder, "lock"), "a");
  const flock = koffi.load(null).func("int flock(int fd, int operation)");
  if (flock(fd, LOCK_EX | LOCK_NB) !== 0) {
    closeSync(fd);
    throw new InputError(`${folder} is in use by another process: wait for it, or give another --out`);
  }
  return () => closeSync(fd);
}
