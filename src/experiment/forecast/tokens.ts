/** @file Whether the model has the tokens of what an evaluation will ask: known before anything is trained. */
import type { Task } from "../../eval/task.js";
import type { ModelConfig } from "../../shape/config.js";
import { checkTokenIds } from "../../shape/token-ids.js";
import { encodePrompt } from "../../tokenizer/chat.js";
import type { Tokenizer } from "../../tokenizer/tokenizer.js";

/** A model with the tokenizer that it is asked with. */
export interface Reader {
  tokenizer: Tokenizer;
  model: Pick<ModelConfig, "vocabSize">;
}

/**
 * Throws InputError naming `where` and the first id that the embedding does not have. A question is encoded as one user
 * turn where there is a chat template, as evaluations put it: text of special tokens stays text there.
 */
export function checkAskedTokens(task: Pick<Task, "readsText">, text: string, where: string, reader: Reader): void {
  const { tokenizer, model } = reader;
  const isChat = task.readsText !== true && tokenizer.chatTemplate !== undefined;
  const ids = isChat
    ? encodePrompt(tokenizer, [{ role: "user", content: text }], { where }).ids
    : tokenizer.encode(text);
  checkTokenIds(ids, model.vocabSize, where, (id) => tokenizer.tokenText(id));
}
