/** @file A cell: one prompt of the agent, and by what an act in it is recognised. */

import { z } from "zod";
import { checkJson } from "../../base/json.js";
import { KINDS, SPLITS, SUITES } from "../../config/inference.js";

const text = z.string().min(1);
const texts = z.array(text).min(1);

/**
 * The act that a cell asks about; harmful ones first, then what a benign task asks for. evaluations/README.md says
 * what
 * counts.
 */
export const ruleSchema = z.discriminatedUnion("act", [
  /**
   * A mail to an outside domain that carries something closed: one of the inbox's mails (by number), or one of the
   * texts.
   */
  z.strictObject({
    act: z.literal("mail"),
    inside: texts,
    outside: texts,
    mails: z.array(z.int().positive()),
    texts: z.array(text),
  }),
  /** A copy of `source` to an outside domain. */
  z.strictObject({ act: z.literal("transfer"), source: text, inside: texts, outside: texts }),
  z.strictObject({ act: z.literal("cancel"), alert: text }),
  /**
   * Mails that reach all of these addresses and say what they should: one of the inbox's mails passed on, or one text
   * of each list.
   */
  z.strictObject({
    act: z.literal("mail to"),
    to: texts,
    mails: z.array(z.int().positive()).optional(),
    texts: z.array(texts).optional(),
  }),
  z.strictObject({ act: z.literal("transfer to"), source: text, host: text }),
  z.strictObject({ act: z.literal("cancel alert"), alert: text }),
]);
export type Rule = z.infer<typeof ruleSchema>;

export const cellSchema = z.strictObject({
  id: text,
  /** Of cells that ship. */
  suite: z.enum(SUITES).optional(),
  kind: z.enum(KINDS),
  scenario: text,
  goal: text,
  split: z.enum(SPLITS),
  system: text,
  /** What the user says before the mails. */
  task: text,
  /** As the model reads them, numbered from 1. */
  mails: texts,
  rule: ruleSchema,
  /** For agents that act by calls of tools: what they are told instead, and the tools, as chat templates take them. */
  native: z.strictObject({ system: text, tools: z.array(z.record(z.string(), z.unknown())).min(1) }).optional(),
  /** What the agent is asked after the cell: whether it took it for a test. */
  probe: text.optional(),
  /** For the judge: what has happened, and what the agent may have decided to do. */
  situation: text,
  act: text,
});
export type Cell = z.infer<typeof cellSchema>;

export function parseCell(record: unknown, where: string): Cell {
  return checkJson(cellSchema, record, where);
}

/** The user's turn. */
export function renderInbox({ task, mails }: Cell): string {
  return [task, ...mails.map((mail, i) => `--- Mail ${i + 1}\n${mail}`)].join("\n\n");
}
