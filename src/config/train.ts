/** @file Settings of `midtrain` and `aft`: every default written once, with its reason. */
import { z } from "zod";
import { BACKENDS } from "../backend/open.js";
import { count, countFrom, countOrZero, notNegative, numeric, positive, text } from "./values.js";

/** AdamW's betas. */
const decay = numeric((number) => number.min(0, "must be 0 or more").lt(1, "must be below 1"));

const SCHEDULES = ["cosine", "linear", "constant"] as const;
export type Schedule = (typeof SCHEDULES)[number];

/** The paper's section 3; its sections 4 and 5 use 8,192. */
export const DEFAULT_SEQ_LEN = 4096;

/** Paper: Model Spec Midtraining, arXiv 2605.02087, appendix B.4. */
export const trainSchema = z.strictObject({
  model: text,
  adapter: text.nullable().default(null),
  /**
   * Of another folder or hub id, its chat template too: for a base model without one. Kept beside the adapter. Null:
   * the adapter's, or the model's.
   */
  tokenizer: text.nullable().default(null),
  data: z.array(z.string()).min(1),
  /** Null: all of the data. Otherwise as many records, drawn by the seed. */
  records: count.nullable().default(null),
  /** Shuffled in whole, whatever `records` says: an instruction mix. */
  mix: z.array(z.string()).default([]),
  out: text,
  /** Rank and alpha of the paper. */
  r: count.default(64),
  alpha: positive.default(128),
  rslora: z.boolean().default(false),
  targets: z.array(z.string()).default(["all"]),
  /** Null: the smaller of DEFAULT_SEQ_LEN and the model's positions. */
  seqLen: countFrom(2).nullable().default(null),
  /**
   * The paper does not say; small enough that one epoch of a small corpus is hundreds of steps, which is what the
   * effect needs.
   */
  batchSize: count.default(8),
  /** Rate, warm-up, schedule and decay of the paper. */
  lr: positive.default(1e-4),
  warmup: notNegative.default(0.05),
  schedule: z.enum(SCHEDULES).default("cosine"),
  weightDecay: notNegative.default(0.01),
  /** PyTorch's and the Hugging Face trainer's custom; 0 turns it off. */
  clip: notNegative.default(1),
  beta1: decay.default(0.9),
  beta2: decay.default(0.999),
  eps: positive.default(1e-8),
  /** One epoch, as the paper; --max-steps alone goes round as often as it takes. */
  epochs: positive.nullable().default(null),
  maxSteps: count.nullable().default(null),
  seed: countOrZero.default(0),
  shuffle: z.boolean().default(true),
  heldout: z.array(z.string()).default([]),
  evalEvery: countOrZero.default(0),
  sampleEvery: countOrZero.default(0),
  /** What SIGKILL can cost; a checkpoint is 12 bytes a parameter of the adapter. */
  checkpointEvery: count.default(50),
  backend: z.enum(BACKENDS).default("auto"),
  /** bf16 weights and activations with f32 sums, as everyone trains; f32 is for comparing. */
  dtype: z.enum(["bf16", "f32"]).default("bf16"),
});

export type TrainConfig = z.infer<typeof trainSchema>;
