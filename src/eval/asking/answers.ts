/** @file Responses that were drawn, and where they are kept until an evaluation is finished. */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { writeTextFile } from "../../base/atomic.js";
import { loadJson } from "../../base/json.js";

export interface Response {
  text: string;
  /** Null: it was drawn elsewhere. */
  tokens: number | null;
  /** "length": it was cut off at the token limit. */
  end: "stop" | "length";
}

/** The responses to one prompt. */
export interface Answer {
  /** As the model read it. */
  prompt: string;
  /** How it was made to reason. */
  thinking: "native" | "scratchpad" | "none" | "unknown";
  promptTokens: number | null;
  responses: Response[];
}

/** An answer of which nothing but the number and the length of its responses is known. */
export function blankAnswer(responses: number, tokens: number): Answer {
  const empty = { text: "", tokens, end: "length" as const };
  return { prompt: "", thinking: "none", promptTokens: 0, responses: Array.from({ length: responses }, () => empty) };
}

/** Answers that were drawn before, by what was asked. */
export interface AnswerStore {
  load(key: string): Answer[] | null;
  save(key: string, answers: Answer[]): Promise<void>;
}

const MAX_BYTES = 1_000_000_000;

/** A store in `folder`; `identity` is all that the answers depend on besides the key. `clear` removes it. */
export function openAnswers(folder: string, identity: unknown): AnswerStore & { clear(): void } {
  const pathOf = (key: string): string =>
    join(
      folder,
      `${createHash("sha256")
        .update(JSON.stringify([identity, key]))
        .digest("hex")}.json`,
    );
  return {
    load: (key) => (existsSync(pathOf(key)) ? (loadJson(pathOf(key), MAX_BYTES) as Answer[]) : null),
    async save(key, answers) {
      mkdirSync(folder, { recursive: true });
      await writeTextFile(pathOf(key), JSON.stringify(answers));
    },
    clear: () => rmSync(folder, { recursive: true, force: true }),
  };
}
