/**
 * @file Which cache rows belong to which sequence. A sequence has consecutive rows, taken when it begins for all that
 * it may come to. What rows hold stays known after they are given back, until they are taken again: a prompt's
 * beginning that was run for one sequence is copied for the next.
 */
import { createHash } from "node:crypto";

/** Tokens of a beginning that are found, and copied, together. */
export const CHUNK_TOKENS = 64;

export interface CacheRows {
  /** The first of `count` consecutive rows; null where no such are free. */
  take(count: number): number | null;
  /** Gives back what `take` gave. */
  give(first: number): void;
  /** Rows that are taken. */
  readonly used: number;
  /** Where the chunk lies that has this key. */
  find(key: string): number | undefined;
  /** Remembers that the chunk with this key lies at `row`. */
  remember(key: string, row: number): void;
}

export function openCacheRows(count: number): CacheRows {
  const taken = new Map<number, number>();
  const chunks = new Map<string, number>();
  let used = 0;
  /** Rows are taken in a circle: those that were given back last are overwritten last. */
  let next = 0;
  const forget = (first: number, end: number): void => {
    for (const [key, row] of chunks) if (row < end && row + CHUNK_TOKENS > first) chunks.delete(key);
  };
  return {
    take(wanted) {
      const gaps = gapsOf(taken, count);
      const first = firstFit(gaps, wanted, next) ?? firstFit(gaps, wanted, 0);
      if (first === null) return null;
      taken.set(first, wanted);
      used += wanted;
      next = first + wanted;
      forget(first, next);
      return first;
    },
    give(first) {
      used -= taken.get(first) ?? 0;
      taken.delete(first);
    },
    get used() {
      return used;
    },
    find: (key) => chunks.get(key),
    remember: (key, row) => chunks.set(key, row),
  };
}

function gapsOf(taken: ReadonlyMap<number, number>, count: number): { from: number; to: number }[] {
  const gaps: { from: number; to: number }[] = [];
  let from = 0;
  for (const [first, rows] of [...taken].sort(([a], [b]) => a - b)) {
    gaps.push({ from, to: first });
    from = first + rows;
  }
  return [...gaps, { from, to: count }];
}

function firstFit(gaps: readonly { from: number; to: number }[], wanted: number, least: number): number | null {
  for (const { from, to } of gaps) {
    const first = Math.max(from, least);
    if (to - first >= wanted) return first;
  }
  return null;
}

/** A key of each whole chunk of `ids`, which says everything that its keys and values depend on. */
export function chunkKeys(model: string, ids: readonly number[]): string[] {
  const keys: string[] = [];
  let before = model;
  for (let end = CHUNK_TOKENS; end <= ids.length; end += CHUNK_TOKENS) {
    const chunk = Int32Array.from(ids.slice(end - CHUNK_TOKENS, end));
    before = createHash("sha256").update(before).update(chunk).digest("base64");
    keys.push(before);
  }
  return keys;
}
