/** @file Which settings of an evaluation its task has a use for. */
import { InputError } from "../base/errors.js";
import { flagOf } from "../config/help.js";
import { type EvalConfig, evalSchema } from "../config/inference.js";
import { drawsOf } from "./asking/settings.js";
import { isJudged } from "./judge/judged-task.js";
import type { Task } from "./task.js";

type Setting =
  | "ask"
  | "system"
  | "control"
  | "seqLen"
  | "samples"
  | "temperature"
  | "maxTokens"
  | "thinking"
  | "cells"
  | "kinds"
  | "suite"
  | "actions";

const OF_DRAWS: readonly Setting[] = ["samples", "temperature", "maxTokens", "thinking"];
const OF_CELLS: readonly Setting[] = ["cells", "kinds", "suite", "actions"];

/**
 * To ignore a setting would be to claim that it counts. Throws InputError where one is given, not its default, that
 * `task` has no use for.
 */
export function checkTaskSettings(task: Task, settings: Pick<EvalConfig, Setting | "judge">): void {
  const isGiven = (name: Setting): boolean =>
    JSON.stringify(settings[name]) !== JSON.stringify(evalSchema.shape[name].parse(undefined));
  const refuse = (names: readonly Setting[], why: string): void => {
    const given = names.find(isGiven);
    if (given) throw new InputError(`${flagOf(given)}: --task ${task.name} ${why}`);
  };
  if (!drawsOf(task, settings)) refuse(OF_DRAWS, `${task.draws ? "with --ask logprob " : ""}draws no responses`);
  if (!task.asks) refuse(["ask"], "asks in one way only");
  // Options are compared as the answer itself, so they are drawn as that too.
  else refuse(["thinking"], "asks for the answer alone");
  if (!task.control) refuse(["control"], "has no control questions");
  if (task.readsText) refuse(["system"], "asks nothing that it could be put before");
  if (task.draws && !task.keeps && settings.thinking === "scratchpad")
    throw new InputError(`--thinking scratchpad: --task ${task.name} tells the model nothing; use native or none`);
  if (!task.keeps) refuse(OF_CELLS, "has no cells");
  if (!task.readsText) refuse(["seqLen"], "has no windows");
  if (!isJudged(task) && !["base", "none"].includes(settings.judge))
    throw new InputError(`--judge ${settings.judge}: --task ${task.name} asks no judge`);
}
