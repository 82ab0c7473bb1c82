/** @file The reasons of an experiment's responses: where the responses lie, and what was found in them. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { InputError, RunError } from "../base/errors.js";
import { hashFile } from "../base/hash.js";
import type { JudgedBy } from "../eval/judge/describe.js";
import type { ArmReasons, Example } from "../eval/reasons/counts.js";
import { loadResults } from "../eval/run-folder.js";
import { agenticMisalignment } from "../eval/tasks/agentic-misalignment.js";
import { type ReasonsOf, type ReasonsSource, samplesOf } from "../jobs/reasons.js";
import { isDone } from "./execute/done.js";
import { readMatrix } from "./folder.js";
import type { Matrix } from "./matrix.js";

/** Within an experiment's folder. */
export const REASONS_FOLDER = "reasons";

/** What the report of an experiment holds of them. */
export interface ReasonsRecord {
  /** The responses that were read are no longer those of the experiment. */
  isStale: boolean;
  kinds: string[];
  arms: ArmReasons[];
  examples: Example[];
  judgedBy: JudgedBy;
}

/**
 * The evaluations of agentic misalignment of an experiment's arms.
 * @throws InputError where there is none, RunError where one is not finished
 */
export function responsesOf(folder: string): ReasonsOf {
  const { experiment, matrix } = readMatrix(folder);
  const sources = sourcesOf(matrix);
  if (sources.length === 0) throw new InputError(`${folder}: the experiment has no evaluation of agentic-misalignment`);
  const open = matrix.jobs.filter((job) => sources.some((one) => one.folder === job.config.out) && !isDone(job));
  if (open.length > 0)
    throw new RunError(`${folder}: ${open.length} of ${sources.length} evaluations are not finished: run goes on`);
  return { sources, model: experiment.model, dtype: "bf16" };
}

/** Of the arms as the file gives them; sweeps are left out. Two evaluations may look at the same answers. */
function sourcesOf({ jobs, cells }: Matrix): ReasonsSource[] {
  const seen = new Set<string>();
  return cells.flatMap(({ arm, seed, sweep, job: id }) => {
    const job = jobs.find((one) => one.id === id)!;
    if (sweep !== null || job.kind !== "eval" || job.config.task !== agenticMisalignment.name || seen.has(id))
      return [];
    seen.add(id);
    return [{ arm, seed, folder: job.config.out }];
  });
}

/** What `eval reasons` found in the responses of the experiment in `folder`; undefined where it did not run. */
export async function readReasons(folder: string, matrix: Matrix): Promise<ReasonsRecord | undefined> {
  const found = join(folder, REASONS_FOLDER);
  if (!existsSync(join(found, "results.json"))) return undefined;
  const { results, settings, inputs } = loadResults(found) as {
    results: Pick<ReasonsRecord, "arms" | "examples" | "judgedBy">;
    settings: { kinds: string[] };
    inputs: { answers: { sha256: string }[] };
  };
  const hashes = await Promise.all(sourcesOf(matrix).map((source) => hashFile(samplesOf(source.folder))));
  const isStale = JSON.stringify(hashes) !== JSON.stringify(inputs.answers.map(({ sha256 }) => sha256));
  return { isStale, kinds: settings.kinds, ...results };
}
