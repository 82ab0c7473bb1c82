/** @file A checkpoint as judge, on this machine. */
import { InputError } from "../../base/errors.js";
import { seedOf } from "../../base/seed.js";
import { continuationText } from "../../chat/continuation.js";
import type { ReplyCache } from "../../endpoint/cache.js";
import { generate } from "../../model/generate.js";
import type { Decoder } from "../../model/weights.js";
import { encodePrompt } from "../../tokenizer/chat.js";
import type { Tokenizer } from "../../tokenizer/tokenizer.js";
import { type Judge, type JudgePrompt, type JudgeReply, type JudgeRoom, keptReply, readReply } from "./judge.js";

/** Room for a few sentences and the verdict. */
export const MAX_TOKENS = 256;
/** The first reply is the most likely one; a repeat of that would change nothing. */
const RETRY_TEMPERATURE = 0.7;
/** Prompts run together. */
export const GROUP = 32;

export interface LocalJudge {
  cache: ReplyCache;
  /** All that a reply depends on besides the question: the weights' hashes, dtype, backend. */
  identity: unknown;
  decoder: Decoder;
  tokenizer: Tokenizer;
  /** How it is named in the results. */
  description: Record<string, unknown>;
  close: () => void;
}

/** Throws InputError where the checkpoint has no chat template: it cannot be asked. */
export function localJudge({ cache, identity, decoder, tokenizer, description, close }: LocalJudge): Judge {
  checkTemplate(tokenizer, String(description["model"]));
  return {
    description: { ...description, maxTokens: MAX_TOKENS, temperature: 0, retryTemperature: RETRY_TEMPERATURE },
    check: async () => {},
    room: roomOf(tokenizer, decoder.weights.cos.rows),
    async ask(questions, attempt, onProgress) {
      const requestOf = ({ system, user }: JudgePrompt, which: number) => {
        return { identity, system, user, attempt: which, maxTokens: MAX_TOKENS };
      };
      const replies = questions.map((question) => keptReply(cache, question, attempt, requestOf));
      const open = replies.flatMap((reply, i) => (reply === null ? [i] : []));
      for (let begin = 0; begin < open.length; begin += GROUP) {
        onProgress(questions.length - open.length + begin);
        const group = open.slice(begin, begin + GROUP);
        const asked = group.map((i) => questions[i]!);
        for (const [place, reply] of (await askGroup(decoder, tokenizer, asked, attempt)).entries()) {
          const i = group[place]!;
          const question = questions[i]!;
          replies[i] = reply;
          if ("text" in reply && readReply(question, reply) !== null)
            await cache.save(requestOf(question, attempt), reply);
        }
      }
      onProgress(questions.length);
      return replies as JudgeReply[];
    },
    usage: () => null,
    close,
  };
}

/** Throws InputError where the checkpoint cannot be asked. */
export function checkTemplate({ chatTemplate }: Pick<Tokenizer, "chatTemplate">, judge: string): void {
  if (!chatTemplate)
    throw new InputError(`--judge ${judge}: it has no chat template, so it cannot be asked; name another judge`);
}

function encodeQuestion(tokenizer: Tokenizer, { system, user }: JudgePrompt): number[] {
  const messages = [
    { role: "system", content: system },
    { role: "user", content: user },
  ];
  const options = { where: "the judge's question", templateOptions: { enable_thinking: false } };
  return encodePrompt(tokenizer, messages, options).ids;
}

/** The room of a checkpoint that is asked as `localJudge` asks it. */
export function roomOf(tokenizer: Tokenizer, positions: number): JudgeRoom {
  return { positions, replyTokens: MAX_TOKENS, count: (prompt) => encodeQuestion(tokenizer, prompt).length };
}

async function askGroup(
  decoder: Decoder,
  tokenizer: Tokenizer,
  prompts: readonly JudgePrompt[],
  attempt: number,
): Promise<JudgeReply[]> {
  const encoded = prompts.map((prompt) => encodeQuestion(tokenizer, prompt));
  const room = decoder.weights.cos.rows - MAX_TOKENS;
  const fitting = encoded.filter(({ length }) => length <= room);
  const asked = prompts.filter((_, i) => encoded[i]!.length <= room);
  const completions = await generate(decoder, fitting, {
    maxTokens: MAX_TOKENS,
    temperature: attempt === 0 ? 0 : RETRY_TEMPERATURE,
    topP: 1,
    seed: asked.map(({ system, user }) => seedOf(attempt, system, user)),
    stopIds: new Set(tokenizer.stopIds),
    where: (prompt) => `the judge's reply ${prompt + 1}`,
  });
  const replies = completions
    .map(({ ids, end }, i) => ({ text: continuationText(tokenizer, fitting[i]!, ids), finish: end }))
    [Symbol.iterator]();
  return encoded.map(({ length }) =>
    length <= room
      ? replies.next().value!
      : {
          error: `a question of ${length} tokens does not fit the judge's ${decoder.weights.cos.rows} positions`,
          isOpen: false,
        },
  );
}
