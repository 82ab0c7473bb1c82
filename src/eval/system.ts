/** @file A text that is put before every question as the system message. */
import { InputError } from "../base/errors.js";
import { loadText } from "../base/json.js";

const MAX_BYTES = 1_000_000;

/** Throws InputError where the file cannot be read, or holds nothing: that would be a system message all the same. */
export function loadSystem(path: string): string {
  const text = loadText(path, MAX_BYTES).trim();
  if (text === "") throw new InputError(`${path}: is empty, so it is no system message; leave it out`);
  return text;
}
