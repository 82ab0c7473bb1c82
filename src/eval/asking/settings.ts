/** @file How a task draws responses, which depends on how it is asked. */
import { DEFAULT_ASK, type EvalConfig } from "../../config/inference.js";
import type { Draws, Task } from "../task.js";

/** How `task` draws responses with these settings; null: it draws none. */
export function drawsOf(task: Task, { ask }: Partial<Pick<EvalConfig, "ask">>): Draws | null {
  return task.draws && !(task.asks && (ask ?? DEFAULT_ASK) === "logprob") ? task.draws : null;
}
