/** @file The tokenizer of a checkpoint: codec, chat template, and which tokens end what. */

import { InputError } from "../base/errors.js";
import { encodeChat } from "./chat.js";
import { type Codec, createCodec } from "./codec.js";
import { loadTokenizerFiles, type TokenizerFiles } from "./files.js";
import { type ChatCodec, compileTemplate } from "./template.js";

/** The tokenizer of a checkpoint. */
export interface Tokenizer extends ChatCodec {
  bosId: number | undefined;
  /** The token that ends a document; undefined where the checkpoint names none. */
  endOfTextId: number | undefined;
  /** The token that ends an assistant's turn in the chat template. */
  endOfTurnId: number | undefined;
  /** Tokens after which generation stops. */
  stopIds: number[];
}

/** Tokens that end a turn of a chat. Where one of them is eos_token, the checkpoint is chat-tuned. */
const END_OF_TURN = [
  "<|im_end|>",
  "<|eot_id|>",
  "<|eom_id|>",
  "<|end|>",
  "<|eot|>",
  "<end_of_turn>",
  "<|end_of_turn|>",
];
/** Tokens that end a document, in the order in which they are looked for. */
const END_OF_TEXT = ["<|endoftext|>", "<|end_of_text|>", "</s>", "<eos>"];

/**
 * Loads the tokenizer and chat template of a Hugging Face folder; bad or missing files are an InputError that names
 * them.
 */
export function loadTokenizer(folder: string): Tokenizer {
  const files = loadTokenizerFiles(folder);
  const codec = createCodec(files);
  const special = (name: string) => codec.tokenId(files.specialTokens.get(name) ?? "");
  const templateOf = (name: string) => {
    const source = files.chatTemplates.get(name);
    return source && compileTemplate(source.template, source.path, Object.fromEntries(files.specialTokens));
  };
  const chatTemplate = templateOf("default");
  const toolTemplate = templateOf("tool_use");
  const endOfTextId = findEndOfText(files, codec);
  const endOfTurnId = findEndOfTurn({ ...codec, chatTemplate });
  const stops = [...files.eosIds, special("eos_token"), endOfTextId, endOfTurnId];
  return {
    ...codec,
    chatTemplate,
    withTools: toolTemplate && { ...codec, chatTemplate: toolTemplate },
    otherTemplates: [...files.chatTemplates.keys()].filter((name) => name !== "default"),
    bosId: special("bos_token"),
    endOfTextId,
    endOfTurnId,
    stopIds: [...new Set(stops.filter((id) => id !== undefined))],
  };
}

/**
 * eos_token, unless that ends turns (Qwen's instruct models: <|im_end|>): then the first of END_OF_TEXT that the
 * vocabulary has (Qwen: <|endoftext|>, Llama 3: <|end_of_text|>). No eos_token: END_OF_TEXT, then eos_token_id of
 * generation_config.json or config.json.
 */
function findEndOfText(files: TokenizerFiles, codec: Codec): number | undefined {
  const eos = files.specialTokens.get("eos_token");
  const eosId = eos === undefined ? undefined : codec.tokenId(eos);
  if (eosId !== undefined && !END_OF_TURN.includes(eos!)) return eosId;
  const named = END_OF_TEXT.map((token) => codec.tokenId(token)).find((id) => id !== undefined);
  return named ?? eosId ?? files.eosIds[0];
}

function findEndOfTurn(codec: ChatCodec): number | undefined {
  if (codec.chatTemplate === undefined) return undefined;
  try {
    const chat = [
      { role: "user", content: "a" },
      { role: "assistant", content: "b" },
    ];
    const { ids, targets } = encodeChat(codec, chat);
    return ids[targets.lastIndexOf(1)];
  } catch (error) {
    // A template for other chats than this one; the records will show what is wrong with it.
    if (error instanceof InputError) return undefined;
    throw error;
  }
}
