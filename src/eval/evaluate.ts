/** @file One task on one model: the same function for the command, for experiments and for scripts. */
import { evaluateJudged, isJudged } from "./judge/judged-task.js";
import type { PlacedSample } from "./samples.js";
import type { Evaluation, Task, TaskContext } from "./task.js";

export async function evaluate(task: Task, placed: readonly PlacedSample[], context: TaskContext): Promise<Evaluation> {
  if (isJudged(task)) return evaluateJudged(task, placed, context);
  const samples = placed.map(({ sample }) => sample);
  const answers = await task.solve(context, samples);
  const scores = samples.map((sample, i) => task.score(sample, answers[i]));
  return {
    results: task.summarize(samples, scores, context),
    samples: placed.map(({ where, record }, i) => ({ where, record, score: scores[i] })),
  };
}
