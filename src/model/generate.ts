/** @file Sampling from a decoder: many prompts at a time, what they begin with in common computed once. */
import type { Backend } from "../backend/backend.js";
import { InputError } from "../base/errors.js";
import { randomUniform, STREAMS } from "../base/random.js";
import { checkTokenIds } from "../shape/token-ids.js";
import { type Sequence, stepBatch } from "./batch.js";
import { checkLogprob } from "./finite.js";
import { forwardTokens, openSession, type Session, type SessionShape, type SessionToken } from "./session.js";
import type { Decoder } from "./weights.js";

/**
 * Tokens that are decoded besides those that a stop string may take: special ones, which may have no text, and the rest
 * of a character.
 */
const STOP_MARGIN = 8;
const LONGER_CONTEXT = "use a model with a longer context";

export interface GenerateOptions {
  maxTokens: number;
  /** 0: the most likely token. */
  temperature: number;
  topP: number;
  /** A list has one for each prompt; then what is drawn does not depend on a prompt's place. */
  seed: number | readonly number[];
  /** Tokens that end a completion (they are not part of its text). */
  stopIds: ReadonlySet<number>;
  /** Texts that end a completion; needs `decode`. */
  stopStrings?: readonly string[];
  decode?: (ids: readonly number[]) => string;
  /** Names a prompt in errors; by default its number. */
  where?: (prompt: number) => string;
  /** Called for every token, in the order in which they are made. */
  onToken?: (prompt: number, id: number) => void;
}

export interface Completion {
  /** Without the stop token. */
  ids: number[];
  /** Log-probability of each id, and of the stop token if there was one (temperature 1, uncut). */
  logprobs: number[];
  end: "stop" | "length";
}

interface PromptSequence extends Sequence {
  prompt: number;
  logprobs: number[];
}

/**
 * One completion for each prompt (token ids, not empty). The random numbers of prompt i are a function of (seed, i,
 * token), so that results do not depend on the other prompts, but for rounding where these change what all begin with.
 * @throws InputError where a prompt holds an id that the model does not have, or is with its completion longer than the
 * model's positions; RunError where a drawn token's log-probability is not finite
 */
export async function generate(
  decoder: Decoder,
  prompts: readonly (readonly number[])[],
  options: GenerateOptions,
): Promise<Completion[]> {
  const nameOf = (prompt: number): string => options.where?.(prompt) ?? `prompt ${prompt + 1}`;
  for (const [i, prompt] of prompts.entries()) checkTokenIds(prompt, decoder.config.vocabSize, nameOf(i));
  const { prefix, slotRows, shape } = planGeneration(decoder.backend, prompts, options.maxTokens);
  const positions = prefix + slotRows;
  checkPositions(decoder, positions, wayToFit(decoder, positions - options.maxTokens));
  const session = openSession(decoder, shape);
  try {
    prefill(session, prompts[0]?.slice(0, prefix) ?? []);
    return await decodeAll(session, prompts, prefix, slotRows, options);
  } finally {
    session.free();
  }
}

/**
 * What `generate` takes for these prompts: the tokens that they share, cache rows of a sequence besides those, and the
 * session.
 */
export function planGeneration(
  backend: Backend,
  prompts: readonly (readonly number[])[],
  maxTokens: number,
): { prefix: number; slotRows: number; shape: SessionShape } {
  const { limits } = backend;
  const prefix = commonPrefix(prompts);
  const longest = prompts.reduce((most, prompt) => Math.max(most, prompt.length), 0);
  const sequences = Math.min(prompts.length, limits.sequences);
  const slotRows = longest - prefix + maxTokens;
  const shape = {
    cacheRows: prefix + sequences * slotRows,
    maxTokens: Math.max(sequences, Math.min(limits.prefillTokens, longest + (sequences - 1) * (longest - prefix))),
    maxLogits: sequences,
    maxLosses: 0,
  };
  return { prefix, slotRows, shape };
}

/** Tokens that all prompts begin with; each prompt keeps at least one of its own. */
export function commonPrefix(prompts: readonly (readonly number[])[]): number {
  const [first, ...others] = prompts;
  if (!first) return 0;
  let length = first.length - 1;
  for (const other of others) {
    length = Math.min(length, other.length - 1);
    for (let i = 0; i < length; i++) if (other[i] !== first[i]) length = i;
  }
  return Math.max(0, length);
}

/** Throws InputError where there are fewer positions; `way` is what to change then. */
export function checkPositions(decoder: Decoder, positions: number, way = LONGER_CONTEXT): void {
  const available = decoder.weights.cos.rows;
  if (positions > available)
    throw new InputError(`prompt and completion take ${positions} positions, ${available} are available: ${way}`);
}

/**
 * What to change where a prompt of `promptTokens` and what is to be drawn after it do not fit the model's positions.
 */
export function wayToFit(decoder: Decoder, promptTokens: number): string {
  const room = decoder.weights.cos.rows - promptTokens;
  return room > 0 ? `use --max-tokens ${room} or less` : LONGER_CONTEXT;
}

/** Fills cache rows 0 .. ids.length with the shared prefix. */
export function prefill(session: Session, ids: readonly number[]): void {
  for (let begin = 0; begin < ids.length; begin += session.shape.maxTokens) {
    const tokens = ids.slice(begin, begin + session.shape.maxTokens).map((id, i): SessionToken => {
      const row = begin + i;
      return { id, position: row, cacheRow: row, ranges: [0, 0, 0, row + 1] };
    });
    forwardTokens(session, tokens);
  }
}

async function decodeAll(
  session: Session,
  prompts: readonly (readonly number[])[],
  prefix: number,
  slotRows: number,
  options: GenerateOptions,
): Promise<Completion[]> {
  const completions = new Array<Completion>(prompts.length);
  const freeSlots = Array.from({ length: session.shape.maxLogits }, (_, slot) => prefix + slot * slotRows);
  let active: PromptSequence[] = [];
  let next = 0;
  while (next < prompts.length || active.length > 0) {
    while (next < prompts.length && freeSlots.length > 0) {
      active.push(sequenceOf(prompts[next]!.slice(prefix), next, prefix, freeSlots.pop()!, options));
      next++;
    }
    for (const drawn of await stepBatch(session, active)) {
      const sequence = drawn.sequence as PromptSequence;
      checkLogprob(drawn.logprob, options.where?.(sequence.prompt) ?? `prompt ${sequence.prompt + 1}`);
      sequence.logprobs.push(drawn.logprob);
      options.onToken?.(sequence.prompt, drawn.id);
      const end = endOf(sequence, options);
      if (!end) continue;
      const ids = sequence.tokens.slice(sequence.promptTokens);
      if (end === "stop id") ids.pop();
      completions[sequence.prompt] = { ids, logprobs: sequence.logprobs, end: end === "length" ? "length" : "stop" };
      freeSlots.push(sequence.firstRow);
      active = active.filter((other) => other !== sequence);
    }
  }
  return completions;
}

function sequenceOf(
  tokens: number[],
  prompt: number,
  prefix: number,
  firstRow: number,
  { temperature, topP, seed }: GenerateOptions,
): PromptSequence {
  const uniform = (i: number): number =>
    typeof seed === "number"
      ? randomUniform(seed, STREAMS.sampling + prompt, i)
      : randomUniform(seed[prompt]!, STREAMS.sampling, i);
  return {
    prompt,
    tokens,
    promptTokens: tokens.length,
    shared: prefix,
    firstRow,
    cached: 0,
    logprobs: [],
    sampling: { temperature, topP, uniform },
    adapter: null,
    top: null,
    onPromptToken: null,
  };
}

function endOf(sequence: PromptSequence, options: GenerateOptions): "stop id" | "stop string" | "length" | null {
  const { stopStrings = [], decode } = options;
  const ids = sequence.tokens.slice(sequence.promptTokens);
  if (options.stopIds.has(ids.at(-1)!)) return "stop id";
  if (stopStrings.length > 0 && decode) {
    // A token holds at least one byte: only the last ones can have completed a stop string.
    const longest = Math.max(...stopStrings.map((stop) => Buffer.byteLength(stop)));
    const text = decode(ids.slice(-longest - STOP_MARGIN));
    if (stopStrings.some((stop) => text.includes(stop))) return "stop string";
  }
  return ids.length >= options.maxTokens ? "length" : null;
}
