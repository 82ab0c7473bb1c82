/** @file The matrix of an experiment for people: what will be trained and evaluated, and what it will take. */

import { formatBytes } from "../base/bytes.js";
import { costOf, parsePrice } from "../endpoint/cost.js";
import type { Experiment } from "../experiment/file.js";
import { isEndpoint } from "../experiment/forecast/evaluation.js";
import type { Forecast, JobForecast } from "../experiment/forecast/experiment.js";
import type { Cell, Job, Matrix } from "../experiment/matrix.js";
import { formatDuration } from "../terminal/progress.js";
import { rateNotes } from "../terminal/rate-notes.js";
import { alignColumns } from "../terminal/table.js";

const number = (value: number): string => Math.round(value).toLocaleString("en-US");

/** The arms, the jobs by kind, and the totals. */
export function formatMatrix(experiment: Experiment, matrix: Matrix, forecast: Forecast): string {
  const training = matrix.jobs.filter((job) => job.kind === "train");
  const evaluations = matrix.jobs.filter((job) => job.kind === "eval");
  const of = (job: Job): JobForecast => forecast.jobs.get(job.id)!;
  const total = (jobs: readonly Job[], key: "tokens" | "steps" | "seconds"): number =>
    jobs.reduce((sum, job) => sum + (of(job)[key] ?? 0), 0);
  const cellsOf = (name: string): Cell[] => matrix.cells.filter(({ evaluation }) => evaluation === name);
  // Seeds of one stage differ in nothing that is shown.
  const stages = groupBy(training, (job) => JSON.stringify([stageName(job), of(job).steps])).map((jobs) => {
    const { steps } = of(jobs[0]!);
    return row(stageName(jobs[0]!), jobs, `${number(steps ?? 0)} steps`, of(jobs[0]!));
  });
  const measured = experiment.evaluations.map(({ name, settings }) => {
    const own = new Set(cellsOf(name).map(({ job }) => job));
    const jobs = evaluations.filter(({ id }) => own.has(id));
    const forecasts = jobs.map(of);
    const largest = forecasts.find(({ bytes }) => bytes === Math.max(...forecasts.map((one) => one.bytes)))!;
    const { responses } = largest.work!.model;
    const same = experiment.evaluations.find((one) => cellsOf(one.name).some(({ job }) => own.has(job)))!;
    if (same.name !== name) return [`${name}: the answers of ${same.name}`, "", "", "", "", ""];
    return row(
      `${name} (${settings.task})`,
      jobs,
      responses > 0 ? `${number(responses)} responses` : "scored",
      largest,
    );
  });
  const seconds = [training, evaluations].map((jobs) => total(jobs, "seconds")) as [number, number];
  return [
    `${experiment.name}: ${experiment.question.trim()}`,
    `model   ${experiment.model}`,
    `arms    ${matrix.arms.map(({ id }) => id).join(", ")}`,
    `seeds   ${experiment.seeds.join(", ")}`,
    ...experiment.sweeps.map(
      ({ name, setting, values, arms }) => `sweep   ${name}: ${setting} = ${values.join(", ")} for ${arms.join(", ")}`,
    ),
    `trains  ${training.length} distinct stages, ${number(total(training, "steps"))} steps, ` +
      `${number(total(training, "tokens"))} tokens`,
    ...align(stages),
    ...new Set(training.flatMap((job) => lowRates(job, of(job)))),
    `evaluates ${evaluations.length} times, at most ${number(total(evaluations, "tokens"))} tokens read and drawn`,
    ...align(measured),
    ...judgeLines(experiment, matrix, forecast),
    `about ${formatDuration(seconds[0])} of training and at most ${formatDuration(seconds[1])} of evaluation at ` +
      `${(forecast.flopsPerSecond / 1e12).toPrecision(3)} TFLOP/s (${forecast.rateSource})`,
  ].join("\n");
}

/** Of a stage whose rate stays far below what was asked for. */
function lowRates(job: Job, { steps }: JobForecast): string[] {
  if (job.kind !== "train" || steps === null) return [];
  return rateNotes(job.config, steps).map((note) => `  note: ${stageName(job)}: ${note}`);
}

function stageName({ label }: Job): string {
  return label.replace(/, seed \d+$/, "");
}

function row(name: string, jobs: readonly Job[], amount: string, { tokens, bytes, seconds }: JobForecast): string[] {
  return [name, `${jobs.length} x`, amount, `${number(tokens)} tokens`, formatBytes(bytes), formatDuration(seconds)];
}

function align(rows: readonly string[][]): string[] {
  return alignColumns(rows).map((line) => `  ${line}`);
}

/**
 * What endpoints will be asked, over all arms and seeds. The labelled set is the same for all, and no reply is paid for
 * twice.
 */
function judgeLines(experiment: Experiment, matrix: Matrix, { jobs }: Forecast): string[] {
  const seen = new Set<string>();
  return experiment.evaluations.flatMap(({ name, settings }) => {
    const own = matrix.cells.filter(({ evaluation, job }) => evaluation === name && !seen.has(job));
    const times = new Set(own.map(({ job }) => job)).size;
    for (const { job } of own) seen.add(job);
    const judge = own[0] && jobs.get(own[0].job)!.work?.judge;
    if (!judge || !isEndpoint(settings)) return [];
    const { responses, labelled, read, maxTokens } = judge;
    const questions = times * (responses - labelled) + labelled;
    const input = (questions * read) / responses;
    const price = settings.judgePrice ?? process.env["MSM_JUDGE_PRICE"];
    const { input: perInput, output: perOutput } = price ? parsePrice(price, "judgePrice") : { input: 0, output: 0 };
    const cost = price
      ? `at most $${number(costOf({ input: perInput, output: 0 }, input, 0))} for what is sent, ` +
        `$${number(costOf({ input: 0, output: perOutput }, 0, questions * maxTokens))} for replies`
      : "cost not known (judgePrice, or MSM_JUDGE_PRICE)";
    return [
      `judge of ${name}: ${settings.judge}, ${number(questions)} questions, at most ${number(input)} tokens to ` +
        `send and ${number(questions * maxTokens)} in replies; ${cost}`,
    ];
  });
}

function groupBy<T>(items: readonly T[], keyOf: (item: T) => string): T[][] {
  const groups = new Map<string, T[]>();
  for (const item of items) groups.set(keyOf(item), [...(groups.get(keyOf(item)) ?? []), item]);
  return [...groups.values()];
}
