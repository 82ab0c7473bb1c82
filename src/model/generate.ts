/** @file Sampling from a decoder: many prompts at a time, what they begin with in common computed once. */
import { readFloats, readInts } from "../backend/backend.js";
import { InputError } from "../errors.js";
import { randomUniform } from "../random.js";
import { forwardTokens, head, logitsOf, openSession, type Session, type SessionToken, writeHead } from "./session.js";
import type { Decoder } from "./weights.js";

const SAMPLE_STREAM = 2;
/** Tokens of one prefill; more gains no speed and costs memory. */
const PREFILL_TOKENS = 512;
/** Sequences decoded together. */
const MAX_BATCH = 32;
/** Tokens that are decoded besides those that a stop string may take: special ones, which may have no text, and the rest of a character. */
const STOP_MARGIN = 8;

export interface GenerateOptions {
  maxTokens: number;
  /** 0: the most likely token. */
  temperature: number;
  topP: number;
  seed: number;
  /** Tokens that end a completion (they are not part of its text). */
  stopIds: ReadonlySet<number>;
  /** Texts that end a completion; needs `decode`. */
  stopStrings?: readonly string[];
  decode?: (ids: readonly number[]) => string;
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

interface Sequence {
  prompt: number;
  /** Prompt after the prefix, then what was generated. */
  tokens: number[];
  promptTokens: number;
  firstRow: number;
  /** Tokens whose keys and values are in the cache. */
  cached: number;
  logprobs: number[];
}

/**
 * One completion for each prompt (token ids, not empty). The random numbers of prompt i are a function of (seed, i, token), so that results do not
 * depend on the other prompts, but for rounding where these change what all begin with.
 * @throws InputError where a prompt and its completion are longer than the model's positions
 */
export async function generate(
  decoder: Decoder,
  prompts: readonly (readonly number[])[],
  options: GenerateOptions,
): Promise<Completion[]> {
  const prefix = commonPrefix(prompts);
  const longest = prompts.reduce((most, prompt) => Math.max(most, prompt.length), 0);
  checkPositions(decoder, longest + options.maxTokens);
  const batch = Math.min(prompts.length, MAX_BATCH);
  const slotRows = longest - prefix + options.maxTokens;
  const session = openSession(decoder, {
    cacheRows: prefix + batch * slotRows,
    maxTokens: Math.max(batch, Math.min(PREFILL_TOKENS, longest)),
    maxLogits: batch,
    maxLosses: 0,
  });
  try {
    prefill(session, prompts[0]?.slice(0, prefix) ?? []);
    return await decodeAll(session, prompts, prefix, slotRows, batch, options);
  } finally {
    session.free();
  }
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

export function checkPositions(decoder: Decoder, positions: number): void {
  const available = decoder.weights.cos.rows;
  if (positions > available)
    throw new InputError(`prompt and completion take ${positions} positions, ${available} are available`);
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
  batch: number,
  options: GenerateOptions,
): Promise<Completion[]> {
  const completions = new Array<Completion>(prompts.length);
  const freeSlots = Array.from({ length: batch }, (_, slot) => prefix + slot * slotRows);
  let active: Sequence[] = [];
  let next = 0;
  while (next < prompts.length || active.length > 0) {
    while (next < prompts.length && freeSlots.length > 0) {
      const tokens = prompts[next]!.slice(prefix);
      const firstRow = freeSlots.pop()!;
      active.push({ prompt: next, tokens, promptTokens: tokens.length, firstRow, cached: 0, logprobs: [] });
      next++;
    }
    const ready = runTokens(session, active, prefix);
    if (ready.length === 0) continue; // more of the prompts to run first
    await sampleNext(session, ready, options);
    for (const { sequence } of ready) {
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

interface Ready {
  sequence: Sequence;
  /** Row of the hidden states that predicts its next token. */
  row: number;
}

/** Runs tokens that are not cached yet, as many as fit; returns the sequences whose next token can be drawn. */
function runTokens(session: Session, active: readonly Sequence[], prefix: number): Ready[] {
  const tokens: SessionToken[] = [];
  const ready: Ready[] = [];
  for (const sequence of active) {
    const { firstRow } = sequence;
    const room = session.shape.maxTokens - tokens.length;
    const run = sequence.tokens.slice(sequence.cached, sequence.cached + room);
    for (const id of run) {
      const cacheRow = firstRow + sequence.cached;
      const position = prefix + sequence.cached;
      tokens.push({ id, position, cacheRow, ranges: [0, prefix, firstRow, cacheRow + 1] });
      sequence.cached++;
    }
    if (run.length > 0 && sequence.cached === sequence.tokens.length) ready.push({ sequence, row: tokens.length - 1 });
  }
  const hidden = forwardTokens(session, tokens);
  if (ready.length > 0)
    logitsOf(
      session,
      hidden,
      ready.map(({ row }) => row),
    );
  return ready;
}

/** Draws the next token of every ready sequence from the logits that `runTokens` left. */
async function sampleNext(session: Session, ready: readonly Ready[], options: GenerateOptions): Promise<void> {
  const { backend } = session.decoder;
  const n = ready.length;
  const { sampling, logits } = session;
  const drawn = ready.map(({ sequence }) =>
    randomUniform(options.seed, SAMPLE_STREAM + sequence.prompt, sequence.logprobs.length),
  );
  const ids = head(sampling.ids, n);
  const logprobs = head(sampling.logprobs, n);
  backend.ops.sample({
    ids,
    logprobs,
    logits: { ...logits.values, rows: n },
    temperature: writeHead(backend, sampling.temperature, new Float32Array(n).fill(options.temperature)),
    topP: writeHead(backend, sampling.topP, new Float32Array(n).fill(options.topP)),
    uniforms: writeHead(backend, sampling.uniforms, Float32Array.from(drawn)),
  });
  const [idValues, logprobValues] = [await readInts(backend, ids), await readFloats(backend, logprobs)];
  ready.forEach(({ sequence }, i) => {
    sequence.tokens.push(idValues[i]!);
    sequence.logprobs.push(logprobValues[i]!);
    options.onToken?.(sequence.prompt, idValues[i]!);
  });
}

function endOf(sequence: Sequence, options: GenerateOptions): "stop id" | "stop string" | "length" | null {
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
