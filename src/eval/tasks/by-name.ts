/** @file The tasks by name. */
import { InputError } from "../../base/errors.js";
import type { Task } from "../task.js";
import { agenticMisalignment } from "./agentic-misalignment.js";
import { benignRequests } from "./benign-requests.js";
import { capability } from "./capability.js";
import { choice } from "./choice.js";
import { multipleChoice } from "./multiple-choice.js";
import { openValues } from "./open-values.js";
import { perplexity } from "./perplexity.js";
import { specKnowledge } from "./spec-knowledge.js";

export const TASKS: readonly Task[] = [
  choice,
  multipleChoice,
  perplexity,
  capability,
  specKnowledge,
  agenticMisalignment,
  openValues,
  benignRequests,
];

/** Throws InputError that lists the tasks there are. */
export function taskByName(name: string): Task {
  const task = TASKS.find((task) => task.name === name);
  if (task) return task;
  throw new InputError(`--task ${name}: no such task; there are ${TASKS.map((task) => task.name).join(", ")}`);
}
