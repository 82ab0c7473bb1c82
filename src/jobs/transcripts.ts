/**
 * @file Responses that were drawn elsewhere: JSONL of {"cell": id, "response": text}, read for a task's gate and judge.
 */
import { z } from "zod";
import type { ComputeDtype } from "../backend/tensor.js";
import { InputError } from "../base/errors.js";
import { hashFile } from "../base/hash.js";
import { checkJson, formatValue } from "../base/json.js";
import { VERSION } from "../base/package.js";
import { ACTION_FORMS } from "../config/inference.js";
import { readRecords } from "../corpus/files.js";
import { isJudged, type JudgedSample, type JudgedTask } from "../eval/judge/judged-task.js";
import { loadSamples } from "../eval/samples.js";
import type { Json, PlacedSample } from "../eval/task.js";
import { taskByName } from "../eval/tasks/by-name.js";
import type { RunConfig } from "../runs/run-folder.js";
import type { Progress } from "../terminal/progress.js";

/** Other fields of a line are its author's notes. */
const lineSchema = z.object({
  cell: z.string(),
  response: z.string(),
  /** "length": the response was cut off, so more might have followed. */
  end: z.enum(["stop", "length"]).default("stop"),
  actions: z.enum(ACTION_FORMS).default("tags"),
});

interface Transcripts {
  task: JudgedTask;
  /** One a line of the file, in its order. */
  samples: JudgedSample[];
  model: null;
  dtype: ComputeDtype;
  run: Pick<RunConfig, "settings" | "inputs" | "versions">;
  mark: (sample: Json) => Json;
}

/**
 * The responses of a file, each with the cell that it names.
 * @throws InputError that names the line: broken, or of a cell that is not there
 */
export async function loadTranscripts(
  { task: name, data, responses: path }: { task: string; data: readonly string[]; responses: string },
  progress: Progress,
): Promise<Transcripts> {
  const task = taskByName(name);
  if (!isJudged(task) || !task.transcripts)
    throw new InputError(`--task ${name} reads no responses of others; agentic-misalignment does`);
  const { transcripts } = task;
  const { samples: cells, files } = await loadSamples(task, data, null, { seqLen: null, kinds: ["all"], suite: "all" });
  const byId = new Map<string, PlacedSample>();
  for (const placed of cells) {
    const id = transcripts.idOf(placed.sample);
    const other = byId.get(id);
    if (other && JSON.stringify(other.record) !== JSON.stringify(placed.record))
      throw new InputError(`${placed.where}: another cell is called ${formatValue(id)} (${other.where})`);
    byId.set(id, placed);
  }
  if (!path.endsWith(".jsonl") && !path.endsWith(".jsonl.gz"))
    throw new InputError(`--responses ${path}: is no .jsonl; write one {"cell": id, "response": text} a line`);
  const samples: JudgedSample[] = [];
  const seen = new Map<string, string>();
  for await (const { value, where } of readRecords(path)) {
    const { cell, ...transcript } = checkJson(lineSchema, value, where);
    const placed = byId.get(cell);
    if (!placed)
      throw new InputError(`${where}: there is no cell ${formatValue(cell)}; the first is ${[...byId.keys()][0]}`);
    const key = JSON.stringify([cell, transcript.response]);
    const twin = seen.get(key);
    // A model may say the same twice, so both count.
    if (twin) progress.print(`${where}: the same response to the same cell as ${twin}; both count`);
    else seen.set(key, where);
    const answer = transcripts.answerOf(placed.sample, transcript);
    samples.push({ sample: placed.sample, where, record: placed.record, answer });
  }
  if (samples.length === 0) throw new InputError(`--responses ${path}: holds no responses`);
  return {
    task,
    samples,
    model: null,
    dtype: "bf16",
    run: {
      settings: { task: task.name },
      inputs: { data: files, responses: { path, sha256: await hashFile(path) } },
      versions: { trainMsm: VERSION, node: process.version },
    },
    mark: (sample) => ({
      cell: transcripts.idOf(task.parse(sample["record"], String(sample["where"]))),
      acted: transcripts.actedOf(sample["score"]),
      ...sample,
    }),
  };
}
