/** @file The tasks by name. */
import { InputError } from "../errors.js";
import type { Task } from "./task.js";
import { agenticMisalignment } from "./tasks/agentic-misalignment.js";
import { benignRequests } from "./tasks/benign-requests.js";
import { capability } from "./tasks/capability.js";
import { choice } from "./tasks/choice.js";
import { multipleChoice } from "./tasks/multiple-choice.js";
import { openValues } from "./tasks/open-values.js";
import { perplexity } from "./tasks/perplexity.js";

export const TASKS: readonly Task[] = [
  choice,
  multipleChoice,
  perplexity,
  capability,
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
