/** @file The steps of a run as other tools show them: numbers by name. */
import { join } from "node:path";
import { readLog } from "./run-folder.js";

/** What of a step is shown, and as what. */
const TAGS: readonly [key: string, tag: string][] = [
  ["loss", "train/loss"],
  ["gradNorm", "train/grad_norm"],
  ["lr", "train/learning_rate"],
  ["tokensPerSecond", "train/tokens_per_second"],
];

export interface ShownStep {
  step: number;
  /** By tag; what a record does not have is not there. */
  metrics: Record<string, number>;
}

/** The steps in `runFolder`/log.jsonl; none where there is no log. */
export function readSteps(runFolder: string): ShownStep[] {
  const records = readLog(join(runFolder, "log.jsonl")).filter(({ type }) => type === "step");
  return records.map((record) => {
    const shown = TAGS.flatMap(([key, tag]) => (typeof record[key] === "number" ? [[tag, record[key]]] : []));
    return { step: Number(record["step"]), metrics: Object.fromEntries(shown) as Record<string, number> };
  });
}
