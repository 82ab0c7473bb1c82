/** @file What an experiment leaves for its readers: results.json, results.csv, report.html. */
import { join } from "node:path";
import { writeTextFile } from "../base/atomic.js";
import { loadJson } from "../base/json.js";
import { packagePath } from "../base/package.js";
import { isDone } from "../experiment/execute/done.js";
import type { Experiment } from "../experiment/file.js";
import { finishedPart } from "../experiment/folder.js";
import type { Matrix } from "../experiment/matrix.js";
import { type ExperimentRecord, gatherResults } from "../experiment/record.js";
import type { Rate } from "../experiment/results.js";
import { escapeHtml } from "./page/html.js";
import { renderPage } from "./page/page.js";
import type { PaperTables } from "./page/setup.js";
import { readTranscripts } from "./page/transcripts.js";
import { formatSummary } from "./summary.js";

const MAX_PAPER_BYTES = 1_000_000;

/** Gathers what all jobs wrote; writes results.json, results.csv and report.html, and returns the first. */
export async function writeResults(folder: string, experiment: Experiment, matrix: Matrix): Promise<ExperimentRecord> {
  const record = await gatherResults(experiment, matrix);
  await writeTextFile(join(folder, "results.json"), `${JSON.stringify(record, null, 1)}\n`);
  await writeTextFile(join(folder, "results.csv"), ratesCsv(record.rates));
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

/** `matrix` says where the jobs are: the record does not. */
async function renderReport(record: ExperimentRecord, matrix: Matrix): Promise<string> {
  return renderPage(record, await readTranscripts(record.experiment, matrix), readPaperTables());
}

/** The paper's tables, as they ship. */
function readPaperTables(): PaperTables {
  return loadJson(packagePath("experiments", "paper.json"), MAX_PAPER_BYTES) as PaperTables;
}

const CSV_COLUMNS = "evaluation,outcome,slice,arm,sweep,sweep_value,n,mean,se,low,high,seeds,over_seeds_se\n";

function ratesCsv(rates: readonly Rate[]): string {
  const cell = (value: unknown): string => (typeof value === "string" ? JSON.stringify(value) : String(value ?? ""));
  return (
    CSV_COLUMNS +
    rates
      .map(({ evaluation, outcome, slice, arm, sweep, overSamples, overSeeds, seeds }) =>
        [
          ...[evaluation, outcome, slice, arm, sweep?.name, sweep?.value, overSamples.n],
          ...[overSamples.value, overSamples.se, overSamples.low, overSamples.high, seeds.length, overSeeds.se],
        ]
          .map(cell)
          .join(","),
      )
      .map((line) => `${line}\n`)
      .join("")
  );
}
