/** @file One choice: tokens from the engine, as text as far as it can be shown. */
import { randomInt } from "node:crypto";
import { randomUniform, STREAMS } from "../base/random.js";
import { openTextStream } from "../chat/continuation.js";
import type { Engine } from "../model/engine.js";
import type { TokenLogprobs } from "../model/top-logprobs.js";
import { contextTooLong } from "./errors.js";
import type { ServedModel } from "./models.js";

export type Token = { id: number } & TokenLogprobs;

export interface ChoiceRequest {
  ids: readonly number[];
  maxTokens: number;
  temperature: number;
  topP: number;
  seed: number;
  /** Choices of one prompt and seed differ by their place. */
  place: number;
  stop: readonly string[];
  /** How many of the most likely tokens are told with each token; null: no log-probabilities. */
  top: number | null;
  /** Told of the prompt's tokens but the first; null: they are not scored. */
  onPromptToken: ((scores: TokenLogprobs) => void) | null;
  /** Told of every token with the text that it makes visible, which may be empty; at the end of what was held back. */
  onText: (text: string, token: Token | null) => void;
}

export interface Choice {
  done: Promise<"stop" | "length">;
  cancel: () => void;
}

/** A choice whose client went away. */
export class Cancelled extends Error {
  override name = "Cancelled";
}

/** Throws ApiError or InputError where it cannot be done. */
export function startChoice(engine: Engine, model: ServedModel, maxModelLen: number, request: ChoiceRequest): Choice {
  const { ids, maxTokens, temperature, topP, seed, place, stop, top, onPromptToken, onText } = request;
  const { tokenizer, adapter } = model;
  if (ids.length + maxTokens > maxModelLen) throw contextTooLong(maxModelLen, ids.length, maxTokens);
  const stopIds = new Set(tokenizer.stopIds);
  const text = openTextStream(tokenizer, ids, stop);
  const uniform = (i: number): number => randomUniform(seed, STREAMS.sampling + place, i);
  const running = engine.submit({
    ids,
    maxTokens,
    adapter,
    stopIds,
    top,
    onPromptToken,
    sampling: { temperature, topP, uniform },
    where: "the prompt",
    onToken(token) {
      onText(stopIds.has(token.id) ? "" : text.push(token.id), token);
      return text.isStopped;
    },
  });
  const done = running.done.then((end) => {
    if (end === "cancelled") throw new Cancelled("the request was cancelled");
    const rest = text.end();
    if (rest !== "") onText(rest, null);
    return end === "length" ? ("length" as const) : ("stop" as const);
  });
  done.catch(() => {}); // it is awaited later than others that may fail first
  return { done, cancel: running.cancel };
}

/** What both kinds of completions say about drawing, with OpenAI's defaults. */
export function drawingOf(body: {
  temperature?: number | null | undefined;
  top_p?: number | null | undefined;
  seed?: number | null | undefined;
  stop?: string | string[] | null | undefined;
}): Pick<ChoiceRequest, "temperature" | "topP" | "seed" | "stop"> {
  return {
    temperature: body.temperature ?? 1,
    topP: body.top_p ?? 1,
    seed: body.seed ?? randomInt(2 ** 47),
    stop: [body.stop ?? []].flat(),
  };
}

/** Tokens that are left to draw after a prompt. Throws ApiError where there are none. */
export function roomAfter(promptTokens: number, maxModelLen: number): number {
  if (promptTokens >= maxModelLen) throw contextTooLong(maxModelLen, promptTokens, 1);
  return maxModelLen - promptTokens;
}

/** Waits for all choices; where one fails the others are cancelled. */
export async function allDone(choices: readonly Choice[]): Promise<("stop" | "length")[]> {
  try {
    return await Promise.all(choices.map(({ done }) => done));
  } catch (error) {
    for (const { cancel } of choices) cancel();
    throw error;
  }
}

/** Starts all; where one cannot be, none is. */
export function startAll(starts: readonly (() => Choice)[]): Choice[] {
  const choices: Choice[] = [];
  try {
    for (const start of starts) choices.push(start());
    return choices;
  } catch (error) {
    for (const { cancel } of choices) cancel();
    throw error;
  }
}
