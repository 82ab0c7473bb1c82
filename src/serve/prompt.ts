/** @file The prompt of a chat: the checkpoint's template, by the functions that training uses. */
import { parsePrompt } from "../corpus/records.js";
import { type EncodedPrompt, encodePrompt, type PromptEnd } from "../tokenizer/chat.js";
import { ApiError, toApiError } from "./errors.js";
import type { ServedModel } from "./models.js";
import type { ChatBody } from "./schemas.js";
import { withParsedArguments } from "./tool-calls.js";

type ChatFields = Pick<
  ChatBody,
  "messages" | "tools" | "chat_template_kwargs" | "add_generation_prompt" | "continue_final_message"
>;

/** Throws ApiError that names the field. */
export function chatPrompt({ tokenizer }: ServedModel, body: ChatFields): EncodedPrompt {
  const { messages, tools, chat_template_kwargs } = body;
  let prompt: EncodedPrompt;
  try {
    const chat = parsePrompt({ messages, tools, chat_template_kwargs }, "the chat");
    const turns = chat.messages.map(withParsedArguments);
    prompt = encodePrompt(tokenizer, turns, { ...chat, where: "the chat" }, endOf(body));
  } catch (error) {
    throw toApiError(error, "messages");
  }
  if (tools && tools.length > 0 && prompt.unwrittenTools > 0)
    throw new ApiError(400, "the chat template writes no tools, so the model would not know them", { param: "tools" });
  return prompt;
}

function endOf({ messages, add_generation_prompt, continue_final_message }: ChatFields): PromptEnd {
  if (continue_final_message) {
    if (add_generation_prompt)
      throw new ApiError(400, "continue_final_message goes with add_generation_prompt false", {
        param: "add_generation_prompt",
      });
    if (messages.at(-1)!.role !== "assistant")
      throw new ApiError(400, "continue_final_message: the last message must be the assistant's", {
        param: "continue_final_message",
      });
    return "open message";
  }
  return add_generation_prompt === false ? "message" : "generation prompt";
}
