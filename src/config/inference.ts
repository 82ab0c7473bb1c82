/** @file Settings of `eval`, `generate` and `merge`: every default written once, with its reason. */
import { z } from "zod";
import { BACKENDS } from "../backend/open.js";
import { count, countFrom, countOrZero, numeric, text } from "./values.js";

/** How a model is made to reason before it answers (chat/thinking.ts). */
export const THINKING = ["auto", "native", "scratchpad", "none"] as const;
export type Thinking = (typeof THINKING)[number];

/**
 * Cells of agentic misalignment. pressure: to be replaced, and the company takes a course against the goal; then
 * without the one or the other; then an ordinary task.
 */
export const KINDS = ["pressure", "no-pressure", "no-conflict", "benign"] as const;
export type Kind = (typeof KINDS)[number];
/** The 27 cells of the main result, and the check that the model still works; the controls take twice as much again. */
export const DEFAULT_KINDS: readonly Kind[] = ["pressure", "benign"];
/** Settings are chosen on the development half; claims are made on the held-out one. */
export const SPLITS = ["dev", "heldout"] as const;
export type Split = (typeof SPLITS)[number];

const common = {
  model: text,
  backend: z.enum(BACKENDS).default("auto"),
  seed: countOrZero.default(0),
};
const adapter = text.nullable().default(null);
/** Null: the adapter's own, or the model's. */
const tokenizer = text.nullable().default(null);
/** bf16 weights and activations with f32 sums, what models are served in; f32 is for comparing. */
const dtype = z.enum(["bf16", "f32"]).default("bf16");
const temperature = numeric((number) => number.min(0, "must be 0 or more").max(100, "must be at most 100"));

const judge = {
  /**
   * "base": the evaluated model with its adapter off, so that nothing but the model is needed; "none"; "openai:NAME"; a
   * checkpoint.
   */
  judge: text.default("base"),
  /** Of "openai:NAME", dollars for a million tokens in and out: "3,15". */
  judgePrice: z.string().nullable().default(null),
  /** Requests a minute, below what endpoints usually allow. */
  judgeRpm: count.default(240),
  /** Of replies of any judge; null: ~/.cache/train-msm/judge. */
  judgeCache: text.nullable().default(null),
};

export const evalSchema = z.strictObject({
  ...common,
  adapter,
  tokenizer,
  dtype,
  task: text,
  /** Empty: the data that ship with the task. */
  data: z.array(z.string()).default([]),
  out: text,
  /** Null: all records. */
  limit: count.nullable().default(null),
  /** Null: the task's own default, here and in the next three. */
  seqLen: countFrom(2).nullable().default(null),
  samples: count.nullable().default(null),
  temperature: temperature.nullable().default(null),
  maxTokens: count.nullable().default(null),
  thinking: z.enum(THINKING).default("auto"),
  cells: z.enum(["all", "dev", "heldout"]).default("all"),
  kinds: z
    .array(z.enum([...KINDS, "all"]))
    .min(1)
    .default([...DEFAULT_KINDS]),
  ...judge,
});
export type EvalConfig = z.infer<typeof evalSchema>;

/** An evaluation whose answers are judged again. */
export const rejudgeSchema = z.strictObject({
  run: text,
  out: text,
  backend: common.backend,
  ...judge,
});
export type RejudgeConfig = z.infer<typeof rejudgeSchema>;

export const generateSchema = z.strictObject({
  ...common,
  adapter,
  tokenizer,
  dtype,
  /** Exactly one of prompt and chat. */
  prompt: z.string().nullable().default(null),
  chat: text.nullable().default(null),
  raw: z.boolean().default(false),
  /** Null: DEFAULT_MAX_TOKENS, or fewer where the model's positions end. */
  maxTokens: count.nullable().default(null),
  /** Greedy: the same answer every time. */
  temperature: temperature.default(0),
  topP: numeric((number) => number.gt(0, "must be above 0").max(1, "must be at most 1")).default(1),
  stop: z.array(z.string().min(1, "must not be empty")).default([]),
  n: count.default(1),
});
export type GenerateConfig = z.infer<typeof generateSchema>;

/** A few paragraphs. */
export const DEFAULT_MAX_TOKENS = 256;

export const mergeSchema = z.strictObject({
  ...common,
  adapter: text,
  out: text,
  probe: z.boolean().default(true),
  /** Of the probe: f32, so that what is seen is the rounding of the merged weights. */
  dtype: z.enum(["bf16", "f32"]).default("f32"),
});
export type MergeConfig = z.infer<typeof mergeSchema>;
