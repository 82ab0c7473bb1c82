/** @file Tokenizer folders for the tests. */

import { cpSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { loadTokenizer, type Tokenizer } from "../../src/tokenizer/tokenizer.js";
import { temporaryFolder } from "../formats/folder.js";

/** The byte-level tokenizer of make-chats.py: 256 bytes, a few merges, the special tokens of many families. */
export const BYTES = fileURLToPath(new URL("../fixtures/tokenizer/bytes/tokenizer.json", import.meta.url));

/** A folder with `tokenizerJson` and a tokenizer_config.json of these fields. */
export function tokenizerFolder(config: Record<string, unknown> = {}, tokenizerJson = BYTES): string {
  const folder = temporaryFolder();
  cpSync(tokenizerJson, join(folder, "tokenizer.json"));
  writeFileSync(join(folder, "tokenizer_config.json"), JSON.stringify(config));
  return folder;
}

/** A byte-level tokenizer with a chat template. */
export function byteTokenizer(config: Record<string, unknown> = {}): Tokenizer {
  return loadTokenizer(tokenizerFolder(config));
}

export const CHATML =
  "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";
