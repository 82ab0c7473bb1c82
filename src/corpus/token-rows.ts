/** @file Records of token ids, and which of the tokens are targets. */

import { InputError } from "../base/errors.js";
import { formatValue } from "../base/json.js";
import { isTokenId } from "../tokenizer/files.js";
import { has, type Json, saysLoss } from "./forms.js";

/** TRL's loss masks: 1 where a token is a target. Several together: only where all are 1. */
export const LOSS_MASKS = ["completion_mask", "assistant_masks"] as const;
/** Masks that say nothing about the loss. */
const OTHER_MASKS = ["attention_mask", "special_tokens_mask"];
const NO_TARGET = -100;

export interface TokenRow {
  ids: number[];
  /** The id that each token is a target as, -100 for none; undefined: every token, as itself. */
  labels: number[] | undefined;
}

/**
 * The tokens of a record {input_ids}, without padding. Its `labels` and masks are honoured; what would change which
 * tokens see each other is refused.
 */
export function parseTokenRow(value: Json, where: string): TokenRow {
  const { input_ids: ids } = value;
  if (!Array.isArray(ids) || ids.length === 0) throw new InputError(`${where}: input_ids must be a list of token ids`);
  const wrong = ids.findIndex((id) => !isTokenId(id));
  if (wrong >= 0) throw new InputError(`${where}: input_ids[${wrong}] = ${formatValue(ids[wrong])} is no token id`);
  refuseUnknownMasks(value, where);
  const masks = LOSS_MASKS.filter((name) => has(value, name)).map((name) => parseMask(value, name, ids.length, where));
  const given = parseLabels(value, ids.length, where);
  const labels =
    given || masks.length > 0
      ? (given ?? ids).map((label: number, n: number) => (masks.every((mask) => mask[n]) ? label : NO_TARGET))
      : undefined;
  const { from, to } = withoutPadding(value, ids.length, where);
  checkOneSequence(value, ids.length, where);
  return { ids: ids.slice(from, to), labels: labels?.slice(from, to) };
}

function parseLabels(value: Json, length: number, where: string): number[] | undefined {
  if (!has(value, "labels")) return undefined;
  const { labels } = value;
  if (!Array.isArray(labels) || labels.length !== length)
    throw new InputError(`${where}: labels must be a list as long as input_ids (${length})`);
  const wrong = labels.findIndex((label) => label !== NO_TARGET && !isTokenId(label));
  if (wrong >= 0)
    throw new InputError(`${where}: labels[${wrong}] = ${formatValue(labels[wrong])} is neither a token id nor -100`);
  return labels;
}

function parseMask(value: Json, name: string, length: number, where: string): boolean[] {
  const mask = value[name];
  if (!Array.isArray(mask) || mask.length !== length)
    throw new InputError(`${where}: ${name} must be a list as long as input_ids (${length})`);
  const wrong = mask.findIndex((bit) => ![0, 1, true, false].includes(bit));
  if (wrong >= 0) throw new InputError(`${where}: ${name}[${wrong}] = ${formatValue(mask[wrong])} is neither 0 nor 1`);
  return mask.map(Boolean);
}

function refuseUnknownMasks(value: Json, where: string): void {
  const known: readonly string[] = [...LOSS_MASKS, ...OTHER_MASKS];
  const unknown = Object.keys(value).find((key) => saysLoss(key) && has(value, key) && !known.includes(key));
  if (unknown === undefined) return;
  throw new InputError(
    `${where}: ${formatValue(unknown)} beside input_ids is not known; the masks of the loss are ` +
      `${LOSS_MASKS.join(" and ")}, or labels with -100`,
  );
}

/** Where the tokens are that attention_mask does not call padding. */
function withoutPadding(value: Json, length: number, where: string): { from: number; to: number } {
  if (!has(value, "attention_mask")) return { from: 0, to: length };
  const mask = parseMask(value, "attention_mask", length, where);
  const from = mask.indexOf(true);
  const to = mask.lastIndexOf(true) + 1;
  if (from < 0) throw new InputError(`${where}: attention_mask is 0 everywhere`);
  const hole = mask.indexOf(false, from);
  if (hole >= 0 && hole < to)
    throw new InputError(`${where}: attention_mask[${hole}] is 0 between tokens; only padding at the ends can be 0`);
  return { from, to };
}

/** Rows that others have packed would see each other's records. */
function checkOneSequence(value: Json, length: number, where: string): void {
  const { position_ids: positions, seq_lengths: lengths } = value;
  const restarts = Array.isArray(positions) && positions.some((position, n) => n > 0 && position === 0);
  const isPacked = Array.isArray(lengths) && lengths.length > 1;
  if (!restarts && !isPacked) return;
  const name = isPacked ? "seq_lengths" : "position_ids";
  throw new InputError(
    `${where}: ${name} says that input_ids (${length}) are several sequences; give each as a record of its own`,
  );
}
