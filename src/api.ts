/**
 * @file The package as scripts use it: what the commands call. Settings are those of the command line in camelCase
 * (config/), with the same defaults and the same messages: an InputError names a bad value and the fix, a RunError says
 * what failed.
 */
import { join } from "node:path";
import type { z } from "zod";
import { type BackendName, openBackend } from "./backend/open.js";
import type { ComputeDtype } from "./backend/tensor.js";
import { loadJson } from "./base/json.js";
import { continuationText, cutAtStop } from "./chat/continuation.js";
import { loadModel } from "./chat/load.js";
import { evalSchema } from "./config/inference.js";
import { parseOptions } from "./config/options.js";
import { trainSchema } from "./config/train.js";
import { parsePrompt } from "./corpus/records.js";
import { evaluate } from "./eval/evaluate.js";

import type { Evaluation, Json, PlacedSample } from "./eval/task.js";
import { taskByName } from "./eval/tasks/by-name.js";
import { readMatrix } from "./experiment/folder.js";
import type { ExperimentRecord } from "./experiment/record.js";
import { evaluateInto } from "./jobs/evaluation.js";
import { runTrain } from "./jobs/training.js";
import { generate } from "./model/generate.js";
import { type ScoreRequest, score, type TokenScores } from "./model/score.js";
import { writeResults } from "./report/write.js";
import { openProgress } from "./terminal/progress.js";
import { encodePrompt } from "./tokenizer/chat.js";
import type { Message } from "./tokenizer/spans.js";
import type { Tokenizer } from "./tokenizer/tokenizer.js";

export { InputError, RunError } from "./base/errors.js";
export type { CrossedEstimate, CrossedOptions, SeedRows } from "./eval/statistics/crossed.js";
export { crossedMean, pairedDifference, pairRows } from "./eval/statistics/crossed.js";
export type { Estimate, MeanEstimate } from "./eval/statistics/intervals.js";
export { boundedMean, meanInterval, wilson } from "./eval/statistics/intervals.js";
export type { Evaluation, ExperimentRecord, Json, Message, ScoreRequest, Tokenizer, TokenScores };

export type TrainOptions = z.input<typeof trainSchema>;
export type EvalOptions = z.input<typeof evalSchema>;

/**
 * Trains on documents; returns the PEFT folder of the adapter. Called again on the same `out`, it goes on, or finds the
 * run finished.
 */
export function midtrain(options: TrainOptions): Promise<string> {
  return trainInto("midtrain", options);
}

/** Alignment fine-tuning on chats; returns the PEFT folder of the adapter. `adapter` is what it continues. */
export function aft(options: TrainOptions): Promise<string> {
  return trainInto("aft", options);
}

async function trainInto(command: "midtrain" | "aft", options: TrainOptions): Promise<string> {
  const config = parseOptions(trainSchema, options);
  await runTrain(command, config, { plan: false, json: false, brief: true });
  return join(config.out, "adapter");
}

/** One of the built-in evaluations on data files, into a folder; returns what results.json holds. */
export function evaluateFiles(options: EvalOptions): Promise<Json> {
  return evaluateInto(parseOptions(evalSchema, options), openProgress(false));
}

/** results.json of an evaluation's or an experiment's folder. */
export function readResults(folder: string): Json {
  return loadJson(join(folder, "results.json"), 2 ** 30) as Json;
}

/** Summarises an experiment's folder anew: rates, paired differences, claims. */
export async function readExperiment(folder: string): Promise<ExperimentRecord> {
  const { experiment, matrix } = readMatrix(folder);
  return writeResults(folder, experiment, matrix);
}

export interface ModelOptions {
  /** Hugging Face folder or hub id. */
  model: string;
  /** PEFT folder or hub id. */
  adapter?: string;
  backend?: BackendName;
  /** Which of the GPUs that the process sees; MSM_DEVICE, or 0, unless given. */
  device?: number;
  dtype?: ComputeDtype;
}

/** A chat with what else its template is given. */
export interface ChatPrompt {
  messages: Message[];
  tools?: readonly unknown[];
  chat_template_kwargs?: Json;
}

export interface AnswerOptions {
  maxTokens?: number;
  /** 0, the default: the most likely token each time. */
  temperature?: number;
  topP?: number;
  seed?: number;
  stop?: readonly string[];
}

/** A model on a device. Close it when done: its memory is not JavaScript's. */
export interface Model {
  tokenizer: Tokenizer;
  /**
   * What the model answers to each chat; a text stands for one user turn. Tools and variables of the template are
   * given as training data give them.
   */
  answer(chats: readonly (string | Message[] | ChatPrompt)[], options?: AnswerOptions): Promise<string[]>;
  /** Log-probabilities of given tokens: of each request, those from `from` on. */
  score(requests: readonly ScoreRequest[]): Promise<TokenScores[]>;
  /**
   * A built-in evaluation that needs no judge ("choice", "multiple-choice", "perplexity", "capability") on records of
   * one's own.
   */
  evaluate(task: string, records: readonly unknown[]): Promise<Evaluation>;
  close(): void;
}

/** Loads model and adapter. Throws InputError naming what is missing, wrong or not implemented. */
export async function openModel(options: ModelOptions): Promise<Model> {
  const { model, adapter = null, dtype = "bf16" } = options;
  const backend = await openBackend(options.backend, options);
  const loaded = await loadModel(backend, { model, adapter, dtype }).catch((error: unknown) => {
    backend.close();
    throw error;
  });
  const { decoder, tokenizer } = loaded;
  return {
    tokenizer,
    async answer(chats, { maxTokens = 256, temperature = 0, topP = 1, seed = 0, stop = [] } = {}) {
      const prompts = chats.map((chat, i) => {
        const where = `chat ${i + 1}`;
        const { messages, ...options } = parsePrompt(
          typeof chat === "string" ? [{ role: "user", content: chat }] : chat,
          where,
        );
        return encodePrompt(tokenizer, messages, { ...options, where }).ids;
      });
      const decode = (ids: readonly number[]): string => tokenizer.decode(ids, { skipSpecialTokens: true });
      const stopIds = new Set(tokenizer.stopIds);
      const drawn = { maxTokens, temperature, topP, seed, stopIds, stopStrings: stop, decode };
      const completions = await generate(decoder, prompts, drawn);
      return completions.map(({ ids }, i) => cutAtStop(continuationText(tokenizer, prompts[i]!, ids), stop));
    },
    score: (requests) => score(decoder, requests),
    evaluate: (name, records) => {
      const task = taskByName(name);
      const placed = records.map((record, i): PlacedSample => {
        const where = `record ${i + 1}`;
        return { sample: task.parse(record, where), where, record };
      });
      return evaluate(task, placed, { decoder, tokenizer, settings: { seqLen: null }, onProgress: () => {} });
    },
    close() {
      loaded.free();
      backend.close();
    },
  };
}
