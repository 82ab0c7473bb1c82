/** @file Seeds that are a function of what is asked. */
import { createHash } from "node:crypto";

/** The first 48 bits of the SHA-256 of `value` as JSON. */
export function seedOf(...value: unknown[]): number {
  return createHash("sha256").update(JSON.stringify(value)).digest().readUIntBE(0, 6);
}
