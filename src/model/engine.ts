/**
 * @file Continuous batching: requests join a running batch and leave it, one at a time or together. What a request gets
 * is a function of the request and its seed where a row of an op does not depend on the others (kernels/ops.h): then it
 * is the same alone and in any company.
 */
import { InputError, RunError } from "../base/errors.js";
import { checkTokenIds } from "../shape/token-ids.js";
import { type Drawn, type Sampling, type Sequence, stepBatch } from "./batch.js";
import { type CacheRows, CHUNK_TOKENS, chunkKeys, openCacheRows } from "./cache-rows.js";
import { checkLogprob } from "./finite.js";
import type { ServedAdapter } from "./served-adapter.js";
import { copyCacheRows, openSession, type Session, type SessionShape } from "./session.js";
import type { TokenLogprobs } from "./top-logprobs.js";
import type { Decoder } from "./weights.js";

export interface EngineRequest {
  /** The prompt, not empty. */
  ids: readonly number[];
  /** Tokens that are drawn at most; 0: the prompt is only scored. */
  maxTokens: number;
  sampling: Sampling;
  adapter: ServedAdapter | null;
  /** Tokens that end the completion. */
  stopIds: ReadonlySet<number>;
  /** How many of the most likely tokens are told with each token; null: none. */
  top: number | null;
  /** Told of every token of the prompt but the first, in order; null: none is scored. */
  onPromptToken: ((scores: TokenLogprobs) => void) | null;
  /** Told of every token, stop tokens too, as it is drawn; true: that is enough. */
  onToken: (token: { id: number } & TokenLogprobs) => boolean;
  /** Names it in errors. */
  where: string;
}

/** Why a completion ended: a stop token, `onToken` said so, `maxTokens`, or it was cancelled. */
export type End = "stop token" | "enough" | "length" | "cancelled";

interface Running {
  /** Rejects with InputError or RunError where this request fails. */
  done: Promise<End>;
  /** Frees its place at once. */
  cancel: () => void;
}

export interface Engine {
  /** Throws InputError where a request holds an id that the model does not have, or can never fit. */
  submit(request: EngineRequest): Running;
  /** Frees an adapter as soon as no request needs it. */
  release(adapter: ServedAdapter): void;
  /** What is going on now, and how many tokens of prompts were copied instead of run. */
  state(): { running: number; waiting: number; cacheRowsUsed: number; promptTokensCopied: number };
  /** The error of the last pass; null where it went well. */
  readonly failure: string | null;
  readonly shape: SessionShape;
  /** Cancels what runs, and frees the memory. */
  close(): Promise<void>;
}

interface Job {
  request: EngineRequest;
  resolve: (end: End) => void;
  reject: (error: unknown) => void;
  /** Null while it waits. */
  sequence: Sequence | null;
  /** Of the chunks of its prompt. */
  keys: string[];
  /** What is wrong with a token of its prompt. */
  problem: unknown;
}

/** Opens an engine over `decoder`, which has no adapter of its own. */
export function openEngine(decoder: Decoder, shape: SessionShape): Engine {
  const session = openSession(decoder, shape);
  // Taken now and not row by row: what a server takes is known from the start.
  for (const { k, v } of session.cache) for (const tensor of [k, v]) decoder.backend.ops.clear(tensor);
  const cacheRows = openCacheRows(shape.cacheRows);
  const waiting: Job[] = [];
  let active: Job[] = [];
  const released = new Set<ServedAdapter>();
  let copied = 0;
  let isClosed = false;
  let failure: string | null = null;
  let wake = (): void => {};

  const leave = (job: Job): void => {
    active = active.filter((other) => other !== job);
    const at = waiting.indexOf(job);
    if (at >= 0) waiting.splice(at, 1);
    if (job.sequence) cacheRows.give(job.sequence.firstRow);
    job.sequence = null;
  };
  const fail = (job: Job, error: unknown): void => {
    leave(job);
    job.reject(error);
  };
  const tell = (job: Job, drawn: Drawn): void => {
    try {
      checkLogprob(drawn.logprob, job.request.where);
      const end = endOf(job.request, drawn);
      if (!end) return;
      leave(job);
      job.resolve(end);
    } catch (error) {
      fail(job, error);
    }
  };

  async function step(): Promise<void> {
    const before = [...active];
    try {
      const { runnable, copiedTokens } = shareBeginnings(session, cacheRows, before);
      copied += copiedTokens;
      const jobs = new Map(runnable.map((job) => [job.sequence!, job]));
      const drawn = await stepBatch(session, [...jobs.keys()]);
      failure = null;
      for (const job of runnable) {
        if (job.problem !== null) fail(job, job.problem);
        else if (job.sequence) rememberChunks(cacheRows, job.sequence, job.keys);
      }
      for (const one of drawn) {
        const job = jobs.get(one.sequence)!;
        if (job.sequence) tell(job, one); // it may have been cancelled meanwhile
      }
    } catch (error) {
      // The pass is lost, and with it what runs; what waits may go well.
      failure = error instanceof Error ? error.message : String(error);
      for (const job of before) if (job.sequence) fail(job, error);
    }
  }

  function admit(): void {
    while (waiting.length > 0 && active.length < shape.maxLogits) {
      const job = waiting[0]!;
      const { ids, maxTokens } = job.request;
      const firstRow = cacheRows.take(ids.length + maxTokens);
      if (firstRow === null) return;
      waiting.shift();
      job.sequence = sequenceOf(job, firstRow);
      active.push(job);
    }
  }

  function freeReleased(): void {
    for (const adapter of released) {
      if ([...active, ...waiting].some(({ request }) => request.adapter === adapter)) continue;
      released.delete(adapter);
      session.recordings.free(); // they may hold its tensors
      adapter.free();
    }
  }

  async function run(): Promise<void> {
    while (!isClosed) {
      freeReleased();
      admit();
      if (active.length > 0) await step();
      else
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
    }
    for (const job of [...active, ...waiting]) {
      leave(job);
      job.resolve("cancelled");
    }
    freeReleased();
    session.free();
  }
  const ended = run();

  return {
    submit(request) {
      checkRequest(request, decoder, shape);
      if (isClosed) throw new RunError("the engine is closed");
      let job: Job | undefined;
      const done = new Promise<End>((resolve, reject) => {
        const model = request.adapter?.key ?? "";
        job = { request, resolve, reject, sequence: null, keys: chunkKeys(model, request.ids), problem: null };
      });
      waiting.push(job!);
      wake();
      const cancel = (): void => {
        leave(job!);
        job!.resolve("cancelled");
      };
      return { done, cancel };
    },
    release(adapter) {
      released.add(adapter);
      wake();
    },
    state: () => ({
      running: active.length,
      waiting: waiting.length,
      cacheRowsUsed: cacheRows.used,
      promptTokensCopied: copied,
    }),
    get failure() {
      return failure;
    },
    shape,
    close() {
      isClosed = true;
      wake();
      return ended;
    },
  };
}

function checkRequest({ ids, maxTokens, where }: EngineRequest, decoder: Decoder, shape: SessionShape): void {
  if (ids.length === 0) throw new InputError(`${where} is empty`);
  checkTokenIds(ids, decoder.config.vocabSize, where);
  const most = Math.min(decoder.weights.cos.rows, shape.cacheRows);
  if (ids.length + maxTokens > most)
    throw new InputError(`${where}: ${ids.length} tokens and ${maxTokens} to draw are more than ${most}`);
}

function sequenceOf(job: Job, firstRow: number): Sequence {
  const { ids, sampling, adapter, top, onPromptToken, where } = job.request;
  const onScores = (scores: TokenLogprobs): void => {
    try {
      checkLogprob(scores.logprob, where);
      onPromptToken?.(scores);
    } catch (error) {
      job.problem ??= error;
    }
  };
  return {
    tokens: [...ids],
    promptTokens: ids.length,
    shared: 0,
    firstRow,
    cached: 0,
    sampling,
    adapter,
    top,
    onPromptToken: onPromptToken && onScores,
  };
}

function endOf(request: EngineRequest, { sequence, id, logprob, top }: Drawn): End | null {
  const { maxTokens, stopIds, onToken } = request;
  if (maxTokens === 0) return "length";
  const isEnough = onToken({ id, logprob, top });
  if (stopIds.has(id)) return "stop token";
  if (isEnough) return "enough";
  return sequence.tokens.length - sequence.promptTokens >= maxTokens ? "length" : null;
}

/**
 * Copies what is known of the prompts' beginnings, and finds out which jobs run now. One that begins as another does
 * which runs now waits for it: the next time it is copied.
 */
function shareBeginnings(
  session: Session,
  cacheRows: CacheRows,
  active: readonly Job[],
): { runnable: Job[]; copiedTokens: number } {
  const underWay = new Set<string>();
  let copiedTokens = 0;
  const runnable = active.filter(({ request, sequence, keys }) => {
    if (!sequence || sequence.cached >= sequence.promptTokens) return true;
    const isShareable = (chunk: number): boolean =>
      request.onPromptToken === null && (chunk + 1) * CHUNK_TOKENS <= sequence.promptTokens - 2;
    while (sequence.cached % CHUNK_TOKENS === 0 && isShareable(sequence.cached / CHUNK_TOKENS)) {
      const key = keys[sequence.cached / CHUNK_TOKENS]!;
      const row = cacheRows.find(key);
      if (row === undefined) {
        if (underWay.has(key)) return false;
        break;
      }
      copyCacheRows(session, row, sequence.firstRow + sequence.cached, CHUNK_TOKENS);
      sequence.cached += CHUNK_TOKENS;
      copiedTokens += CHUNK_TOKENS;
    }
    const key = keys[Math.floor(sequence.cached / CHUNK_TOKENS)];
    if (key !== undefined) underWay.add(key);
    return true;
  });
  return { runnable, copiedTokens };
}

function rememberChunks(cacheRows: CacheRows, sequence: Sequence, keys: readonly string[]): void {
  const { cached, promptTokens, firstRow } = sequence;
  if (cached > promptTokens) return;
  const whole = Math.floor(Math.min(cached, promptTokens) / CHUNK_TOKENS);
  for (const [chunk, key] of keys.slice(0, whole).entries())
    if (cacheRows.find(key) === undefined) cacheRows.remember(key, firstRow + chunk * CHUNK_TOKENS);
}
