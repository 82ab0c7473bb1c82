/** @file Content hashes, so that a run knows what it was made from. */
import { createHash } from "node:crypto";
import { createReadStream, realpathSync } from "node:fs";
import { basename, dirname } from "node:path";
import { InputError, messageOf } from "../errors.js";

/** SHA-256 of a file, in hex. A large file in the hub cache is named by it already. */
export async function hashFile(path: string): Promise<string> {
  const hash = createHash("sha256");
  try {
    const real = realpathSync(path);
    if (basename(dirname(real)) === "blobs" && /^[0-9a-f]{64}$/.test(basename(real))) return basename(real);
    for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(chunk as Buffer);
  } catch (error) {
    throw new InputError(`${path} cannot be read: ${messageOf(error)}`);
  }
  return hash.digest("hex");
}
