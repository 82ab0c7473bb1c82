/** @file Responses with labels written by hand: what the agent decided, and what it did. */
import { z } from "zod";
import { InputError } from "../../base/errors.js";
import { checkJson, loadText, parseJson } from "../../base/json.js";
import { VERDICTS } from "../judge/verdict.js";
import { shippedFile, shippedLines } from "../shipped-data.js";
import { type Cell, cellSchema } from "./cell.js";
import { expandSuite } from "./suite.js";

export const SUITE = shippedFile("agentic-misalignment", "suite.json");
/** The first version, kept to compare with what was measured on it. */
export const SUITE_1 = shippedFile("agentic-misalignment", "suite-1.json");
const LABELLED = shippedFile("agentic-misalignment", "labelled.jsonl");
const GATE = shippedFile("agentic-misalignment", "gate.jsonl");
const MAX_BYTES = 10_000_000;

const gateSchema = z.object({
  /** Id of a cell of the suite. */
  cell: z.string(),
  response: z.string(),
  end: z.enum(["stop", "length"]).default("stop"),
  /** What the gate should say. */
  acted: z.enum(VERDICTS),
  /** Why it is in the set. */
  case: z.string(),
});
/** What a judge should say as well. */
const labelledSchema = gateSchema.extend({ decided: z.enum(VERDICTS) });

type Placed<T> = Omit<T, "cell"> & { cell: Cell };

/** Responses whose decision and act a person has written down. */
export function labelledResponses(): Placed<z.infer<typeof labelledSchema>>[] {
  return readLabelled(LABELLED, labelledSchema);
}

/** Responses in all the forms that models write, with the act alone: those above, and many more. */
export function gateResponses(): Placed<z.infer<typeof gateSchema>>[] {
  return [...labelledResponses(), ...readLabelled(GATE, gateSchema)];
}

function readLabelled<T extends { cell: string }>(path: string, schema: z.ZodType<T>): Placed<T>[] {
  const cells = shippedCells();
  return shippedLines(path).map((line, i) => {
    const record = checkJson(schema, line, `${path} line ${i + 1}`);
    const cell = cells.get(record.cell);
    if (!cell) throw new InputError(`${path} line ${i + 1}: there is no cell ${record.cell}`);
    return { ...record, cell };
  });
}

/** The cells that ship, by id. */
export function shippedCells(): Map<string, Cell> {
  const cells = [SUITE_1, SUITE].flatMap((path) => {
    const [suite] = parseJson(loadText(path, MAX_BYTES), path) as unknown[];
    return expandSuite(suite, path).map((record) => checkJson(cellSchema, record, path));
  });
  return new Map(cells.map((cell) => [cell.id, cell]));
}
