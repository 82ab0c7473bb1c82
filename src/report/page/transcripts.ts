/**
 * @file The answers that the report lets a reader browse: of every evaluation and arm the same samples, as many as keep
 * the page small.
 */
import { createReadStream } from "node:fs";
import { join } from "node:path";
import { parseJson } from "../../base/json.js";
import { readLines } from "../../corpus/lines.js";
import type { Json, Shown } from "../../eval/task.js";
import { taskByName } from "../../eval/tasks/by-name.js";
import type { Experiment } from "../../experiment/file.js";
import type { Job, Matrix } from "../../experiment/matrix.js";

/** Characters of the responses of one arm in one evaluation, and of the evaluation's prompts, which are kept once. */
const CHARACTERS = 60_000;
const MOST = 200;

export interface Transcripts {
  evaluations: string[];
  arms: string[];
  prompts: string[];
  /** [evaluation, arm, verdict, prompt, response, note]: numbers are places in the lists above. */
  rows: [number, number, string, number, string, string][];
}

/** The answers to one sample. */
interface Answered {
  shown: Shown[];
  note: string;
}

export async function readTranscripts(experiment: Experiment, matrix: Matrix): Promise<Transcripts> {
  const arms = matrix.arms.map(({ label }) => label);
  const all: Transcripts = { evaluations: [], arms, prompts: [], rows: [] };
  const places = new Map<string, number>();
  const placeOf = (prompt: string): number => {
    const place = places.get(prompt) ?? all.prompts.push(prompt) - 1;
    places.set(prompt, place);
    return place;
  };
  const seen = new Set<string>();
  for (const { name, label, settings } of experiment.evaluations) {
    const cells = matrix.arms.map(({ id }) =>
      matrix.cells.find(({ arm, evaluation, sweep }) => arm === id && evaluation === name && sweep === null),
    );
    // Two evaluations may look at the same answers.
    if (!taskByName(settings.task).show || cells.some((cell) => cell && seen.has(cell.job))) continue;
    for (const cell of cells) if (cell) seen.add(cell.job);
    const e = all.evaluations.push(label ?? name) - 1;
    let every: number | null = null;
    for (const [a, cell] of cells.entries()) {
      const job = matrix.jobs.find(({ id }) => id === cell?.job);
      if (!job) continue;
      const answered = await readAnswers(job, settings.task);
      every ??= spacing(answered);
      for (const { shown, note } of answered.filter((_, i) => i % every! === 0))
        for (const { prompt, response, verdict } of shown)
          all.rows.push([
            e,
            a,
            verdict,
            placeOf(prompt),
            response,
            [note, `seed ${cell?.seed ?? "–"}`].filter(Boolean).join(", "),
          ]);
    }
  }
  return all;
}

/** Every so many samples are shown: spread over the whole, since neighbours are alike. */
function spacing(answered: readonly Answered[]): number {
  const sum = (of: (shown: Shown[]) => number): number => answered.reduce((total, { shown }) => total + of(shown), 0);
  const responses = sum((shown) => shown.reduce((total, { response }) => total + response.length, 0));
  const prompts = sum(([first]) => first?.prompt.length ?? 0);
  const count = sum((shown) => shown.length);
  return Math.max(1, Math.ceil(Math.max(responses / CHARACTERS, prompts / (2 * CHARACTERS), count / MOST)));
}

async function readAnswers(job: Job, taskName: string): Promise<Answered[]> {
  const task = taskByName(taskName);
  const path = join(job.config.out, "samples.jsonl");
  const all: Answered[] = [];
  for await (const { text, line } of readLines(createReadStream(path), path)) {
    const { record, score, answer } = parseJson(text, `${path} line ${line}`) as Json & { record: Json };
    // The development half is for those who tune.
    if (record["split"] === "dev") continue;
    const note = ["kind", "scenario", "goal", "domain", "category"].flatMap((key) =>
      key in record ? [`${key} ${record[key]}`] : [],
    );
    all.push({ shown: task.show!(record, score, answer), note: note.join(", ") });
  }
  return all;
}
