/** @file What `generate` is asked: a prompt, or chats of a file. */
import { existsSync } from "node:fs";
import { InputError } from "../base/errors.js";
import { loadText, parseOrderedJson } from "../base/json.js";
import type { GenerateConfig } from "../config/inference.js";
import { readRecords } from "../corpus/files.js";
import { type Chat, parsePrompt } from "../corpus/records.js";
import { type ChatNotes, type EncodedPrompt, encodePrompt } from "../tokenizer/chat.js";
import type { Tokenizer } from "../tokenizer/tokenizer.js";

const MAX_CHAT_BYTES = 100_000_000;

/** A prompt as the model reads it; only chats have notes. */
export type Prompt = Pick<EncodedPrompt, "text" | "ids"> & Partial<ChatNotes>;

/** The prompts of --prompt or --chat, in the order of the file. */
export async function loadPrompts(config: GenerateConfig, tokenizer: Tokenizer): Promise<Prompt[]> {
  const { prompt, chat, raw } = config;
  if ((prompt === null) === (chat === null)) throw new InputError("give either --prompt TEXT or --chat FILE");
  if (prompt !== null) {
    if (raw || !tokenizer.chatTemplate) return [rawPrompt(tokenizer, prompt)];
    return [chatPrompt(tokenizer, { messages: [{ role: "user", content: prompt }] }, "--prompt")];
  }
  if (raw) throw new InputError("--raw continues a text: it goes with --prompt, not with --chat");
  const chats = await loadChats(chat!);
  return chats.map(({ chat, where }) => chatPrompt(tokenizer, chat, where));
}

/** The text as it stands, with what the tokenizer puts before every text. */
function rawPrompt(tokenizer: Tokenizer, text: string): Prompt {
  const ids = [...tokenizer.surround.before, ...tokenizer.encode(text, { addSpecialTokens: false })];
  if (ids.length === 0) throw new InputError("--prompt is empty, and this model has no token that begins a text");
  return { text, ids };
}

function chatPrompt(tokenizer: Tokenizer, { messages, ...options }: Chat, where: string): EncodedPrompt {
  if (messages.at(-1)!.role === "assistant")
    throw new InputError(`${where}: the last message is the assistant's; leave it out to have it written`);
  return encodePrompt(tokenizer, messages, { ...options, where });
}

/** A JSON file with one chat, or chats as JSONL, a JSON list or Parquet. */
async function loadChats(path: string): Promise<{ chat: Chat; where: string }[]> {
  if (!existsSync(path)) throw new InputError(`--chat ${path}: no such file`);
  if (path.endsWith(".json")) {
    const json = parseOrderedJson(loadText(path, MAX_CHAT_BYTES), path);
    const isMessages = Array.isArray(json) && json.every((item) => typeof item?.role === "string");
    if (isMessages || !Array.isArray(json)) return [{ chat: parsePrompt(json, path), where: path }];
  }
  const chats: { chat: Chat; where: string }[] = [];
  for await (const { value, where } of readRecords(path)) chats.push({ chat: parsePrompt(value, where), where });
  if (chats.length === 0) throw new InputError(`--chat ${path}: no chats`);
  return chats;
}
