/** @file Settings of `serve`. */
import { z } from "zod";
import "./help.js";
import { computingSchema, dtypeSetting, modelSetting, tokenizerSetting } from "./model.js";
import { count, countFrom, numeric, text } from "./values.js";

export const serveSchema = z.strictObject({
  model: modelSetting,
  adapters: z.array(text).default([]).meta({
    value: "name=id",
    description: "adapters by the name they are asked for under: PEFT folders or hub ids",
    defaultNote: "none",
  }),
  name: text.nullable().default(null).meta({
    value: "name",
    description: "what the base is asked for under",
    defaultNote: "its hub id, or its folder's name",
  }),
  tokenizer: tokenizerSetting,
  host: text.default("127.0.0.1").meta({
    value: "address",
    description: "where to listen; another address than this machine's own needs a key of yours",
  }),
  port: numeric((number) =>
    number.int("must be a whole number").min(0, "must be 0 or more").max(65535, "must be at most 65535"),
  )
    .default(8000)
    .meta({ value: "n", description: "where to listen; 0: any free one" }),
  apiKey: text.nullable().default(null).meta({
    value: "key",
    description: "what clients must send to ask /v1",
    defaultNote: "MSM_API_KEY, or one that is made and printed",
  }),
  corsOrigin: text.nullable().default(null).meta({
    value: "origin",
    description: "an origin whose web pages may ask, or *",
    defaultNote: "none",
  }),
  maxModelLen: countFrom(4).nullable().default(null).meta({
    value: "n",
    description: "tokens of a prompt and its completion at most",
    defaultNote: "the model's positions, at most 32768",
  }),
  concurrency: count.nullable().default(null).meta({
    value: "n",
    description: "requests that run together; others wait",
    defaultNote: "what fills the backend",
  }),
  /** Enough for a harness that sends all it has; more would only wait for longer than clients do. */
  maxWaiting: count.default(1024).meta({
    value: "n",
    description: "requests that may wait; beyond that the answer is 429",
  }),
  ...computingSchema.shape,
  dtype: dtypeSetting,
});
export type ServeConfig = z.infer<typeof serveSchema>;
