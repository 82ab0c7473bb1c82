/** @file Tokenizer folders for the tests. */

import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { loadTokenizer, type Tokenizer } from "../../src/tokenizer/tokenizer.js";

/** The byte-level tokenizer of make-chats.py: 256 bytes, a few merges, the special tokens of many families. */
export const BYTES = fileURLToPath(new URL("../fixtures/tokenizer/bytes/tokenizer.json", import.meta.url));

/** Writes that tokenizer.json and a tokenizer_config.json of these fields into `folder`. */
export function writeTokenizer(folder: string, config: Record<string, unknown> = {}): void {
  cpSync(BYTES, join(folder, "tokenizer.json"));
  writeFileSync(join(folder, "tokenizer_config.json"), JSON.stringify(config));
}

/** The byte-level tokenizer with a chat template. */
export function byteTokenizer(config: Record<string, unknown> = {}): Tokenizer {
  const folder = mkdtempSync(join(tmpdir(), "msm-tokenizer-"));
  try {
    writeTokenizer(folder, config);
    return loadTokenizer(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

export const CHATML =
  "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' " +
  "}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";
