/** @file The normalizer: text as the vocabulary expects it. */

import { InputError } from "../base/errors.js";
import { formatValue } from "../base/json.js";
import { isObject } from "./files.js";
import { compilePattern } from "./words.js";

/** Reads `normalizer` of tokenizer.json; an unknown kind is refused by name. */
export function parseNormalizer(value: unknown, path: string, depth = 0): (text: string) => string {
  if (value === null || value === undefined) return (text) => text;
  if (!isObject(value) || depth > 8) throw new InputError(`${path}: normalizer must be an object`);
  switch (value["type"]) {
    case "NFC":
    case "NFD":
    case "NFKC":
    case "NFKD": {
      const form = value["type"];
      return (text) => text.normalize(form);
    }
    case "Prepend": {
      const prefix = value["prepend"];
      if (typeof prefix !== "string") throw new InputError(`${path}: normalizer Prepend: prepend must be a text`);
      return (text) => (text === "" ? text : prefix + text);
    }
    case "Replace": {
      const pattern = compilePattern(value["pattern"], `${path}: normalizer Replace`);
      const content = value["content"] ?? "";
      if (typeof content !== "string") throw new InputError(`${path}: normalizer Replace: content must be a text`);
      return (text) => text.replace(pattern, () => content);
    }
    case "Sequence": {
      const parts = value["normalizers"];
      if (!Array.isArray(parts)) throw new InputError(`${path}: normalizer.normalizers must be a list`);
      const steps = parts.map((part) => parseNormalizer(part, path, depth + 1));
      return (text) => steps.reduce((current, step) => step(current), text);
    }
    default:
      throw new InputError(`${path}: normalizer ${formatValue(value["type"])} is not supported`);
  }
}
