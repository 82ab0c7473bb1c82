/** @file Data that ships with the package. */
import { loadText, parseJson } from "../base/json.js";
import { packagePath } from "../base/package.js";

const MAX_BYTES = 10_000_000;

/** The path of a file under evaluations/. */
export function shippedFile(...names: string[]): string {
  return packagePath("evaluations", ...names);
}

/** The records of a shipped JSONL file. */
export function shippedLines(path: string): unknown[] {
  const lines = loadText(path, MAX_BYTES).trimEnd().split("\n");
  return lines.map((line, i) => parseJson(line, `${path} line ${i + 1}`));
}
