/** @file The matrix of an experiment for people: what will be trained and evaluated, and what it will take. */
import { formatDuration } from "../report/progress.js";
import { formatBytes } from "../train/memory.js";
import type { Forecast } from "./forecast.js";
import type { Job, Matrix } from "./matrix.js";
import type { Experiment } from "./schema.js";

const number = (value: number): string => Math.round(value).toLocaleString("en-US");

/** The arms, the jobs by kind, and the totals. */
export function formatMatrix(experiment: Experiment, matrix: Matrix, forecast: Forecast): string {
  const training = matrix.jobs.filter((job) => job.kind === "train");
  const evaluations = matrix.jobs.filter((job) => job.kind === "eval");
  const of = (job: Job): { tokens: number; steps: number | null; seconds: number; bytes: number } =>
    forecast.jobs.get(job.id)!;
  const total = (key: "tokens" | "steps" | "seconds"): number =>
    training.reduce((sum, job) => sum + (of(job)[key] ?? 0), 0);
  // Seeds of one stage differ in nothing that is shown.
  const groups = new Map<string, Job[]>();
  for (const job of training) {
    const key = JSON.stringify([job.label.replace(/, seed \d+$/, ""), of(job).steps]);
    groups.set(key, [...(groups.get(key) ?? []), job]);
  }
  const rows = [...groups.values()].map((jobs) => {
    const { tokens, steps, seconds, bytes } = of(jobs[0]!);
    const name = jobs[0]!.label.replace(/, seed \d+$/, "");
    return [
      ...[name, `${jobs.length} x`, `${number(steps ?? 0)} steps`, `${number(tokens)} tokens`],
      ...[formatBytes(bytes), formatDuration(seconds)],
    ];
  });
  const widths = [0, 1, 2, 3, 4, 5].map((i) => Math.max(...rows.map((row) => row[i]!.length), 0));
  const table = rows.map(
    (row) => `  ${row.map((cell, i) => (i === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[i]!))).join("  ")}`,
  );
  return [
    `${experiment.name}: ${experiment.question.trim()}`,
    `model   ${experiment.model}`,
    `arms    ${matrix.arms.map(({ id }) => id).join(", ")}`,
    `seeds   ${experiment.seeds.join(", ")}`,
    ...experiment.sweeps.map(
      ({ name, setting, values, arms }) => `sweep   ${name}: ${setting} = ${values.join(", ")} for ${arms.join(", ")}`,
    ),
    `trains  ${training.length} distinct stages, ${number(total("steps"))} steps, ${number(total("tokens"))} tokens`,
    ...table,
    `evaluates ${evaluations.length} times: ${experiment.evaluations.map(({ name, settings }) => `${name} (${settings.task})`).join(", ")}`,
    `training takes about ${formatDuration(total("seconds"))} at ${(forecast.flopsPerSecond / 1e12).toPrecision(3)} TFLOP/s (${forecast.rateSource})`,
  ].join("\n");
}
