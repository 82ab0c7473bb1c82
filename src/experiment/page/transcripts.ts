/** @file The answers that the report lets a reader browse: of every evaluation and arm the same samples, as many as keep the page small. */
import { createReadStream } from "node:fs";
import { join } from "node:path";
import { readLines } from "../../corpus/lines.js";
import type { Json } from "../../eval/task.js";
import { taskByName } from "../../eval/tasks.js";
import { parseJson } from "../../formats/json.js";
import type { Matrix } from "../matrix.js";
import type { Experiment } from "../schema.js";

/** Characters of prompts and responses of one arm in one evaluation. */
const CHARACTERS = 60_000;
const MOST = 200;

export interface Transcripts {
  evaluations: string[];
  arms: string[];
  /** [evaluation, arm, verdict, prompt, response, note]: numbers are places in the lists above. */
  rows: [number, number, string, string, string, string][];
}

export async function readTranscripts(experiment: Experiment, matrix: Matrix): Promise<Transcripts> {
  const shown = experiment.evaluations.filter(({ settings }) => taskByName(settings.task).show);
  const rows: Transcripts["rows"] = [];
  for (const [e, { name, settings }] of shown.entries()) {
    const task = taskByName(settings.task);
    for (const [a, { id }] of matrix.arms.entries()) {
      const cell = matrix.cells.find(
        ({ arm, evaluation, sweep }) => arm === id && evaluation === name && sweep === null,
      );
      const job = matrix.jobs.find(({ id }) => id === cell?.job)!;
      const path = join(job.config.out, "samples.jsonl");
      let [left, count] = [CHARACTERS, 0];
      for await (const { text, line } of readLines(createReadStream(path), path)) {
        const { record, score, answer } = parseJson(text, `${path} line ${line}`) as Record<string, unknown> & {
          record: Json;
        };
        // The development half is for those who tune.
        if (record["split"] === "dev") continue;
        for (const { prompt, response, verdict } of task.show!(record, score, answer)) {
          left -= prompt.length + response.length;
          if (left < 0 || count++ >= MOST) break;
          const note = ["scenario", "goal", "domain", "category"].flatMap((key) =>
            key in record ? [`${key} ${record[key]}`] : [],
          );
          rows.push([e, a, verdict, prompt, response, [...note, `seed ${cell?.seed ?? "–"}`].join(", ")]);
        }
        if (left < 0 || count >= MOST) break;
      }
    }
  }
  return {
    evaluations: shown.map(({ label, name }) => label ?? name),
    arms: matrix.arms.map(({ label }) => label),
    rows,
  };
}
