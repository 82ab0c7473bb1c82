/** @file What an evaluation is: samples, what the model is asked, how an answer is judged, what is reported. */

import type { ActionForm, Ask, Suite, Thinking } from "../config/inference.js";
import type { Decoder } from "../model/weights.js";
import type { Tokenizer } from "../tokenizer/tokenizer.js";
import type { AnswerStore } from "./asking/answers.js";
import type { Counts } from "./counts.js";
import type { Judge, Judgement } from "./judge/judge.js";

/** Settings that change results; every task takes those it needs. Null or absent: the task's default. */
export interface TaskSettings {
  /** Tokens of a window of `perplexity`. */
  seqLen: number | null;
  /** Of tasks that draw responses: how many to a prompt, and how. */
  samples?: number | null;
  temperature?: number | null;
  maxTokens?: number | null;
  thinking?: Thinking;
  /** Of the draws, default 0. */
  seed?: number;
  /** Of tasks that can ask in several ways. */
  ask?: Ask | null;
  /** Of tasks with cells: the half, and the kinds. */
  cells?: "all" | "dev" | "heldout";
  kinds?: readonly string[];
  actions?: ActionForm;
  /** Of tasks with several suites of cells. */
  suite?: "all" | Suite;
}

/** A sample with its place in the data. */
export interface PlacedSample {
  sample: unknown;
  where: string;
  /** The record as the file has it. */
  record: unknown;
}

export interface TaskContext {
  decoder: Decoder;
  tokenizer: Tokenizer;
  settings: TaskSettings;
  /** Put before every question as the system message; null or absent: nothing. */
  system?: string | null;
  /** Of tasks with control questions: these instead of the ones that ship. */
  control?: readonly PlacedSample[];
  /** Of judged tasks; null or absent: nothing is decided by a judge. */
  judge?: Judge | null;
  /** Keeps drawn responses, so that an evaluation that was cut off goes on where it stopped. */
  answers?: AnswerStore;
  /** Called as the work goes on; `phase` where there are several. */
  onProgress: (done: number, total: number, phase?: string) => void;
}

/** What a task draws by default. */
export interface Draws {
  samples: number;
  temperature: number;
  maxTokens: number;
}

/** One answer for a reader. */
export interface Shown {
  prompt: string;
  response: string;
  /** A word or two that answers can be filtered by. */
  verdict: string;
}

/**
 * What is compared of a sample. Where a part of it is undecided: the value of what is decided (null: nothing is), and
 * what it would be if the undecided all counted for the one side, or the other.
 */
export type Outcome = number | { value: number | null; low: number; high: number };

/** Plain JSON. */
export type Json = Record<string, unknown>;

export interface Evaluation {
  /** Rates, means and intervals. */
  results: Json;
  /** One for each sample: its record and everything that was measured. */
  samples: Json[];
}

/**
 * An evaluation. What is compared across runs is (name, version): raise the version when the same answers would get
 * other results. Methods, so that tasks of different samples fit one table.
 */
export interface Task<Sample = unknown, Answer = unknown, Score = unknown> {
  name: string;
  version: number;
  /** One line for --help. */
  summary: string;
  /** Whether data may be plain text files: each is one record {text}. */
  readsText?: boolean;
  /** Data files that ship with the package, used where none are given. */
  data?: readonly string[];
  /**
   * How responses are drawn by default, where they are: then the settings of draws are part of what makes two
   * evaluations the same.
   */
  draws?: Draws;
  /** Whether `ask` says how: then nothing is drawn with "logprob", and answers are compared as well with "both". */
  asks?: boolean;
  /**
   * Questions whose answer nobody disputes, put in the same format: what they say of the model goes into every result.
   */
  control?: { data: string; summarize(scores: readonly Score[]): Json; describe(results: Json): string[] };
  /** The records that one record of the data stands for. */
  expand?(record: unknown, where: string): unknown[];
  /** Whether a sample is among those that the settings ask for. */
  keeps?(sample: Sample, settings: TaskSettings): boolean;
  /** Checks a record of a data file; throws InputError that names `where` and what is wrong. */
  parse(record: unknown, where: string): Sample;
  /**
   * Fields of a record that say what is asked, not which group it belongs to; the other short ones divide the samples
   * of an experiment.
   */
  fields?: readonly string[];
  /** The texts of a sample that the model reads, each once: what a forecast counts. */
  reads(sample: Sample): string[];
  /** Asks the model; one answer a sample, in their order. */
  solve(context: TaskContext, samples: Sample[]): Promise<Answer[]>;
  /**
   * Scores an answer: what is stored in samples.jsonl beside the sample. A judged task (judged.ts) is given what the
   * judge said.
   */
  score(sample: Sample, answer: Answer, judgements?: readonly Judgement<unknown>[]): Score;
  /** How many answers a sample asked for, and what became of them. */
  counts(score: Score, answer: Answer, judgements?: readonly Judgement<unknown>[]): Counts;
  /**
   * What is compared across models, by name, the main one first; null where the sample has nothing to do with it.
   * Shares are 0 to 1; of several answers to one sample, their mean.
   */
  outcomes(score: Score): Record<string, Outcome | null>;
  /** What outcomes that are not shares can be: [least, most]. */
  ranges?: Record<string, readonly [number, number]>;
  /**
   * Fields by which samples hang together, so that they are no separate evidence: those of the first list that all
   * records have; with two fields, samples that share either. Absent: every sample is separate evidence.
   */
  clusters?: readonly (readonly string[])[];
  /** Outcomes in words, for tables. */
  legend: Record<string, string>;
  /** What a reader sees of a sample and what came of it; absent: nothing that is worth reading. */
  show?(record: Json, score: Score, answer?: Answer): Shown[];
  /** Rates, means and intervals over everything. */
  summarize(samples: Sample[], scores: Score[], context: TaskContext): Json;
  /** The results in a few lines for a person. */
  describe(results: Json): string[];
}
