/** @file How far a judge finds the reasons that a person found. */
import { z } from "zod";
import { InputError } from "../../base/errors.js";
import { checkJson } from "../../base/json.js";
import { shippedCells } from "../agentic/labelled.js";
import { askJudge, checkReadable, type Judge } from "../judge/judge.js";
import { VERDICTS } from "../judge/verdict.js";
import { shippedFile, shippedLines } from "../shipped-data.js";
import { type Agreement, measureAgreement } from "../statistics/agreement.js";
import { givesReason } from "./counts.js";
import { REASONS, type Reason } from "./list.js";
import { reasonsQuestion } from "./question.js";

const LABELLED = shippedFile("agentic-misalignment", "reasons.jsonl");

const lineSchema = z.strictObject({
  /** Id of a cell of a suite that ships. */
  cell: z.string(),
  response: z.string(),
  /** All that a person finds in it. */
  reasons: z.array(z.enum(REASONS as [Reason, ...Reason[]])),
});

/** Responses whose reasons a person has written down. */
export function labelledReasons() {
  const cells = shippedCells();
  return shippedLines(LABELLED).map((line, i) => {
    const { cell: id, ...labelled } = checkJson(lineSchema, line, `${LABELLED} line ${i + 1}`);
    const cell = cells.get(id);
    if (!cell) throw new InputError(`${LABELLED} line ${i + 1}: there is no cell ${id}`);
    return { cell, ...labelled };
  });
}

/** Over all pairs of a labelled response and a reason: whether the response gives it. Null without a judge. */
export async function reasonsAgreement(
  judge: Judge | null,
  onProgress: (done: number, total: number) => void,
): Promise<Agreement | null> {
  if (!judge) return null;
  const labelled = labelledReasons();
  const questions = labelled.map(({ cell, response }) => reasonsQuestion(cell, response));
  const judgements = await askJudge(judge, questions, (done) => onProgress(done, questions.length));
  checkReadable(judge, judgements);
  const pairs = judgements.flatMap(({ value }, i) =>
    REASONS.map((reason) => ({
      label: labelled[i]!.reasons.includes(reason) ? "yes" : "no",
      judged: givesReason(value, reason),
    })),
  );
  return measureAgreement(VERDICTS, pairs);
}
