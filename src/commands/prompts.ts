/** @file What `generate` is asked: a prompt, or chats of a file. */
import { existsSync } from "node:fs";
import { InputError } from "../base/errors.js";
import { loadJson } from "../base/json.js";
import type { GenerateConfig } from "../config/inference.js";
import { readRecords } from "../corpus/files.js";
import { parseMessages } from "../corpus/records.js";
import { encodePrompt, renderChat } from "../tokenizer/chat.js";
import type { Message } from "../tokenizer/spans.js";
import type { Tokenizer } from "../tokenizer/tokenizer.js";

const MAX_CHAT_BYTES = 100_000_000;

export interface Prompt {
  /** As the model reads it. */
  text: string;
  ids: number[];
}

/** The prompts of --prompt or --chat, in the order of the file. */
export async function loadPrompts(config: GenerateConfig, tokenizer: Tokenizer): Promise<Prompt[]> {
  const { prompt, chat, raw } = config;
  if ((prompt === null) === (chat === null)) throw new InputError("give either --prompt TEXT or --chat FILE");
  if (prompt !== null) {
    if (raw || !tokenizer.chatTemplate) return [rawPrompt(tokenizer, prompt)];
    return [chatPrompt(tokenizer, [{ role: "user", content: prompt }], "--prompt")];
  }
  if (raw) throw new InputError("--raw continues a text: it goes with --prompt, not with --chat");
  const chats = await loadChats(chat!);
  return chats.map(({ messages, where }) => chatPrompt(tokenizer, messages, where));
}

/** The text as it stands, with what the tokenizer puts before every text. */
function rawPrompt(tokenizer: Tokenizer, text: string): Prompt {
  const ids = [...tokenizer.surround.before, ...tokenizer.encode(text, { addSpecialTokens: false })];
  if (ids.length === 0) throw new InputError("--prompt is empty, and this model has no token that begins a text");
  return { text, ids };
}

function chatPrompt(tokenizer: Tokenizer, messages: Message[], where: string): Prompt {
  if (messages.at(-1)!.role === "assistant")
    throw new InputError(`${where}: the last message is the assistant's; leave it out to have it written`);
  return {
    text: renderChat(tokenizer, messages, { where, addGenerationPrompt: true }),
    ids: encodePrompt(tokenizer, messages, { where }),
  };
}

/** A JSON file with one list of messages, or records {messages} as JSONL, a JSON list or Parquet. */
async function loadChats(path: string): Promise<{ messages: Message[]; where: string }[]> {
  if (!existsSync(path)) throw new InputError(`--chat ${path}: no such file`);
  if (path.endsWith(".json")) {
    const json = loadJson(path, MAX_CHAT_BYTES);
    const isMessages = Array.isArray(json) && json.every((item) => typeof item?.role === "string");
    if (isMessages) return [{ messages: parseMessages(json, "the list", path), where: path }];
    if (!Array.isArray(json)) return [{ messages: messagesOf(json, path), where: path }];
  }
  const chats: { messages: Message[]; where: string }[] = [];
  for await (const { value, where } of readRecords(path)) chats.push({ messages: messagesOf(value, where), where });
  if (chats.length === 0) throw new InputError(`--chat ${path}: no chats`);
  return chats;
}

function messagesOf(value: unknown, where: string): Message[] {
  return parseMessages((value as { messages?: unknown } | null)?.messages, "messages", where);
}
