/** @file Responses drawn from a model: several to each prompt, each prompt run once for all of them. */
import { InputError } from "../../base/errors.js";
import { seedOf } from "../../base/seed.js";
import { continuationText, cutAtStop } from "../../chat/continuation.js";
import { opensReasoning, resolveThinking } from "../../chat/thinking.js";
import { type Completion, generate, wayToFit } from "../../model/generate.js";
import { encodePrompt } from "../../tokenizer/chat.js";
import type { Message } from "../../tokenizer/spans.js";
import type { Tokenizer } from "../../tokenizer/tokenizer.js";
import type { Draws, TaskContext } from "../task.js";
import type { Answer, Response } from "./answers.js";
import { withSystem } from "./prompt.js";

/**
 * Responses to short prompts are drawn together, so many at a time; a longer prompt is run by itself, once for all
 * responses to it.
 */
const GROUP = 64;
const LONG_PROMPT_TOKENS = 256;

/** A prompt, named so that the same responses are drawn to it whatever else is asked. */
export interface Request {
  id: string;
  messages: Message[];
  thinking: Answer["thinking"];
  /** Functions that the model may call, as the template's `tools`. */
  tools?: unknown[];
}

/** Throws InputError where a prompt and a response are longer than the model's positions. */
export async function drawAnswers(
  context: TaskContext,
  requests: readonly Request[],
  defaults: Draws,
): Promise<Answer[]> {
  const { tokenizer, system = null } = context;
  const prompts = requests.map((request) => encodeRequest(tokenizer, request, system));
  return drawPrompts(context, prompts, defaults);
}

/** The same of prompts that are encoded already. */
export async function drawPrompts(
  context: TaskContext,
  prompts: readonly Prompt[],
  defaults: Draws,
): Promise<Answer[]> {
  const { settings, answers, onProgress } = context;
  const samples = settings.samples ?? defaults.samples;
  const maxTokens = settings.maxTokens ?? defaults.maxTokens;
  for (const { id, ids } of prompts) checkRoom(context, id, ids.length, maxTokens);
  const done: Answer[] = [];
  onProgress(0, prompts.length, "sampling");
  const size = promptsTogether(
    prompts.map(({ ids }) => ids.length),
    samples,
  );
  for (let begin = 0; begin < prompts.length; begin += size) {
    const group = prompts.slice(begin, begin + size);
    const key = JSON.stringify(group.map(({ id, text }) => [id, text]));
    const stored = answers?.load(key);
    const drawn = stored ?? (await drawGroup(context, group, samples, { ...defaults, maxTokens }));
    if (!stored) await answers?.save(key, drawn);
    done.push(...drawn);
    onProgress(done.length, prompts.length, "sampling");
  }
  return done;
}

/**
 * How many prompts are drawn together. One by itself is run once for all its responses; of several, each response runs
 * its own.
 */
export function promptsTogether(promptTokens: readonly number[], samples: number): number {
  const isLong = samples > 1 && promptTokens.some((tokens) => tokens > LONG_PROMPT_TOKENS);
  return isLong ? 1 : Math.max(1, Math.floor(GROUP / samples));
}

/** One user turn each. Models that think by themselves do so, unless told otherwise. */
export async function drawReplies(
  context: TaskContext,
  turns: readonly { id: string; text: string }[],
  defaults: Draws,
): Promise<Answer[]> {
  const { thinking = "auto" } = context.settings;
  if (thinking === "scratchpad")
    throw new InputError("--thinking scratchpad: this task tells the model nothing; use native or none");
  const resolved = resolveThinking(thinking, context.tokenizer) === "native" ? "native" : "none";
  const requests = turns.map(({ id, text }): Request => {
    return { id, messages: [{ role: "user", content: text }], thinking: resolved };
  });
  return drawAnswers(context, requests, defaults);
}

/** A prompt as the model reads it. */
export interface Prompt {
  id: string;
  thinking: Answer["thinking"];
  text: string;
  ids: number[];
  /** Texts that end a response, besides the end of the turn; the same for all prompts. */
  stop?: readonly string[];
}

function encodeRequest(tokenizer: Tokenizer, request: Request, system: string | null): Prompt {
  const { id, thinking, tools } = request;
  const messages = withSystem(system, request.messages);
  const options = { where: id, templateOptions: { enable_thinking: thinking === "native" } };
  const prompt = encodePrompt(tokenizer, messages, { ...options, ...(tools && { tools }) });
  if (tools && prompt.text === encodePrompt(tokenizer, messages, options).text)
    throw new InputError(
      `${id}: the chat template writes no tools, so the model would not know them; use --actions tags`,
    );
  return { id, thinking, ...prompt };
}

/** Whether a prompt and a response of `maxTokens` fit the model's positions. */
export function hasRoom(context: TaskContext, request: Request, maxTokens: number): boolean {
  const { decoder, tokenizer, system = null } = context;
  return encodeRequest(tokenizer, request, system).ids.length + maxTokens <= decoder.weights.cos.rows;
}

function checkRoom({ decoder }: TaskContext, id: string, promptTokens: number, maxTokens: number): void {
  const positions = decoder.weights.cos.rows;
  if (promptTokens + maxTokens <= positions) return;
  throw new InputError(
    `${id}: a prompt of ${promptTokens} tokens and a response of ${maxTokens} do not fit the model's ` +
      `${positions} positions: ${wayToFit(decoder, promptTokens)}`,
  );
}

async function drawGroup(
  { decoder, tokenizer, settings }: TaskContext,
  group: readonly Prompt[],
  samples: number,
  defaults: Draws,
): Promise<Answer[]> {
  const stop = group[0]?.stop ?? [];
  const decode = (ids: readonly number[]): string => tokenizer.decode(ids, { skipSpecialTokens: true });
  const copies = group.flatMap((prompt) => Array.from({ length: samples }, (_, sample) => ({ prompt, sample })));
  const completions = await generate(
    decoder,
    copies.map(({ prompt }) => prompt.ids),
    {
      maxTokens: defaults.maxTokens,
      temperature: settings.temperature ?? defaults.temperature,
      topP: 1,
      seed: copies.map(({ prompt, sample }) => seedOf(settings.seed ?? 0, prompt.id, sample)),
      stopIds: new Set(tokenizer.stopIds),
      ...(stop.length > 0 && { stopStrings: stop, decode }),
      where: (copy) => copies[copy]!.prompt.id,
    },
  );
  return group.map(({ thinking, text, ids }, i) => ({
    prompt: text,
    thinking,
    promptTokens: ids.length,
    responses: completions
      .slice(i * samples, (i + 1) * samples)
      .map((completion) => readResponse(tokenizer, { text, ids, stop }, completion)),
  }));
}

function readResponse(
  tokenizer: Tokenizer,
  prompt: { text: string; ids: number[]; stop: readonly string[] },
  completion: Completion,
): Response {
  const text = cutAtStop(continuationText(tokenizer, prompt.ids, completion.ids), prompt.stop);
  // Reasoning that the template has opened belongs to the response.
  const opened = opensReasoning(prompt.text) ? "<think>\n" : "";
  return { text: opened + text, tokens: completion.ids.length, end: completion.end };
}
