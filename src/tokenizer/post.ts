/** @file The post-processor: what is put around a text. */

import { InputError } from "../base/errors.js";
import { formatValue } from "../base/json.js";
import { isObject, isTokenId } from "./files.js";

/** The special tokens that a tokenizer puts around every text: Llama 3's <|begin_of_text|>, for example. */
export interface Surround {
  before: number[];
  after: number[];
}

/** Reads `post_processor` of tokenizer.json. */
export function parsePostProcessor(value: unknown, path: string, depth = 0): Surround {
  if (value === null || value === undefined) return { before: [], after: [] };
  if (!isObject(value) || depth > 8) throw new InputError(`${path}: post_processor must be an object`);
  switch (value["type"]) {
    case "ByteLevel": // changes offsets only
      return { before: [], after: [] };
    case "Sequence": {
      const parts = value["processors"];
      if (!Array.isArray(parts)) throw new InputError(`${path}: post_processor.processors must be a list`);
      const surround: Surround = { before: [], after: [] };
      for (const part of parts) {
        const { before, after } = parsePostProcessor(part, path, depth + 1);
        surround.before.unshift(...before);
        surround.after.push(...after);
      }
      return surround;
    }
    case "TemplateProcessing":
      return parseTemplateProcessing(value["single"], value["special_tokens"], path);
    case "BertProcessing":
    case "RobertaProcessing":
      return { before: [pairId(value["cls"], path)], after: [pairId(value["sep"], path)] };
    default:
      throw new InputError(`${path}: post_processor ${formatValue(value["type"])} is not supported`);
  }
}

function parseTemplateProcessing(single: unknown, special: unknown, path: string): Surround {
  if (!Array.isArray(single)) throw new InputError(`${path}: post_processor.single must be a list`);
  const surround: Surround = { before: [], after: [] };
  let sequenceSeen = false;
  for (const [i, item] of single.entries()) {
    const where = `${path}: post_processor.single[${i}]`;
    if (!isObject(item)) throw new InputError(`${where} must be an object`);
    const token = item["SpecialToken"];
    if (item["Sequence"] !== undefined) {
      sequenceSeen = true;
    } else if (isObject(token)) {
      const name = String(token["id"]);
      const entry = isObject(special) && Object.hasOwn(special, name) ? special[name] : undefined;
      const ids = isObject(entry) ? entry["ids"] : undefined;
      if (!Array.isArray(ids) || !ids.every(isTokenId))
        throw new InputError(`${where}: no ids for ${formatValue(name)}`);
      (sequenceSeen ? surround.after : surround.before).push(...ids);
    } else {
      throw new InputError(`${where} must be a Sequence or a SpecialToken`);
    }
  }
  return surround;
}

function pairId(value: unknown, path: string): number {
  const id = Array.isArray(value) ? value[1] : undefined;
  if (!isTokenId(id)) throw new InputError(`${path}: post_processor: ${formatValue(value)} must be [token, id]`);
  return id;
}
