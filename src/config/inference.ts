/** @file Settings of `eval`, `generate` and `merge`: every default written once, with its reason. */
import { z } from "zod";
import { count, countFrom, countOrZero, numeric } from "./numbers.js";

const common = {
  model: z.string().min(1),
  backend: z.enum(["auto", "cpu", "cuda"]).default("auto"),
  seed: countOrZero.default(0),
};
const adapter = z.string().min(1).nullable().default(null);
/** bf16 weights and activations with f32 sums, what models are served in; f32 is for comparing. */
const dtype = z.enum(["bf16", "f32"]).default("bf16");

export const evalSchema = z.strictObject({
  ...common,
  adapter,
  dtype,
  task: z.string().min(1),
  data: z.array(z.string()).min(1),
  out: z.string().min(1),
  /** Null: all records. */
  limit: count.nullable().default(null),
  /** Null: the task's own default. */
  seqLen: countFrom(2).nullable().default(null),
});
export type EvalConfig = z.infer<typeof evalSchema>;

export const generateSchema = z.strictObject({
  ...common,
  adapter,
  dtype,
  /** Exactly one of prompt and chat. */
  prompt: z.string().nullable().default(null),
  chat: z.string().min(1).nullable().default(null),
  raw: z.boolean().default(false),
  /** Null: DEFAULT_MAX_TOKENS, or fewer where the model's positions end. */
  maxTokens: count.nullable().default(null),
  /** Greedy: the same answer every time. */
  temperature: numeric((number) => number.min(0, "must be 0 or more").max(100, "must be at most 100")).default(0),
  topP: numeric((number) => number.gt(0, "must be above 0").max(1, "must be at most 1")).default(1),
  stop: z.array(z.string().min(1, "must not be empty")).default([]),
  n: count.default(1),
});
export type GenerateConfig = z.infer<typeof generateSchema>;

/** A few paragraphs. */
export const DEFAULT_MAX_TOKENS = 256;

export const mergeSchema = z.strictObject({
  ...common,
  adapter: z.string().min(1),
  out: z.string().min(1),
  probe: z.boolean().default(true),
  /** Of the probe: f32, so that what is seen is the rounding of the merged weights. */
  dtype: z.enum(["bf16", "f32"]).default("f32"),
});
export type MergeConfig = z.infer<typeof mergeSchema>;
