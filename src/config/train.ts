/** @file Settings of `midtrain` and `aft`: every default written once, with its reason and its line of --help. */
import { z } from "zod";
import "./help.js";
import { adapterSetting, computingSchema, dtypeSetting, modelSetting, tokenizerSetting } from "./model.js";
import { count, countFrom, countOrZero, notNegative, numeric, positive, text } from "./values.js";

/** AdamW's betas. */
const decay = numeric((number) => number.min(0, "must be 0 or more").lt(1, "must be below 1"));
const files = z.array(z.string(), "give it");

const SCHEDULES = ["cosine", "linear", "constant"] as const;
export type Schedule = (typeof SCHEDULES)[number];

/** What becomes of a chat that is longer than a row. */
const LONG_CHATS = ["refuse", "drop", "split"] as const;

/** The paper's section 3; its sections 4 and 5 use 8,192. */
export const DEFAULT_SEQ_LEN = 4096;

/** Paper: Model Spec Midtraining, arXiv 2605.02087, appendix B.4. */
export const trainSchema = z.strictObject({
  model: modelSetting,
  data: files.min(1).meta({
    value: "file",
    description:
      "JSONL (.gz), JSON, Parquet, .txt or .md files, wildcards, or hf://datasets/<owner>/<name>[/<split or file>]",
  }),
  records: count.nullable().default(null).meta({
    value: "n",
    description: "train on n records of the data, drawn by the seed",
    defaultNote: "all",
  }),
  /** Shuffled in whole, whatever `records` says. */
  mix: files.default([]).meta({
    value: "file",
    description: "more data, shuffled in whole: an instruction mix",
    defaultNote: "none",
  }),
  out: text.meta({ value: "dir", description: "run folder: adapter/, log.jsonl, config.json, checkpoint/" }),
  adapter: adapterSetting.meta({
    value: "id",
    description: "PEFT folder or hub id to continue; it decides r, alpha and targets",
    defaultNote: "a new one",
  }),
  tokenizer: tokenizerSetting,
  /** Rank and alpha of the paper. */
  r: count.default(64).meta({ value: "n", description: "rank" }),
  alpha: positive.default(128).meta({ value: "x", description: "the adapter's scale is alpha / r" }),
  rslora: z.boolean().default(false).meta({ description: "scale alpha / sqrt(r)" }),
  targets: z
    .array(z.string())
    .default(["all"])
    .meta({ value: "name", description: "projections: q k v o gate up down" }),
  seqLen: countFrom(2)
    .nullable()
    .default(null)
    .meta({
      value: "n",
      description: "tokens a row; records are packed, and do not see each other",
      defaultNote: `${DEFAULT_SEQ_LEN}, or the model's positions`,
    }),
  skipBadRows: z
    .boolean()
    .default(false)
    .meta({ description: "leave out rows that are no records, and count them (default: the first ends the run)" }),
  /** Without its beginning a chat asks something else: it is cut only where that is asked for. */
  longChats: z.enum(LONG_CHATS).default("refuse").meta({
    value: "what",
    description: "chats, completions and input_ids longer than a row: end the run, leave them out, or cut them",
  }),
  /**
   * The paper does not say; small enough that one epoch of a small corpus is hundreds of steps, which is what the
   * effect needs.
   */
  batchSize: count.default(8).meta({ value: "n", description: "rows an optimiser step" }),
  /** Rate, warm-up, schedule and decay of the paper. */
  lr: positive.default(1e-4).meta({ value: "x", description: "peak rate" }),
  warmup: notNegative.default(0.05).meta({ value: "x", description: "below 1: share of the steps, otherwise steps" }),
  schedule: z.enum(SCHEDULES).default("cosine").meta({ value: "name", description: "rate after the warm-up" }),
  weightDecay: notNegative.default(0.01).meta({ value: "x", description: "AdamW's" }),
  /** PyTorch's and the Hugging Face trainer's custom. */
  clip: notNegative.default(1).meta({ value: "x", description: "largest gradient norm, 0 for none" }),
  beta1: decay.default(0.9).meta({ value: "x", description: "AdamW's" }),
  beta2: decay.default(0.999).meta({ value: "x", description: "AdamW's" }),
  eps: positive.default(1e-8).meta({ value: "x", description: "AdamW's" }),
  /** One epoch, as the paper; --max-steps alone goes round as often as it takes. */
  epochs: positive.nullable().default(null).meta({
    value: "x",
    description: "times over the data",
    defaultNote: "1, or what --max-steps takes",
  }),
  maxSteps: count.nullable().default(null).meta({
    value: "n",
    description: "optimiser steps at most; without --epochs: exactly",
    defaultNote: "no limit",
  }),
  seed: countOrZero.default(0).meta({ value: "n", description: "of initialisation and order" }),
  shuffle: z.boolean().default(true).meta({ description: "keep the order of the data" }),
  heldout: files.default([]).meta({ value: "file", description: "data for a held-out loss", defaultNote: "none" }),
  evalEvery: countOrZero.default(0).meta({
    value: "n",
    description: "steps between held-out losses; there is always one after the last",
    defaultNote: "only then",
  }),
  sampleEvery: countOrZero.default(0).meta({ value: "n", description: "steps between samples", defaultNote: "never" }),
  /** What SIGKILL can cost; a checkpoint is 12 bytes a parameter of the adapter. */
  checkpointEvery: count.default(50).meta({ value: "n", description: "steps between saved states" }),
  ...computingSchema.shape,
  dtype: dtypeSetting,
});

export type TrainConfig = z.infer<typeof trainSchema>;
