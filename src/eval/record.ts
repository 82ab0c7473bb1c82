/** @file Fields of data records, checked. */
import { InputError } from "../base/errors.js";
import { formatValue } from "../base/json.js";

export type DataObject = { [key: string]: unknown };

/** `value` as an object. Throws InputError naming `where`. */
export function objectRecord(value: unknown, form: string, where: string): DataObject {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as DataObject;
  throw new InputError(`${where}: a record must be a JSON object ${form}, not ${formatValue(value)}`);
}

/** The text in field `key`. Throws InputError where it is absent, empty or no text. */
export function textField(record: DataObject, key: string, form: string, where: string): string {
  const value = record[key];
  if (typeof value === "string" && value.trim() !== "") return value;
  const found = value === undefined ? "is missing" : `is ${formatValue(value)}`;
  throw new InputError(`${where}: ${key} ${found}; the task needs ${form}, all texts`);
}

/** A field with more values than this is a name or a number, not a group. */
const MAX_GROUPS = 50;

/**
 * The extra fields of the samples that divide them into groups: present everywhere, with at least 2 and at most 50
 * different short values, fewer than half as many as there are samples. Field -> value -> indices of the samples,
 * values in order.
 */
export function groupSamples(extras: readonly DataObject[]): Map<string, Map<string, number[]>> {
  const groups = new Map<string, Map<string, number[]>>();
  for (const field of Object.keys(extras[0] ?? {})) {
    const byValue = new Map<string, number[]>();
    for (const [i, extra] of extras.entries()) {
      const value = extra[field];
      if (!["string", "number", "boolean"].includes(typeof value)) break;
      const indices = byValue.get(String(value)) ?? [];
      indices.push(i);
      byValue.set(String(value), indices);
    }
    const covered = [...byValue.values()].reduce((sum, indices) => sum + indices.length, 0);
    const isGrouping = byValue.size >= 2 && byValue.size <= MAX_GROUPS && byValue.size * 2 <= extras.length;
    if (covered !== extras.length || !isGrouping) continue;
    groups.set(field, new Map([...byValue].sort(([a], [b]) => (a < b ? -1 : 1))));
  }
  return groups;
}

/** `record` without `keys`: what a file says about a sample beyond what the task needs. */
export function extraFields(record: DataObject, keys: readonly string[]): DataObject {
  return Object.fromEntries(Object.entries(record).filter(([key]) => !keys.includes(key)));
}
