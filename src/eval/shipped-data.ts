/** @file Data that ships with the package. */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { loadText, parseJson } from "../base/json.js";

const EVALUATIONS = fileURLToPath(new URL("../../evaluations", import.meta.url));
const MAX_BYTES = 10_000_000;

/** The path of a file under evaluations/. */
export function shippedFile(...names: string[]): string {
  return join(EVALUATIONS, ...names);
}

/** The records of a shipped JSONL file. */
export function shippedLines(path: string): unknown[] {
  const lines = loadText(path, MAX_BYTES).trimEnd().split("\n");
  return lines.map((line, i) => parseJson(line, `${path} line ${i + 1}`));
}
