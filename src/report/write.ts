/** @file What an experiment leaves for its readers: results.json, results.csv, answers.jsonl.gz, report.html. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { writeTextFile } from "../base/atomic.js";
import { loadJson } from "../base/json.js";
import { packagePath } from "../base/package.js";
import { TOO_FEW } from "../eval/statistics/format.js";
import type { Estimate } from "../eval/statistics/intervals.js";
import { readUpdates } from "../experiment/adapters.js";
import { readAnswers, writeAnswers } from "../experiment/answers.js";
import { isDone } from "../experiment/execute/done.js";
import type { Experiment } from "../experiment/file.js";
import { finishedPart } from "../experiment/folder.js";
import type { Matrix } from "../experiment/matrix.js";
import { readMeasurements } from "../experiment/outcomes.js";
import { withoutMachinePaths } from "../experiment/portable.js";
import { readReasons } from "../experiment/reasons.js";
import { type ExperimentRecord, gatherResults, recordOf } from "../experiment/record.js";
import { type Rate, summarize } from "../experiment/results.js";
import { csvLine } from "./csv.js";
import { escapeHtml } from "./page/html.js";
import type { PaperTables } from "./page/setup.js";
import { STYLE } from "./page/style.js";
import { readTranscripts } from "./page/transcripts.js";
import { formatSummary } from "./summary.js";

const ANSWERS = "answers.jsonl.gz";
const MAX_PAPER_BYTES = 1_000_000;
const MAX_RECORD_BYTES = 1_000_000_000;

/**
 * Gathers what all jobs wrote; writes results.json, results.csv, answers.jsonl.gz and report.html, and returns the
 * first.
 */
export async function writeResults(folder: string, experiment: Experiment, matrix: Matrix): Promise<ExperimentRecord> {
  const measured = await readMeasurements(experiment, matrix);
  const reasons = await readReasons(folder, matrix);
  const record = {
    ...recordOf(experiment, matrix, measured),
    ...(reasons && withoutMachinePaths({ reasons })),
    updates: readUpdates(matrix),
  };
  await writeAnswers(join(folder, ANSWERS), measured);
  await writeRecord(folder, record);
  await writeTextFile(join(folder, "report.html"), await renderReport(record, matrix));
  return record;
}

/**
 * Writes report.html of what is finished, which says first what is not and why; results.json and results.csv are for
 * the whole. Returns the same in lines for the
 * console.
 */
export async function writeUnfinished(
  folder: string,
  experiment: Experiment,
  matrix: Matrix,
  why: string,
): Promise<string> {
  const open = matrix.jobs.filter((job) => !isDone(job)).length;
  const status = `NOT FINISHED: ${open} of ${matrix.jobs.length} jobs are open. ${why}`;
  await writeTextFile(join(folder, "report.html"), await renderPart(experiment, matrix, status));
  const part = await gatherPart(experiment, matrix);
  return part === null ? status : `${status}\n\nof what is finished:\n${formatSummary(part.record)}`;
}

/** The report of what is finished so far, under `status`. */
export async function renderPart(experiment: Experiment, matrix: Matrix, status: string): Promise<string> {
  const part = await gatherPart(experiment, matrix);
  const line = `<p class="status"><strong>${escapeHtml(status)}</strong></p>`;
  if (part === null)
    return (
      `<!doctype html><html lang="en"><head><meta charset="utf-8">` +
      `<meta name="viewport" content="width=device-width, initial-scale=1"><style>${STYLE}</style>` +
      `<title>${escapeHtml(experiment.name)}</title></head>` +
      `<body>${line}</body></html>`
    );
  return (await renderReport(part.record, part.matrix)).replace("<header>", `${line}<header>`);
}

/** Null: of no arm everything is finished. */
async function gatherPart(
  given: Experiment,
  whole: Matrix,
): Promise<{ record: ExperimentRecord; matrix: Matrix } | null> {
  const { experiment, matrix } = finishedPart(given, whole);
  return matrix.arms.length === 0 ? null : { record: await gatherResults(experiment, matrix), matrix };
}

/**
 * Derives results.json and results.csv of a kept report again from its answers: rates, differences and claims; what
 * else it holds stays. report.html shows texts of answers, which are only in the folder of the run.
 */
export async function deriveResults(folder: string): Promise<ExperimentRecord> {
  const kept = loadJson(join(folder, "results.json"), MAX_RECORD_BYTES) as ExperimentRecord;
  const measured = await readAnswers(join(folder, ANSWERS), kept.experiment);
  const record = { ...kept, ...summarize(kept.experiment, kept.matrix, measured) };
  await writeRecord(folder, record);
  return record;
}

/** Whether `folder` holds a report without the run that it was made of. */
export function isKeptReport(folder: string): boolean {
  return !existsSync(join(folder, "matrix.json")) && existsSync(join(folder, ANSWERS));
}

async function writeRecord(folder: string, record: ExperimentRecord): Promise<void> {
  await writeTextFile(join(folder, "results.json"), `${JSON.stringify(record, null, 1)}\n`);
  await writeTextFile(join(folder, "results.csv"), ratesCsv(record.rates));
}

/** `matrix` says where the jobs are: the record does not. */
async function renderReport(record: ExperimentRecord, matrix: Matrix): Promise<string> {
  // Loads ECharts, which takes longer than many a command.
  const { renderPage } = await import("./page/page.js");
  return renderPage(record, await readTranscripts(record.experiment, matrix), readPaperTables());
}

/** The paper's tables, as they ship. */
function readPaperTables(): PaperTables {
  return loadJson(packagePath("experiments", "paper.json"), MAX_PAPER_BYTES) as PaperTables;
}

const CSV_COLUMNS = [
  "evaluation",
  "outcome",
  "slice",
  "arm",
  "sweep",
  "sweep_value",
  "n",
  "clusters",
  "mean",
  "se",
  "low",
  "high",
  "seeds",
  "over_seeds_low",
  "over_seeds_high",
  "undecided_low",
  "undecided_high",
];

/** Of a value that has an interval; "too few" where the data cannot give one. */
function ends({ value, low, high }: Estimate): (number | string | null)[] {
  return value === null ? [null, null] : [low ?? TOO_FEW, high ?? TOO_FEW];
}

function ratesCsv(rates: readonly Rate[]): string {
  const lines = rates.map(({ evaluation, outcome, slice, arm, sweep, estimate, overSeeds, seeds, bounds }) => [
    evaluation,
    outcome,
    slice,
    arm,
    sweep?.name,
    sweep?.value,
    estimate.n,
    estimate.clusters,
    estimate.value,
    estimate.se,
    ...ends(estimate),
    seeds.length,
    ...ends(overSeeds),
    bounds?.[0],
    bounds?.[1],
  ]);
  return [CSV_COLUMNS, ...lines].map(csvLine).join("");
}
