/** @file Records: append-only JSONL, each with its parent's id and a hash of what it says, in the order of the plan. */
import { createHash } from "node:crypto";
import { appendFileSync, existsSync, readFileSync, truncateSync } from "node:fs";
import type { Step } from "./ask.js";

export interface JournalRecord {
  id: string;
  /** Id of the record that it was made from; null: none. */
  parent: string | null;
  /** Of what it says. */
  hash: string;
  [key: string]: unknown;
}

/** SHA-256 of `value` as JSON, its first 16 digits. */
export function contentHash(value: unknown): string {
  return createHash("sha256").update(JSON.stringify(value)).digest("hex").slice(0, 16);
}

/** The steps of one record as a chain, each the parent of the next. */
export function chainOf(parent: string, steps: readonly Step[]): JournalRecord[] {
  let above = parent;
  return steps.map((step) => {
    const hash = contentHash(step);
    const record = { id: contentHash([above, hash]), parent: above, hash, ...step };
    above = record.id;
    return record;
  });
}

export interface Journal {
  append(records: readonly JournalRecord[]): void;
}

/**
 * A run that goes on derives the records of the one before again, from replies that are kept: these are compared, not
 * written. From the first one on that differs (an edited claim, another prompt, a line that a kill cut off) the file is
 * cut and written anew.
 */
export function openJournal(path: string): Journal {
  const bytes = existsSync(path) ? readFileSync(path) : Buffer.alloc(0);
  let at = 0;
  let isNew = bytes.length === 0;
  return {
    append(records) {
      if (records.length === 0) return;
      const lines = Buffer.from(records.map((record) => `${JSON.stringify(record)}\n`).join(""));
      if (!isNew && bytes.subarray(at, at + lines.length).equals(lines)) {
        at += lines.length;
        return;
      }
      if (!isNew) truncateSync(path, at);
      isNew = true;
      appendFileSync(path, lines);
    },
  };
}
