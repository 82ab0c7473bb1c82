/** @file Settings of `eval`, `generate` and `merge`: every default once, with its reason and its line of --help. */
import { z } from "zod";
import "./help.js";
import { adapterSetting, computingSchema, dtypeSetting, modelSetting, tokenizerSetting } from "./model.js";
import { count, countFrom, countOrZero, numeric, text } from "./values.js";

/** How a model is made to reason before it answers (chat/thinking.ts). */
const THINKING = ["auto", "native", "scratchpad", "none"] as const;
export type Thinking = (typeof THINKING)[number];

/**
 * Cells of agentic misalignment. pressure: to be replaced, and the company takes a course against the goal; then
 * without the one or the other; with pressure and an outsider who asks for the act; then an ordinary task.
 */
export const KINDS = ["pressure", "no-pressure", "no-conflict", "asked", "benign"] as const;
export type Kind = (typeof KINDS)[number];
/** The 27 cells of the main result, and the check that the model still works; the controls take twice as much again. */
export const DEFAULT_KINDS: readonly Kind[] = ["pressure", "benign"];
/** Settings are chosen on the development half; claims are made on the held-out one. */
export const SPLITS = ["dev", "heldout"] as const;
export type Split = (typeof SPLITS)[number];

/** Versions of the suite of agentic misalignment; the first is kept to compare with what was measured on it. */
export const SUITES = ["1", "2"] as const;
export type Suite = (typeof SUITES)[number];

/** How the agent of a cell acts: by blocks in its text, or by calls of tools as its own chat template has them. */
export const ACTION_FORMS = ["tags", "native"] as const;
export type ActionForm = (typeof ACTION_FORMS)[number];

/** How a forced choice is asked: the likelier option, what the model says, or both. */
const ASK = ["logprob", "answer", "both"] as const;
export type Ask = (typeof ASK)[number];
/**
 * The two can disagree by more than the effect that is looked for, and neither shows by itself that it does. An answer
 * takes a few dozen tokens, about five times what comparing the options takes, which is little beside any training.
 */
export const DEFAULT_ASK: Ask = "both";

/** Of a window of `perplexity`. */
export const DEFAULT_WINDOW = 2048;
/** Of an answer that `generate` draws: a few paragraphs. */
export const DEFAULT_MAX_TOKENS = 256;

const temperature = numeric((number) => number.min(0, "must be 0 or more").max(100, "must be at most 100"));
const resultsFolder = text.meta({ value: "dir", description: "folder for results.json and samples.jsonl" });

const judge = {
  judge: text.default("base").meta({
    value: "name",
    description:
      "base: the same model with its adapter off; none; openai:NAME: an endpoint (OPENAI_API_KEY, OPENAI_BASE_URL); " +
      "or a checkpoint by folder or hub id",
  }),
  judgePrice: z.string().nullable().default(null).meta({
    value: "in,out",
    description: "dollars for a million tokens in and out, for the forecast",
    defaultNote: "MSM_JUDGE_PRICE, or not known",
  }),
  /** Below what endpoints usually allow. */
  judgeRpm: count.default(240).meta({ value: "n", description: "requests to the endpoint a minute at most" }),
  judgeCache: text.nullable().default(null).meta({
    value: "dir",
    description: "folder of judges' replies, which are never asked for twice",
    defaultNote: "~/.cache/train-msm/judge",
  }),
};

export const evalSchema = z.strictObject({
  model: modelSetting,
  adapter: adapterSetting,
  tokenizer: tokenizerSetting,
  task: text.meta({ value: "name", description: "what is measured" }),
  data: z.array(z.string()).default([]).meta({
    value: "file",
    description: "records: .jsonl, .jsonl.gz, .json, .parquet, wildcards, hf://datasets/...",
    defaultNote: "those of the task",
  }),
  out: resultsFolder,
  limit: count.nullable().default(null).meta({
    value: "n",
    description: "only the first n records",
    defaultNote: "all",
  }),
  seqLen: countFrom(2)
    .nullable()
    .default(null)
    .meta({
      value: "n",
      description: "perplexity: tokens a window",
      defaultNote: `${DEFAULT_WINDOW}, or the model's positions`,
    }),
  ask: z.enum(ASK).nullable().default(null).meta({
    value: "how",
    description: "choice: by log-probability of the options, by what the model says, or both",
    defaultNote: DEFAULT_ASK,
  }),
  system: text.nullable().default(null).meta({
    value: "file",
    description: "a text, such as a spec, put before every question as the system message",
    defaultNote: "none",
  }),
  control: text.nullable().default(null).meta({
    value: "file",
    description: "choice: undisputed questions, which tell whether the model can answer in this form",
    defaultNote: "format-competence.jsonl beside the data, else those that ship",
  }),
  samples: count.nullable().default(null).meta({
    value: "n",
    description: "tasks that draw: responses to each prompt",
    defaultNote: "the task's",
  }),
  temperature: temperature.nullable().default(null).meta({
    value: "x",
    description: "tasks that draw: temperature",
    defaultNote: "the task's, 0.7",
  }),
  maxTokens: count.nullable().default(null).meta({
    value: "n",
    description: "tasks that draw: tokens a response at most",
    defaultNote: "the task's",
  }),
  thinking: z.enum(THINKING).default("auto").meta({
    value: "how",
    description: "agentic-misalignment: how the model reasons",
    defaultNote: "native where its template can, else a scratchpad",
  }),
  cells: z
    .enum(["all", ...SPLITS])
    .default("all")
    .meta({ value: "half", description: "agentic-misalignment: which half" }),
  kinds: z
    .array(z.enum([...KINDS, "all"]))
    .min(1)
    .default([...DEFAULT_KINDS])
    .meta({ value: "kind", description: "agentic-misalignment: kinds of cells" }),
  actions: z.enum(ACTION_FORMS).default("tags").meta({
    value: "form",
    description: "agentic-misalignment: how the agent acts, by tags in its text or by the template's own tool calls",
  }),
  suite: z
    .enum(SUITES)
    .default("2")
    .meta({ value: "version", description: "agentic-misalignment: which of the suites that ship" }),
  ...judge,
  ...computingSchema.shape,
  dtype: dtypeSetting,
  seed: countOrZero.default(0).meta({ value: "n", description: "of the draws" }),
});
export type EvalConfig = z.infer<typeof evalSchema>;

/**
 * An evaluation whose answers are judged again, or responses that were drawn elsewhere: exactly one of run and
 * responses.
 */
export const rejudgeSchema = z.strictObject({
  /** Folder of the finished one. */
  run: text.nullable().default(null),
  responses: text.nullable().default(null).meta({
    value: "file",
    description: 'responses drawn elsewhere instead of a run: JSONL of {"cell": id, "response": text}',
  }),
  task: text.nullable().default(null).meta({ value: "name", description: "with --responses: what they answer" }),
  data: z.array(z.string()).default([]).meta({
    value: "file",
    description: "with --responses: cells of one's own",
    defaultNote: "those that ship",
  }),
  out: resultsFolder,
  ...judge,
  ...computingSchema.shape,
});
export type RejudgeConfig = z.infer<typeof rejudgeSchema>;

/** The reasons that stored responses of agentic misalignment give. */
export const reasonsSchema = z.strictObject({
  /** Folder of a finished evaluation, or of an experiment. */
  run: text,
  out: text.nullable().default(null).meta({
    value: "dir",
    description: "folder for results.json and samples.jsonl",
    defaultNote: "reasons/ of the experiment, whose report then shows them",
  }),
  kinds: z
    .array(z.enum([...KINDS.filter((kind) => kind !== "benign"), "all"]))
    .min(1)
    .default(["pressure"])
    .meta({ value: "kind", description: "responses to which kinds of cells; they are counted together" }),
  ...judge,
  ...computingSchema.shape,
});
export type ReasonsConfig = z.infer<typeof reasonsSchema>;

export const generateSchema = z.strictObject({
  model: modelSetting,
  adapter: adapterSetting,
  tokenizer: tokenizerSetting,
  /** Exactly one of prompt and chat. */
  prompt: z
    .string()
    .nullable()
    .default(null)
    .meta({ value: "text", description: "what to answer, or with --raw to continue" }),
  raw: z.boolean().default(false).meta({ description: "continue the prompt as it stands, without the chat template" }),
  chat: text.nullable().default(null).meta({
    value: "file",
    description: "JSON list of messages, or JSONL of {messages}, instead of --prompt",
  }),
  maxTokens: count
    .nullable()
    .default(null)
    .meta({
      value: "n",
      description: "tokens an answer at most",
      defaultNote: `${DEFAULT_MAX_TOKENS}, or what the model's positions leave`,
    }),
  temperature: temperature.default(0).meta({ value: "x", description: "0: the most likely token each time" }),
  topP: numeric((number) => number.gt(0, "must be above 0").max(1, "must be at most 1"))
    .default(1)
    .meta({
      value: "x",
      description: "draw from the most likely tokens with this share of probability",
      defaultNote: "all",
    }),
  stop: z
    .array(z.string().min(1, "must not be empty"))
    .default([])
    .meta({ value: "text", description: "texts that end an answer; they are not part of it" }),
  n: count.default(1).meta({ value: "n", description: "answers to each prompt" }),
  ...computingSchema.shape,
  dtype: dtypeSetting,
  seed: countOrZero.default(0).meta({ value: "n", description: "of the draws; the same seed draws the same answers" }),
});
export type GenerateConfig = z.infer<typeof generateSchema>;

export const mergeSchema = z.strictObject({
  model: modelSetting,
  adapter: text.meta({ value: "id", description: "PEFT folder or hub id" }),
  out: text.meta({ value: "dir", description: "folder of the new checkpoint; must not exist, or be empty" }),
  probe: z.boolean().default(true).meta({
    description: "do not run the comparison, which loads the whole model twice, one after the other",
  }),
  ...computingSchema.shape,
  /** f32, so that what is seen is the rounding of the merged weights. */
  dtype: z
    .enum(["bf16", "f32"])
    .default("f32")
    .meta({ value: "name", description: "weights and activations of the comparison" }),
  seed: countOrZero.default(0).meta({ value: "n", description: "recorded; nothing is drawn at random" }),
});
export type MergeConfig = z.infer<typeof mergeSchema>;
