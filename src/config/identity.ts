/** @file Which settings make two runs, or two jobs of an experiment, different ones. */
import type { z } from "zod";

/** Settings that say where an input is. What the input holds is hashed, and that counts. */
export const PLACES = ["model", "adapter", "tokenizer", "data", "mix", "heldout", "system", "control"] as const;

/** Settings that decide nothing of the result: where it goes, what computes it, what a judge may cost. */
const WITHOUT_EFFECT = ["out", "backend", "device", "judgePrice", "judgeRpm", "judgeCache"] as const;

const NOT_DECIDING: ReadonlySet<string> = new Set([...PLACES, ...WITHOUT_EFFECT]);

type Deciding<T> = Omit<T, (typeof PLACES)[number] | (typeof WITHOUT_EFFECT)[number]>;

/** The settings that decide what comes out, beside what the inputs hold. */
export function decidingSettings<T extends object>(settings: T): Deciding<T> {
  return Object.fromEntries(Object.entries(settings).filter(([key]) => !NOT_DECIDING.has(key))) as Deciding<T>;
}

/**
 * Those of them that are not at the schema's default, by name in order: what a job's name is made of. So a setting that
 * is added later renames no job that does not use it.
 */
export function identityOf(schema: z.ZodObject, settings: object): [string, unknown][] {
  const isDefault = (key: string, value: unknown): boolean =>
    JSON.stringify((schema.shape[key] as z.ZodType).safeParse(undefined).data) === JSON.stringify(value);
  return Object.entries(decidingSettings(settings))
    .filter(([key, value]) => !isDefault(key, value))
    .sort(([a], [b]) => (a < b ? -1 : 1));
}
