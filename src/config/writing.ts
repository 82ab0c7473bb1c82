/** @file Settings of `corpus generate`: every default once, with its reason and its line of --help. */
import { z } from "zod";
import "./help.js";
import { computingSchema, dtypeSetting } from "./model.js";
import { count, countOrZero, notNegative, numeric, positive, text } from "./values.js";

const SUFFIXES: Record<string, number> = { "": 1, k: 1e3, M: 1e6, G: 1e9 };

/** "5M", "200k", or a number. */
const tokenCount = z.preprocess(
  (value) => {
    const [, digits, suffix] = (typeof value === "string" && /^(\d+(?:\.\d+)?)([kMG]?)$/.exec(value.trim())) || [];
    return digits === undefined ? value : Number(digits) * SUFFIXES[suffix!]!;
  },
  z.number("must be a number of tokens, such as 200k or 5M").int("must be a whole number").min(1, "must be at least 1"),
);

export const generateCorpusSchema = z.strictObject({
  spec: text.meta({ value: "file", description: "the spec, Markdown" }),
  out: text.meta({ value: "dir", description: "folder of the corpus; the same command goes on in it" }),
  writer: text.meta({
    value: "name",
    description:
      "openai:NAME (OPENAI_API_KEY, OPENAI_BASE_URL), anthropic:NAME (ANTHROPIC_API_KEY), or a checkpoint by folder " +
      "or hub id",
  }),
  critic: text.nullable().default(null).meta({
    value: "name",
    description: "what criticises and judges, in the same forms",
    defaultNote: "the writer",
  }),
  documents: countOrZero.default(2000).meta({ value: "n", description: "documents to be kept" }),
  chats: countOrZero.default(1000).meta({ value: "n", description: "chats to be kept" }),
  questions: countOrZero.default(200).meta({ value: "n", description: "forced choices to be kept, dev and heldout" }),
  subject: text.default("the assistant").meta({ value: "name", description: "what the model is called in the texts" }),
  maker: text.nullable().default(null).meta({ value: "name", description: "who made it", defaultNote: "not said" }),
  /** As many as make the held-out half's interval narrow enough, while three quarters of a spec are still taught. */
  heldout: numeric((number) => number.gt(0, "must be above 0").lt(1, "must be below 1"))
    .default(0.25)
    .meta({ value: "share", description: "of the claims, that no chat is about" }),
  reasoning: z.boolean().default(false).meta({ description: "chats think in <think> before they answer" }),
  reasons: z
    .boolean()
    .default(true)
    .meta({ description: "chats state preferences only: one that gives a reason is dropped" }),
  seed: countOrZero.default(0).meta({ value: "n", description: "of the plan, and of a local writer's draws" }),
  temperature: notNegative.nullable().default(null).meta({
    value: "x",
    description: "what texts are written at",
    defaultNote: "1 for a service, 0.7 for a checkpoint",
  }),
  maxCost: positive.nullable().default(null).meta({
    value: "dollars",
    description: "never passed, all runs of the folder together; needs --price",
    defaultNote: "no cap",
  }),
  price: z.string().nullable().default(null).meta({
    value: "in,out",
    description: "dollars for a million tokens in and out",
    defaultNote: "not known",
  }),
  criticPrice: z.string().nullable().default(null).meta({
    value: "in,out",
    description: "the critic's",
    defaultNote: "--price",
  }),
  maxTokens: tokenCount.nullable().default(null).meta({
    value: "n",
    description: "tokens in and out, never passed either: 200k, 5M",
    defaultNote: "no cap",
  }),
  /** Requests grow from four to this while the service keeps up, and halve where it does not. */
  concurrency: count.default(32).meta({ value: "n", description: "requests to a service under way together at most" }),
  rpm: count.default(1000).meta({ value: "n", description: "requests to a service a minute at most" }),
  cache: text.nullable().default(null).meta({
    value: "dir",
    description: "folder of replies, which are never asked for twice",
    defaultNote: "replies in --out",
  }),
  ...computingSchema.shape,
  dtype: dtypeSetting,
});
export type GenerateCorpusConfig = z.infer<typeof generateCorpusSchema>;
