/**
 * @file What an experiment file (YAML) may say, checked. Every default that is not the commands' own is written here,
 * with its reason.
 */
import { readFileSync } from "node:fs";
import { dirname, isAbsolute, join } from "node:path";
import { type Document, parseDocument } from "yaml";
import { z } from "zod";
import { InputError, messageOf } from "../base/errors.js";
import { formatValue } from "../base/json.js";
import { evalSchema } from "../config/inference.js";
import { trainSchema } from "../config/train.js";
import { count, countOrZero } from "../config/values.js";
import { generateCorpusSchema } from "../config/writing.js";

/** Words for arms. With one value given by the spec (s) the arm is there once for each spec. */
export const ARM_WORDS = {
  bare: "the model as it is",
  baseline: "instruction-tuned only (the paper's baseline)",
  aft: "alignment fine-tuning only",
  msm: "midtraining on the spec's documents",
  "msm+aft": "midtraining on the spec's documents, then alignment fine-tuning",
  neutral: "midtraining on documents without a value",
  "neutral+aft": "midtraining on documents without a value, then alignment fine-tuning",
  stripped: "midtraining on the spec's documents with the value attributed to nobody",
  "in-context": "the model as it is, with the spec in the system message: what midtraining has to beat",
  "stripped+aft": "midtraining on these, then alignment fine-tuning",
} as const;
export type ArmWord = keyof typeof ARM_WORDS;

const name = z.string().regex(/^(?!\.+$)[\w.-]+$/, "must be letters, digits, '.', '_' and '-', and not dots alone");
const data = z.array(z.string()).min(1);

/**
 * Settings of `midtrain` and `aft` (config/train.ts) that a stage may set, none of them by itself; the rest the
 * experiment decides.
 */
const {
  model: _m,
  adapter: _a,
  tokenizer: _t,
  data: _d,
  mix: _x,
  out: _o,
  seed: _s,
  backend: _b,
  ...trainShape
} = trainSchema.shape;
export const STAGE_SETTINGS: readonly string[] = Object.keys(trainShape);
const trainSettings = z.strictObject(
  Object.fromEntries(
    Object.entries(trainShape).map(([key, field]) => [
      key,
      (field instanceof z.ZodDefault ? field.unwrap() : field).optional(),
    ]),
  ) as unknown as { [K in keyof typeof trainShape]: z.ZodOptional<z.ZodType> },
);
const evalSettings = evalSchema.omit({ model: true, adapter: true, tokenizer: true, out: true, backend: true });

/** Sizes counted once, for a forecast where the files are not at hand. */
const recorded = z.strictObject({ records: count, tokens: count, targetTokens: count.optional() });

const corpus = z.strictObject({ data, recorded: recorded.optional() });

const customArm = z.strictObject({
  name,
  /** What its reader should know. */
  note: z.string().optional(),
  /** PEFT folder or hub id to begin with (with nothing else: evaluated as it is). */
  adapter: z.string().optional(),
  /** A spec's name, or "neutral". */
  midtrain: z.string().optional(),
  /** true: the shared set; otherwise the spec whose own set is taken. */
  aft: z.union([z.literal(true), z.string()]).optional(),
});

const sweep = z.strictObject({
  name: z.string().min(1),
  /** A setting of a kind of stage: "aft.records", "midtrain.maxSteps", ... */
  setting: z.string().regex(/^(midtrain|aft)\.\w+$/, 'must be "midtrain.<setting>" or "aft.<setting>"'),
  values: z.array(z.number()).min(2),
  arms: z.array(z.string()).min(1),
  seeds: z.array(countOrZero).min(1).optional(),
});

const experimentSchema = z.strictObject({
  name,
  /** In a sentence or two: the report begins with it. */
  question: z.string().min(1),
  /** Where it departs from what it follows; shown in the report. */
  notes: z.array(z.string()).default([]),
  model: z.string().min(1),
  /** Another tokenizer and chat template, for a base model without one. */
  tokenizer: z.string().min(1).nullable().default(null),
  /** The config.json of a model that may not be at hand, for the forecast. */
  recordedShape: z.string().optional(),
  /** Bytes of the device that the forecast plans for instead of this machine's. */
  recordedMemory: z.number().positive().optional(),
  /**
   * What the forecast reckons with instead of measurements on this machine: operations a second of large products,
   * bytes a second of memory.
   */
  recordedRate: z.strictObject({ flops: z.number().positive(), bytesPerSecond: z.number().positive() }).optional(),
  /** One seed shows nothing about seeds. */
  seeds: z.array(countOrZero).min(1).default([0, 1, 2]),
  training: trainSettings.default({}),
  midtrain: trainSettings.default({}),
  aft: trainSettings.extend({ data: data.optional(), recorded: recorded.optional() }).default({}),
  /** Instruction mix: shuffled into every AFT stage, and a stage of its own in arms without AFT. */
  instruct: trainSettings.extend({ data, recorded: recorded.optional() }).optional(),
  specs: z
    .record(
      name,
      z.strictObject({
        /** The spec itself, Markdown: shown, not trained on. */
        text: z.string().optional(),
        documents: corpus.optional(),
        /**
         * Settings of `corpus generate`, in place of documents: they are written from `text` before anything is hashed,
         * once, into `out`, whose other files may be named elsewhere as data.
         */
        generate: generateCorpusSchema.omit({ spec: true }).optional(),
        stripped: corpus.optional(),
        aft: corpus.optional(),
      }),
    )
    .default({}),
  neutral: corpus.optional(),
  arms: z
    .array(
      z.union([z.enum(Object.keys(ARM_WORDS) as [ArmWord]), customArm], {
        error: ({ input }) =>
          `${formatValue(input)} is neither one of ${Object.keys(ARM_WORDS).join(", ")} nor ` +
          `{${Object.keys(customArm.shape).join(", ")}} with a name`,
      }),
    )
    .min(1),
  evaluations: z
    .array(
      z.strictObject({
        name,
        label: z.string().optional(),
        /**
         * The spec whose value a larger share shows; of variants of one spec, the one that is expected to show most.
         */
        value: z.string().optional(),
        /** Which outcome of the task is compared and shown (default: its first is compared, all are shown). */
        outcome: z.string().optional(),
        /** Column of the paper's tables (experiments/paper.json) to put beside ours. */
        paper: z.string().optional(),
        /** The arm that the others are set against, where no value is measured (default: baseline, or bare). */
        against: z.string().optional(),
        /**
         * What questions that are no separate evidence share, one field or two that are crossed: [domain] where the
         * claim is about domains (default: the task's).
         */
        clusters: z.array(z.string()).min(1).max(2).optional(),
        recorded: recorded.optional(),
        settings: evalSettings,
      }),
    )
    .min(1),
  sweeps: z.array(sweep).default([]),
});

export type Experiment = z.infer<typeof experimentSchema>;
export type CustomArm = z.infer<typeof customArm>;
export type Sweep = z.infer<typeof sweep>;
export type Corpus = z.infer<typeof corpus>;

/**
 * Reads an experiment file. Paths in it that begin with "." are relative to it. Throws InputError naming the key that
 * is wrong.
 */
export function readExperiment(path: string): Experiment {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw new InputError(`${path} cannot be read: ${messageOf(error)}`);
  }
  const document = parseDocument(text);
  const [problem] = document.errors;
  if (problem) throw new InputError(`${path}: ${problem.message.split("\n")[0]}`);
  const result = experimentSchema.safeParse(placePaths(resolveAliases(document, path), dirname(path)));
  if (result.success) return withGenerated(result.data, path);
  const { path: place, message } = result.error.issues[0]!;
  throw new InputError(`${path}: ${place.length > 0 ? `${place.join(".")}: ` : ""}${message}`);
}

/** Throws InputError where aliases stand for too much. */
function resolveAliases(document: Document, path: string): unknown {
  try {
    return document.toJS();
  } catch (error) {
    throw new InputError(`${path}: ${messageOf(error)}`);
  }
}

/** The documents of a spec that has them written are those of its folder. */
function withGenerated(experiment: Experiment, path: string): Experiment {
  const specs = Object.entries(experiment.specs).map(([key, spec]) => {
    if (!spec.generate) return [key, spec] as const;
    if (spec.documents) throw new InputError(`${path}: specs.${key}: documents and generate: leave one of them out`);
    if (spec.text === undefined)
      throw new InputError(`${path}: specs.${key}: generate needs \`text\`, the spec itself`);
    return [key, { ...spec, documents: { data: [join(spec.generate.out, "documents.jsonl")] } }] as const;
  });
  return { ...experiment, specs: Object.fromEntries(specs) };
}

/** Every text that begins with "./" or "../" joined to `folder`. */
function placePaths(value: unknown, folder: string): unknown {
  if (typeof value === "string") return /^\.\.?\//.test(value) && !isAbsolute(value) ? join(folder, value) : value;
  if (Array.isArray(value)) return value.map((item) => placePaths(item, folder));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, placePaths(item, folder)]));
}
