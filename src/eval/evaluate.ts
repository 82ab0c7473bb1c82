/** @file One task on one model: the same function for the command, for experiments and for scripts. */
import { type Counts, describeCounts, isWhole, sumCounts } from "./counts.js";
import { evaluateJudged, isJudged } from "./judge/judged-task.js";
import { loadSamples } from "./samples.js";
import type { Evaluation, Json, PlacedSample, Task, TaskContext } from "./task.js";

export async function evaluate(task: Task, placed: readonly PlacedSample[], context: TaskContext): Promise<Evaluation> {
  if (isJudged(task)) return evaluateJudged(task, placed, context);
  const samples = placed.map(({ sample }) => sample);
  const answers = await task.solve(context, samples);
  const scores = samples.map((sample, i) => task.score(sample, answers[i]));
  const counts = sumCounts(scores.map((one, i) => task.counts(one, answers[i])));
  return {
    results: { ...task.summarize(samples, scores, context), counts, ...(await evaluateControl(task, context)) },
    samples: placed.map(({ where, record }, i) => ({ where, record, score: scores[i] })),
  };
}

/** What the control questions say, where the task has some; their answers are kept beside. */
async function evaluateControl(task: Task, context: TaskContext): Promise<Json> {
  if (!task.control) return {};
  const placed = context.control ?? (await loadSamples(task, [task.control.data], null)).samples;
  const samples = placed.map(({ sample }) => sample);
  const answers = await task.solve(context, samples);
  const scores = samples.map((sample, i) => task.score(sample, answers[i]));
  const questions = placed.map(({ record }, i) => ({ record, outcomes: task.outcomes(scores[i]) }));
  return { control: { ...task.control.summarize(scores), questions } };
}

/** The results in a few lines for a person; what is missing comes first, whether they can be read at all last. */
export function describeEvaluation(task: Task, results: Json): string[] {
  const counts = results["counts"] as Counts | undefined;
  const note = counts && !isWhole(counts) ? [`note: ${describeCounts(counts)}`] : [];
  const control = results["control"] as Json | undefined;
  return [...note, ...task.describe(results), ...((control && task.control?.describe(control)) ?? [])];
}
