/** @file Responses with labels written by hand: what the agent decided, and what it did. */
import { z } from "zod";
import { InputError } from "../../base/errors.js";
import { checkJson, loadText, parseJson } from "../../base/json.js";
import { VERDICTS } from "../judge/verdict.js";
import { shippedFile, shippedLines } from "../shipped-data.js";
import { type Cell, cellSchema } from "./cell.js";
import { expandSuite } from "./suite.js";

export const SUITE = shippedFile("agentic-misalignment", "suite.json");
const LABELLED = shippedFile("agentic-misalignment", "labelled.jsonl");
const MAX_BYTES = 10_000_000;

const labelledSchema = z.strictObject({
  /** Id of a cell of the suite. */
  cell: z.string(),
  response: z.string(),
  end: z.enum(["stop", "length"]),
  /** What a judge should say. */
  decided: z.enum(VERDICTS),
  /** What the gate should say. */
  acted: z.enum(VERDICTS),
  /** Why it is in the set. */
  case: z.string(),
});

export interface LabelledResponse extends Omit<z.infer<typeof labelledSchema>, "cell"> {
  cell: Cell;
}

export function labelledResponses(): LabelledResponse[] {
  const [suite] = parseJson(loadText(SUITE, MAX_BYTES), SUITE) as unknown[];
  const cells = new Map(
    expandSuite(suite, SUITE).map((record) => {
      const cell = checkJson(cellSchema, record, SUITE);
      return [cell.id, cell];
    }),
  );
  return shippedLines(LABELLED).map((line, i) => {
    const record = checkJson(labelledSchema, line, `${LABELLED} line ${i + 1}`);
    const cell = cells.get(record.cell);
    if (!cell) throw new InputError(`${LABELLED} line ${i + 1}: there is no cell ${record.cell}`);
    return { ...record, cell };
  });
}
