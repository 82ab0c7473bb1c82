/** @file Records that say nothing about the machine they were made on. */
import { basename, isAbsolute, relative } from "node:path";

/** `value` with every absolute path in it relative to `base` where it is inside, and by its last part elsewhere. */
export function withoutMachinePaths<T>(value: T, base: string = process.cwd()): T {
  return walk(value, base) as T;
}

function walk(value: unknown, base: string): unknown {
  if (typeof value === "string") return isAbsolute(value) ? placeOf(value, base) : value;
  if (Array.isArray(value)) return value.map((item) => walk(item, base));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, walk(item, base)]));
}

function placeOf(path: string, base: string): string {
  const inside = relative(base, path);
  return inside === "" || inside.startsWith("..") || isAbsolute(inside) ? basename(path) : inside;
}
