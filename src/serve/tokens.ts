/** @file /tokenize, /detokenize and /tokenizer_info, as vLLM has them: lm-eval counts tokens with them. */
import type { z } from "zod";
import { loadTokenizerFiles } from "../tokenizer/files.js";
import { ApiError } from "./errors.js";
import { sendJson } from "./events.js";
import type { Call } from "./handler.js";
import { tokenText } from "./logprobs.js";
import type { ServedModel } from "./models.js";
import { chatPrompt } from "./prompt.js";
import type { detokenizeSchema, tokenizeSchema } from "./schemas.js";

/** The base's, where no model is named. */
function modelOf({ models }: Call, name: string | null | undefined): ServedModel {
  return name == null ? models.base() : models.get(name);
}

export function tokenize(call: Call, body: z.infer<typeof tokenizeSchema>): void {
  const model = modelOf(call, body.model);
  const tokens =
    "prompt" in body
      ? model.tokenizer.encode(body.prompt, { addSpecialTokens: body.add_special_tokens !== false })
      : chatPrompt(model, body).ids;
  sendJson(call.response, 200, {
    count: tokens.length,
    max_model_len: call.models.plan.maxModelLen,
    tokens,
    token_strs: body.return_token_strs ? tokens.map((id) => tokenText(model.tokenizer, id)) : null,
  });
}

export function detokenize(call: Call, { model, tokens }: z.infer<typeof detokenizeSchema>): void {
  const { tokenizer } = modelOf(call, model);
  const unknown = tokens.find((id) => tokenizer.tokenText(id) === undefined);
  if (unknown !== undefined)
    throw new ApiError(400, `token id ${unknown} is not in the vocabulary`, { param: "tokens" });
  sendJson(call.response, 200, { prompt: tokenizer.decode(tokens) });
}

export function tokenizerInfo(call: Call): void {
  const { config, specialTokens, chatTemplates } = loadTokenizerFiles(call.models.base().tokenizerFolder);
  const named = ["bos_token", "eos_token", "pad_token", "unk_token"];
  sendJson(call.response, 200, {
    ...Object.fromEntries(named.map((name) => [name, specialTokens.get(name) ?? null])),
    tokenizer_class: config["tokenizer_class"] ?? null,
    chat_template: chatTemplates.get("default")?.template ?? null,
  });
}
