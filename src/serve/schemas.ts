/**
 * @file Bodies of requests. What is not listed is refused; a field that is listed with one value alone is one that
 * clients send by default, and that changes nothing at that value.
 */
import { z } from "zod";
import { numberIn, wholeNumber } from "../base/json.js";

const MAX_CHOICES = 128;
const MAX_TOP_LOGPROBS = 20;
const MAX_PROMPTS = 1024;
/** OpenAI's limit. Clients of plain completions (lm-eval) send the lists of their tasks. */
const MAX_STOPS = 4;
const MAX_COMPLETION_STOPS = 16;

/** Clients send null for what they leave open. */
const optional = <T extends z.ZodType>(schema: T) =>
  schema.nullish().transform((value) => value ?? undefined) as unknown as z.ZodOptional<z.ZodNullable<T>>;
const only = (value: number | boolean | string) => optional(z.literal(value, `only ${value} is supported`));
const count = (least: number, most: number) => {
  const message = `must be a whole number from ${least} to ${most}`;
  return z.int(message).min(least, message).max(most, message);
};
const flag = z.boolean("must be true or false");
const maxTokens = count(0, Number.MAX_SAFE_INTEGER);
const stop = (most: number) => {
  const one = z.string().min(1, "must not be empty");
  return z.union([one, z.array(one).max(most, `at most ${most} texts`)], `a text or a list of at most ${most}`);
};
const anyObject = z.looseObject({});

const model = z.string("name a model; /v1/models lists them");

const drawing = {
  model,
  temperature: optional(numberIn(0, 100)),
  top_p: optional(numberIn(Number.MIN_VALUE, 1)),
  seed: optional(z.int("must be a whole number")),
  n: optional(wholeNumber(MAX_CHOICES)),
  stream: optional(flag),
  stream_options: optional(z.strictObject({ include_usage: optional(flag), include_obfuscation: only(false) })),
  frequency_penalty: only(0),
  presence_penalty: only(0),
  logit_bias: optional(z.strictObject({})),
  user: optional(z.string()),
};

const chatShape = {
  messages: z.array(z.looseObject({ role: z.string() }), "must be a list of messages").min(1, "must not be empty"),
  tools: optional(
    z
      .array(
        z.strictObject({ type: z.literal("function"), function: z.looseObject({ name: z.string().min(1) }) }),
        "must be a list of {type, function}",
      )
      .max(128),
  ),
  chat_template_kwargs: optional(anyObject),
  add_generation_prompt: optional(flag),
  continue_final_message: optional(flag),
};

export const chatSchema = z.strictObject({
  ...drawing,
  ...chatShape,
  max_tokens: optional(maxTokens.min(1, "must be at least 1")),
  max_completion_tokens: optional(maxTokens.min(1, "must be at least 1")),
  stop: optional(stop(MAX_STOPS)),
  logprobs: optional(flag),
  top_logprobs: optional(count(0, MAX_TOP_LOGPROBS)),
  tool_choice: optional(z.enum(["auto", "none"], 'only "auto" and "none" are supported')),
  parallel_tool_calls: only(true),
  response_format: optional(z.strictObject({ type: z.literal("text", 'only "text" is supported') })),
  modalities: optional(z.tuple([z.literal("text")])),
  metadata: optional(anyObject),
  store: only(false),
});
export type ChatBody = z.infer<typeof chatSchema>;

const tokenIds = z.array(z.int().min(0)).min(1, "must not be empty");
export const completionSchema = z.strictObject({
  ...drawing,
  prompt: z.union(
    [z.string(), z.array(z.string()).min(1).max(MAX_PROMPTS), tokenIds, z.array(tokenIds).min(1).max(MAX_PROMPTS)],
    `a text, token ids, or a list of at most ${MAX_PROMPTS} of either`,
  ),
  max_tokens: optional(maxTokens),
  stop: optional(stop(MAX_COMPLETION_STOPS)),
  logprobs: optional(count(0, MAX_TOP_LOGPROBS)),
  echo: optional(flag),
  best_of: only(1),
  suffix: optional(z.literal("")),
  add_special_tokens: optional(flag),
});
export type CompletionBody = z.infer<typeof completionSchema>;

export const loadAdapterSchema = z.strictObject({
  lora_name: z.string().min(1, "must not be empty"),
  lora_path: z.string().min(1, "must not be empty"),
});
export const unloadAdapterSchema = z.strictObject({
  lora_name: z.string().min(1, "must not be empty"),
  lora_int_id: optional(z.int()),
});

export const tokenizeSchema = z.union(
  [
    z.strictObject({
      model: optional(model),
      prompt: z.string(),
      add_special_tokens: optional(flag),
      return_token_strs: optional(flag),
    }),
    z.strictObject({ model: optional(model), ...chatShape, return_token_strs: optional(flag) }),
  ],
  "must be {prompt} or {messages}",
);
export const detokenizeSchema = z.strictObject({ model: optional(model), tokens: z.array(z.int().min(0)) });
