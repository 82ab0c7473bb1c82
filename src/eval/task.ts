/** @file What an evaluation is: samples, what the model is asked, how an answer is judged, what is reported. */
import type { Decoder } from "../model/weights.js";
import type { Tokenizer } from "../tokenizer/tokenizer.js";

/** Settings that change results; every task takes those it needs. */
interface TaskSettings {
  /** Tokens of a window of `perplexity`; null: the task's default. */
  seqLen: number | null;
}

export interface TaskContext {
  decoder: Decoder;
  tokenizer: Tokenizer;
  settings: TaskSettings;
  /** Called as the work goes on. */
  onProgress: (done: number, total: number) => void;
}

/** Plain JSON. */
export type Json = Record<string, unknown>;

/**
 * An evaluation. What is compared across runs is (name, version): raise the version when the same answers would get other results. Methods,
 * so that tasks of different samples fit one table.
 */
export interface Task<Sample = unknown, Answer = unknown, Score = unknown> {
  name: string;
  version: number;
  /** One line for --help. */
  summary: string;
  /** Whether data may be plain text files: each is one record {text}. */
  readsText?: boolean;
  /** Checks a record of a data file; throws InputError that names `where` and what is wrong. */
  parse(record: unknown, where: string): Sample;
  /** Asks the model; one answer a sample, in their order. */
  solve(context: TaskContext, samples: Sample[]): Promise<Answer[]>;
  /** Judges an answer: what is stored in samples.jsonl beside the sample. */
  score(sample: Sample, answer: Answer): Score;
  /** Rates, means and intervals over everything. */
  summarize(samples: Sample[], scores: Score[], context: TaskContext): Json;
  /** The results in a few lines for a person. */
  describe(results: Json): string[];
}
