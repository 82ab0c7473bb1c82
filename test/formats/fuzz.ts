/** @file Seeded hostile input for the parsers: the same cases on every run. */

import { expect } from "vitest";
import { InputError } from "../../src/base/errors.js";

/** A generator of seeded random numbers and choices. */
export interface Random {
  /** A whole number from 0 to `below` - 1. */
  whole(below: number): number;
  pick<T>(items: readonly T[]): T;
}

/** mulberry32: small, fast, good enough to choose mutations. */
export function seeded(seed: number): Random {
  let state = seed >>> 0;
  const whole = (below: number) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * below);
  };
  return { whole, pick: (items) => items[whole(items.length)]! };
}

/** JSON text of values that a file should not hold. */
export const HOSTILE_JSON = [
  "null",
  "true",
  "false",
  "0",
  "-0",
  "-1",
  "1",
  "7",
  "0.5",
  "1e308",
  "-1e308",
  "1e999",
  "9007199254740993",
  "18446744073709551616",
  "4294967296",
  '""',
  '"12"',
  '"\\u0000"',
  '"../x"',
  '"__proto__"',
  "[]",
  "[[]]",
  "[1,2,3]",
  "{}",
  '{"a":{"b":{"c":1}}}',
  '{"__proto__":{"polluted":1}}',
  `"${"x".repeat(5000)}"`,
  `[${"0,".repeat(3000)}0]`,
  `${"[".repeat(2000)}${"]".repeat(2000)}`,
] as const;

/** `text` with a few characters changed, cut or doubled. */
export function mutateText(text: string, random: Random): string {
  let mutated = text;
  for (let edits = 1 + random.whole(3); edits > 0; edits--) {
    const at = random.whole(mutated.length + 1);
    const before = mutated.slice(0, at);
    const after = mutated.slice(at);
    const kind = random.whole(5);
    if (kind === 0) mutated = before + after.slice(1 + random.whole(20));
    else if (kind === 1)
      mutated = before + random.pick(['"', "{", "}", "[", "]", ",", ":", "\\", "\0", "-", "9", "e", "\u2028"]) + after;
    else if (kind === 2) mutated = before;
    else if (kind === 3) mutated = before + after.slice(0, random.whole(60)) + after;
    else mutated = before + random.pick(HOSTILE_JSON) + after;
  }
  return mutated;
}

/** `json` as text with the values of up to `edits` random keys, at any depth, replaced by hostile JSON or removed. */
export function mutateValue(json: unknown, random: Random, edits = 1): string {
  const places: { owner: Record<string, unknown>; key: string }[] = [];
  const copy = structuredClone(json);
  const visit = (value: unknown) => {
    if (typeof value !== "object" || value === null) return;
    for (const key of Object.keys(value)) {
      places.push({ owner: value as Record<string, unknown>, key });
      visit((value as Record<string, unknown>)[key]);
    }
  };
  visit(copy);
  for (let edit = 0; edit < edits; edit++) {
    const { owner, key } = random.pick(places);
    if (random.whole(6) === 0) delete owner[key];
    else owner[key] = "HOSTILE";
  }
  return JSON.stringify(copy).replaceAll('"HOSTILE"', () => random.pick(HOSTILE_JSON));
}

/**
 * Runs `attempt`: it may succeed, or throw an InputError of one line that names `where`. Anything else fails the test.
 * Returns whether it succeeded.
 */
export function succeedsOrInputError(attempt: () => void, where: string, shown: string): boolean {
  try {
    attempt();
    return true;
  } catch (error) {
    if (!(error instanceof InputError))
      throw new Error(`${JSON.stringify(shown.slice(0, 500))} threw ${(error as Error).stack}`);
    if (!error.message.includes(where)) expect.fail(`${JSON.stringify(error.message)} does not name ${where}`);
    if (/\p{Cc}/u.test(error.message)) expect.fail(`a message of several lines: ${JSON.stringify(error.message)}`);
    if (error.message.length > 3000)
      expect.fail(`a message of ${error.message.length} characters for ${shown.slice(0, 200)}`);
    return false;
  }
}
