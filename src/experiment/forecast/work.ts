/**
 * @file What an evaluation will ask: tokens to read and to draw, of the model and of its judge, counted before any of
 * it runs.
 */
import { DEFAULT_ASK, type EvalConfig } from "../../config/inference.js";
import { blankAnswer } from "../../eval/asking/answers.js";
import { promptsTogether } from "../../eval/asking/respond.js";
import { drawsOf } from "../../eval/asking/settings.js";
import { isJudged, type JudgedTask } from "../../eval/judge/judged-task.js";
import type { Draws, Task } from "../../eval/task.js";

/** Texts that a model reads, and what it writes after them. */
export interface Asking {
  texts: number;
  /** Tokens of all texts, each counted as often as it is run. */
  read: number;
  longest: number;
  /** Responses, of at most `maxTokens` each; 0: the texts are scored. */
  responses: number;
  maxTokens: number;
  /** Responses that are drawn at a time, where the backend takes so many. */
  together: number;
}

export interface EvaluationWork {
  model: Asking;
  /** null: no judge. Every question counts once; those without a readable reply are asked again. */
  judge: (Asking & { labelled: number }) | null;
}

type DrawSettings = Pick<EvalConfig, "samples" | "maxTokens"> & Partial<Pick<EvalConfig, "ask">>;

/**
 * Counts what `task` asks about `samples`; `count` is a text's tokens. What a judge's reply may take, and how many it
 * is asked at a time, are the judge's.
 */
export function countWork(
  task: Task,
  samples: readonly unknown[],
  settings: DrawSettings,
  judge: { maxTokens: number; together: number } | null,
  count: (text: string) => number,
): EvaluationWork {
  const texts = samples.flatMap((sample) => task.reads(sample)).map(count);
  const model = askingOf(task, texts, settings);
  if (!judge || !isJudged(task)) return { model, judge: null };
  const labelled = labelledTokens(task, count);
  const questions = [...labelled, ...questionTokens(task, samples, model, count)];
  const asked = { ...scoring(questions), responses: questions.length, ...judge, labelled: labelled.length };
  return { model, judge: asked };
}

/** What asking takes, of the tokens of each text. */
export function askingOf(task: Task, texts: readonly number[], settings: DrawSettings): Asking {
  const draws = drawsOf(task, settings);
  if (!draws) return scoring(texts);
  const drawn = drawing(texts, settings, draws);
  // Asked both ways, texts are read to be compared as well.
  const isBoth = task.asks === true && (settings.ask ?? DEFAULT_ASK) === "both";
  return isBoth ? { ...drawn, texts: drawn.texts + texts.length, read: drawn.read + sum(texts) } : drawn;
}

/** The same with `tokens` of a system message before every text; what all texts begin with is run once. */
export function toldAsking(asking: Asking, tokens: number): Asking {
  return { ...asking, read: asking.read + tokens, longest: asking.longest + tokens };
}

/** Of texts that are scored. */
export function scoring(texts: readonly number[]): Asking {
  const read = sum(texts);
  const longest = Math.max(0, ...texts);
  return { texts: texts.length, read, longest, responses: 0, maxTokens: 0, together: 0 };
}

function drawing(prompts: readonly number[], settings: DrawSettings, defaults: Draws): Asking {
  const samples = settings.samples ?? defaults.samples;
  const size = promptsTogether(prompts, samples);
  // A prompt by itself is run once for all responses to it.
  const runs = size === 1 ? 1 : samples;
  return {
    ...scoring(prompts),
    texts: runs * prompts.length,
    read: runs * sum(prompts),
    responses: samples * prompts.length,
    maxTokens: settings.maxTokens ?? defaults.maxTokens,
    together: size * samples,
  };
}

function labelledTokens(task: JudgedTask, count: (text: string) => number): number[] {
  return task.labelled().items.map(({ question: { system, user } }) => count(system) + count(user));
}

/** Of the questions about responses that are not there yet: as long as they may get. */
function questionTokens(
  task: JudgedTask,
  samples: readonly unknown[],
  { responses, maxTokens }: Asking,
  count: (text: string) => number,
): number[] {
  const blank = blankAnswer(responses / samples.length, maxTokens);
  return samples.flatMap((sample) =>
    task.questions(sample, blank).map(({ system, user }) => count(system) + count(user) + maxTokens),
  );
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
