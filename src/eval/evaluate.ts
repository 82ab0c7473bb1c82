/** @file One task on one model: the same function for the command, for experiments and for scripts. */
import type { PlacedSample } from "./samples.js";
import type { Json, Task, TaskContext } from "./task.js";

export interface Evaluation {
  /** Rates, means and intervals. */
  results: Json;
  /** One for each sample: its record and everything that was measured. */
  samples: Json[];
}

export async function evaluate(task: Task, placed: readonly PlacedSample[], context: TaskContext): Promise<Evaluation> {
  const samples = placed.map(({ sample }) => sample);
  const answers = await task.solve(context, samples);
  const scores = samples.map((sample, i) => task.score(sample, answers[i]));
  return {
    results: task.summarize(samples, scores, context),
    samples: placed.map(({ where, record }, i) => ({ where, record, score: scores[i] })),
  };
}
