/** @file A checkpoint as writer, in this process: requests that wait are answered together. */
import type { Backend } from "../backend/backend.js";
import { InputError } from "../base/errors.js";
import { seedOf } from "../base/seed.js";
import { continuationText, cutAtStop } from "../chat/continuation.js";
import { hashModel, type LoadedModel } from "../chat/load.js";
import type { GenerateCorpusConfig } from "../config/writing.js";
import type { KeptReply } from "../endpoint/cache.js";
import type { Meter, Tokens } from "../endpoint/chat.js";
import { RefusedError } from "../endpoint/http.js";
import { generate } from "../model/generate.js";
import { score } from "../model/score.js";
import { encodeChat, encodePrompt } from "../tokenizer/chat.js";
import type { Writer } from "./writer.js";

/** Requests that are answered together: more take little longer, and wait for the longest of them. */
const GROUP = 16;
/** Small models wander off at 1. */
const TEMPERATURE = 0.7;
const TOP_P = 0.95;
/** English words take about 1.3 tokens. */
const TOKENS_A_WORD = 1.6;
const SPARE_TOKENS = 64;

/** A request that waits, its tokens reserved. */
interface Waiting {
  /** Requests of one kind are answered together: what their prompts begin with is run once. */
  kind: string;
  ids: number[];
  seed: number;
  /** How a reply is drawn; null: it is the likeliest of `options`. */
  request: { temperature: number; maxTokens: number; stopStrings?: string[] } | null;
  options: { text: string; ids: number[]; from: number }[];
  done(reply: KeptReply): void;
  failed(error: unknown): void;
}

/** Throws InputError where the checkpoint has no chat template: it cannot be asked. */
export async function localWriter(
  name: string,
  option: string,
  { folder, decoder, tokenizer, free }: LoadedModel,
  backend: Backend,
  config: GenerateCorpusConfig,
  meter: Meter,
): Promise<Writer> {
  if (!tokenizer.chatTemplate)
    throw new InputError(`${option} ${name}: it has no chat template, so it cannot be asked; name another model`);
  const { model } = await hashModel({ folder, adapterFolder: null, tokenizerFolder: folder });
  const encoding = { where: "a prompt", templateOptions: { enable_thinking: false } };
  const waiting: Waiting[] = [];
  let isRunning = false;

  const draw = async (group: readonly Waiting[]): Promise<KeptReply[]> => {
    const prompts = group.map(({ ids }) => ids);
    const seed = group.map((one) => one.seed);
    const decode = (ids: readonly number[]): string => tokenizer.decode(ids, { skipSpecialTokens: true });
    const options = { ...group[0]!.request!, topP: TOP_P, seed, stopIds: new Set(tokenizer.stopIds), decode };
    const completions = await generate(decoder, prompts, options);
    return completions.map(({ ids, end }, i) => {
      const tokens = { prompt: prompts[i]!.length, completion: ids.length };
      return { text: continuationText(tokenizer, prompts[i]!, ids), finish: end, tokens };
    });
  };

  /** The likeliest option each, by the sum of its tokens' log-probabilities. */
  const compare = async (group: readonly Waiting[]): Promise<KeptReply[]> => {
    const scores = await score(
      decoder,
      group.flatMap(({ options }) => options),
    );
    const sums = scores.map(({ logprobs }) => logprobs.reduce((sum, value) => sum + value, 0));
    return group.map(({ options, ids }) => {
      const own = sums.splice(0, options.length);
      const { text } = options[own.indexOf(Math.max(...own))]!;
      return { text, finish: "stop", tokens: { prompt: ids.length, completion: 1 } };
    });
  };

  const run = async (): Promise<void> => {
    while (waiting.length > 0) {
      const { kind, request } = waiting[0]!;
      const group = waiting.filter((one) => one.kind === kind).slice(0, GROUP);
      for (const one of group) waiting.splice(waiting.indexOf(one), 1);
      try {
        const replies = await (request === null ? compare : draw)(group);
        for (const [i, one] of group.entries()) one.done(replies[i]!);
      } catch (error) {
        for (const { failed } of group) failed(error);
      }
    }
    isRunning = false;
  };

  /** Tokens are reserved before a request waits: one that waits for others to end must not be waited for by them. */
  const answer = async (most: Tokens, given: Omit<Waiting, "done" | "failed">): Promise<KeptReply> => {
    const positions = decoder.weights.cos.rows;
    if (most.prompt + most.completion > positions)
      throw new RefusedError(
        `a prompt of ${most.prompt} tokens and ${most.completion} for the reply do not fit ${positions} positions`,
        413,
      );
    const settle = await meter.reserve(most);
    const reply = new Promise<KeptReply>((done, failed) => waiting.push({ ...given, done, failed }));
    // Those that are asked for at the same time are all waiting by then.
    if (!isRunning) setImmediate(run);
    isRunning = true;
    return reply.then(
      (kept) => {
        settle(kept.tokens!);
        return kept;
      },
      (error) => {
        settle({ prompt: 0, completion: 0 });
        throw error;
      },
    );
  };

  return {
    name,
    identity: [model, config.dtype, backend.info.backend, backend.info.isa, config.seed, TOP_P],
    temperature: config.temperature ?? TEMPERATURE,
    lanes: 3 * GROUP,
    room: (words) => Math.ceil(words * TOKENS_A_WORD) + SPARE_TOKENS,
    async complete({ messages, temperature, maxTokens, number }) {
      const { ids } = encodePrompt(tokenizer, [...messages], encoding);
      const kind = JSON.stringify([temperature, maxTokens, messages[0]?.content]);
      const seed = seedOf(config.seed, number, messages);
      const most = { prompt: ids.length, completion: maxTokens };
      return answer(most, { kind, ids, seed, request: { temperature, maxTokens }, options: [] });
    },
    async fillLines({ messages, temperature, maxTokens, number }, labels) {
      const { ids } = encodePrompt(tokenizer, [...messages], encoding);
      let text = "";
      let tokens = { prompt: 0, completion: 0 };
      for (const [i, label] of labels.entries()) {
        text += `${text === "" ? "" : "\n"}${label}:`;
        const begun = [...ids, ...tokenizer.encode(text, { addSpecialTokens: false })];
        const most = { prompt: begun.length, completion: maxTokens };
        const kind = JSON.stringify(["line", label, i, temperature, messages[0]?.content]);
        const seed = seedOf(config.seed, number, messages, i);
        const line = { kind, ids: begun, seed, request: { temperature, maxTokens, stopStrings: ["\n"] }, options: [] };
        const reply = await answer(most, line);
        tokens = { prompt: reply.tokens!.prompt, completion: tokens.completion + reply.tokens!.completion };
        if (reply.finish === "length") return { ...reply, text: text + reply.text, tokens };
        text += cutAtStop(reply.text, ["\n"]).trimEnd();
      }
      return { text, finish: "stop", tokens };
    },
    async choose(messages, texts) {
      const options = texts.map((text) => {
        const { ids, targets } = encodeChat(tokenizer, [...messages, { role: "assistant", content: text }], encoding);
        return { text, ids: ids.slice(0, targets.lastIndexOf(1) + 1), from: targets.indexOf(1) };
      });
      const [{ ids, from }] = options as [(typeof options)[number]];
      const most = { prompt: from, completion: Math.max(...options.map((option) => option.ids.length - from)) };
      const kind = JSON.stringify(["choose", messages[0]?.content]);
      return answer(most, { kind, ids: ids.slice(0, from), seed: 0, request: null, options });
    },
    close: free,
  };
}
