/** @file Options of a command, checked. */
import type { z } from "zod";
import { InputError } from "../base/errors.js";
import { flagOf } from "./help.js";

/** `options` as `schema` sees them. Throws InputError that names option, value and what is allowed. */
export function parseOptions<T>(schema: z.ZodType<T>, options: Record<string, unknown>): T {
  const result = schema.safeParse(options);
  if (result.success) return result.data;
  const { path, message, code } = result.error.issues[0]!;
  const name = String(path[0] ?? "");
  const value = JSON.stringify(options[name]);
  throw new InputError(code === "unrecognized_keys" ? message : `${flagOf(name)} ${value ?? "is missing"}: ${message}`);
}
