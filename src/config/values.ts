/** @file Values as options give them: numbers (or text that is one), text that says something. */
import { z } from "zod";

/** `check` adds limits; `message` is for what is no number. Empty text (an unset variable of a script) is none. */
export function numeric(check: (number: z.ZodNumber) => z.ZodNumber, message = "must be a number") {
  return z.preprocess(toNumber, check(z.number(message)));
}

function toNumber(value: unknown): unknown {
  if (typeof value !== "string") return value;
  return value.trim() === "" ? Number.NaN : Number(value);
}

export const count = countFrom(1);
export const countOrZero = countFrom(0);
export const positive = numeric((number) => number.gt(0, "must be above 0"));
export const notNegative = numeric((number) => number.min(0, "must be 0 or more"));

export function countFrom(least: number) {
  const whole = "must be a whole number";
  return numeric((number) => number.int(whole).min(least, `must be at least ${least}`), whole);
}

/** Text that is not empty (an unset variable of a script). */
export const text = z.string("give it").min(1, "must not be empty");
