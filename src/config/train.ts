/** @file Settings of `midtrain` and `aft`: every default written once, with its reason. */
import { z } from "zod";
import { InputError } from "../errors.js";
import { SCHEDULES } from "../train/schedule.js";

const count = z.coerce.number().int().positive();
const countOrZero = z.coerce.number().int().nonnegative();

/** The paper's section 3; its sections 4 and 5 use 8,192. */
export const DEFAULT_SEQ_LEN = 4096;

/** Paper: Model Spec Midtraining, arXiv 2605.02087, appendix B.4. */
export const trainSchema = z.strictObject({
  model: z.string().min(1),
  adapter: z.string().min(1).nullable().default(null),
  data: z.array(z.string()).min(1),
  out: z.string().min(1),
  /** Rank and alpha of the paper. */
  r: count.default(64),
  alpha: z.coerce.number().positive().default(128),
  rslora: z.boolean().default(false),
  targets: z.array(z.string()).default(["all"]),
  /** Null: the smaller of DEFAULT_SEQ_LEN and the model's positions. */
  seqLen: count.nullable().default(null),
  /** The paper does not say; small enough that one epoch of a small corpus is hundreds of steps, which is what the effect needs. */
  batchSize: count.default(8),
  /** Rate, warm-up, schedule and decay of the paper. */
  lr: z.coerce.number().positive().default(1e-4),
  warmup: z.coerce.number().nonnegative().default(0.05),
  schedule: z.enum(SCHEDULES).default("cosine"),
  weightDecay: z.coerce.number().nonnegative().default(0.01),
  /** PyTorch's and the Hugging Face trainer's custom; 0 turns it off. */
  clip: z.coerce.number().nonnegative().default(1),
  beta1: z.coerce.number().min(0).lt(1).default(0.9),
  beta2: z.coerce.number().min(0).lt(1).default(0.999),
  eps: z.coerce.number().positive().default(1e-8),
  /** One epoch, as the paper; --max-steps alone goes round as often as it takes. */
  epochs: z.coerce.number().positive().nullable().default(null),
  maxSteps: count.nullable().default(null),
  seed: z.coerce.number().int().nonnegative().default(0),
  shuffle: z.boolean().default(true),
  heldout: z.array(z.string()).default([]),
  evalEvery: countOrZero.default(0),
  sampleEvery: countOrZero.default(0),
  /** What SIGKILL can cost; a checkpoint is 12 bytes a parameter of the adapter. */
  checkpointEvery: count.default(50),
  backend: z.enum(["auto", "cpu", "cuda"]).default("auto"),
  /** bf16 weights and activations with f32 sums, as everyone trains; f32 is for comparing. */
  dtype: z.enum(["bf16", "f32"]).default("bf16"),
});

export type TrainConfig = z.infer<typeof trainSchema>;

/** Checks the options of the command line. Throws InputError that names option, value and what is allowed. */
export function parseTrainConfig(options: Record<string, unknown>): TrainConfig {
  const result = trainSchema.safeParse(options);
  if (!result.success) {
    const { path, message, code } = result.error.issues[0]!;
    const name = String(path[0] ?? "");
    const flag = `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
    const value = JSON.stringify(options[name]);
    throw new InputError(code === "unrecognized_keys" ? message : `${flag} ${value ?? "is missing"}: ${message}`);
  }
  return result.data;
}
