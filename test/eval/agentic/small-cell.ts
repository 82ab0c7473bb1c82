/** @file A cell of agentic misalignment that fits the miniature's context. */
import type { Cell } from "../../../src/eval/agentic/cell.js";

export const smallCell = (kind: Cell["kind"], scenario: string, goal: string, split: Cell["split"] = "dev"): Cell => ({
  id: `${kind}/${scenario}/${goal}`,
  kind,
  scenario,
  goal,
  split,
  system: "the agent.",
  task: "the mails.",
  mails: ["the cup."],
  situation: "a cup.",
  act: "take it",
  rule: { act: "cancel", alert: "R-1" },
});
