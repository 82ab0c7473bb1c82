/** @file The reasons that stored responses of agentic misalignment give, found by a judge, into a folder. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { openBackend } from "../backend/open.js";
import type { ComputeDtype } from "../backend/tensor.js";
import { InputError } from "../base/errors.js";
import { hashFile } from "../base/hash.js";
import { VERSION } from "../base/package.js";
import type { ReasonsConfig } from "../config/inference.js";
import { readRecords } from "../corpus/files.js";
import { type Cell, parseCell } from "../eval/agentic/cell.js";
import { askJudge, type Judgement } from "../eval/judge/judge.js";
import { describeJudgements } from "../eval/judge/judged-task.js";
import { describeJudgeInputs, isLocalJudge, openJudge } from "../eval/judge/open.js";
import { countReasons, examplesOf } from "../eval/reasons/counts.js";
import { reasonsAgreement } from "../eval/reasons/labelled.js";
import { type FoundReasons, reasonsQuestion } from "../eval/reasons/question.js";
import { evaluateOnce, writeEvaluation } from "../eval/run-folder.js";
import type { Json } from "../eval/task.js";
import { agenticMisalignment } from "../eval/tasks/agentic-misalignment.js";
import type { RunConfig } from "../runs/run-folder.js";
import { downloadProgress } from "../terminal/download.js";
import { countProgress, type Progress } from "../terminal/progress.js";

/** Raised when the same replies would give other counts. */
const VERSION_OF_REASONS = 1;

const NO_JUDGE = "--judge none: nobody reads the responses; name a judge";

/** A finished evaluation of agentic misalignment, of one arm and seed. */
export interface ReasonsSource {
  arm: string;
  /** Null: nothing of the arm was trained, or it is not known. */
  seed: number | null;
  folder: string;
}

/** What is asked about, and which model wrote it. */
export interface ReasonsOf {
  sources: readonly ReasonsSource[];
  model: string | null;
  dtype: ComputeDtype;
}

/** One response, and where it stands. */
interface Placed {
  source: ReasonsSource;
  where: string;
  /** Place among the responses to this cell. */
  index: number;
  cell: Cell;
  response: string;
}

/**
 * Asks the judge for the reasons of every response of `sources`, or finds that done; returns what results.json holds.
 * @throws InputError where there is nothing to read, OutageError where questions stay open
 */
export async function findReasonsInto(
  config: ReasonsConfig & { out: string },
  { sources, model, dtype }: ReasonsOf,
  progress: Progress,
): Promise<Json> {
  if (config.judge === "none") throw new InputError(NO_JUDGE);
  const placed = (await Promise.all(sources.map((source) => readResponses(source, config.kinds)))).flat();
  if (placed.length === 0)
    throw new InputError(`${sources[0]!.folder}: no response to a cell of --kinds ${config.kinds.join(" ")}`);
  const described = await describeJudgeInputs(config.judge, downloadProgress(progress));
  const answers = await Promise.all(
    sources.map(async ({ arm, seed, folder }) => ({ arm, seed, ...(await hashSamples(folder)) })),
  );
  const run: RunConfig = {
    command: "eval",
    settings: { task: "reasons", version: VERSION_OF_REASONS, kinds: config.kinds, ...described.settings },
    inputs: { answers, ...described.inputs },
    versions: { trainMsm: VERSION, node: process.version },
  };
  const onFound = (): void => progress.print(`${config.out} is finished`);
  return evaluateOnce(config.out, run, onFound, () => ask(config, { placed, model, dtype }, run, progress));
}

async function ask(
  config: ReasonsConfig & { out: string },
  { placed, model, dtype }: { placed: readonly Placed[]; model: string | null; dtype: ComputeDtype },
  run: RunConfig,
  progress: Progress,
): Promise<Json> {
  const backend = isLocalJudge(config.judge) ? await openBackend(config.backend, config) : null;
  try {
    const onDownload = downloadProgress(progress);
    const judge = await openJudge(config, { backend, dtype, model, print: progress.print, onDownload });
    if (!judge) throw new InputError(NO_JUDGE);
    const onProgress = countProgress(progress, "reasons");
    await judge.check();
    const agreement = await reasonsAgreement(judge, (done, total) => onProgress(done, total, "labelled set"));
    const questions = placed.map(({ cell, response }) => reasonsQuestion(cell, response));
    const judgements = await askJudge(judge, questions, (done) => onProgress(done, questions.length));
    judge.close();
    const transcripts = placed.map(({ source: { arm, seed }, cell }, i) => {
      return { arm, seed, cell: cell.id, found: judgements[i]!.value };
    });
    const arms = [...new Set(placed.map(({ source }) => source.arm))];
    const results = {
      arms: countReasons(arms, transcripts),
      examples: examplesOf(transcripts),
      judgedBy: { ...describeJudgements(judge, judgements), agreement },
    };
    const samples = placed.map((one, i) => sampleOf(one, judgements[i]!));
    return await writeEvaluation(config.out, run, { results, samples });
  } finally {
    backend?.close();
  }
}

function sampleOf({ source: { arm, seed }, where, index, cell, response }: Placed, judgement: Judgement<FoundReasons>) {
  return { arm, seed, cell: cell.id, where, index, response, judgement };
}

async function hashSamples(folder: string): Promise<{ path: string; sha256: string }> {
  const path = samplesOf(folder);
  return { path, sha256: await hashFile(path) };
}

/** The stored answers of an evaluation's folder. */
export function samplesOf(folder: string): string {
  return join(folder, "samples.jsonl");
}

async function readResponses(source: ReasonsSource, kinds: readonly string[]): Promise<Placed[]> {
  const path = samplesOf(source.folder);
  if (!existsSync(path)) throw new InputError(`${source.folder}: is no finished evaluation (samples.jsonl)`);
  const placed: Placed[] = [];
  const count = new Map<string, number>();
  for await (const { value, where } of readRecords(path)) {
    const { record, answer } = value as { record: unknown; answer?: { responses?: { text?: unknown }[] } };
    const cell = parseCell(record, where);
    if (!kinds.includes(cell.kind) && !kinds.includes("all")) continue;
    if (!Array.isArray(answer?.responses))
      throw new InputError(`${where}: has no responses; is this an evaluation of ${agenticMisalignment.name}?`);
    for (const { text } of answer.responses) {
      if (typeof text !== "string") throw new InputError(`${where}: a response has no text`);
      const index = count.get(cell.id) ?? 0;
      count.set(cell.id, index + 1);
      placed.push({ source, where, index, cell, response: text });
    }
  }
  return placed;
}
