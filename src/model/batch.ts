/**
 * @file A running batch: sequences at different places, one pass of the decoder for all of them, and a token drawn for
 * each that is ready. Who joins and who leaves is its caller's affair.
 */
import { readFloats } from "../backend/backend.js";
import type { Tensor } from "../backend/tensor.js";
import { rows } from "../backend/tensor.js";
import type { AdapterRows, ServedAdapter } from "./served-adapter.js";
import {
  forwardWritten,
  logitsOf,
  pickRows,
  type Session,
  type SessionToken,
  slice,
  writeHead,
  writeTokens,
} from "./session.js";
import { logprobsOfRow, type TokenLogprobs } from "./top-logprobs.js";

/** How the tokens of one sequence are drawn. */
export interface Sampling {
  /** 0: the most likely token. */
  temperature: number;
  topP: number;
  /** The number in [0, 1) that draws its i-th token. */
  uniform: (i: number) => number;
}

export interface Sequence {
  /** The prompt after what is shared, then what was drawn. */
  tokens: number[];
  promptTokens: number;
  /** Cache rows 0 .. shared - 1 hold what all sequences begin with. */
  shared: number;
  firstRow: number;
  /** Of `tokens`, those whose keys and values are in the cache. */
  cached: number;
  sampling: Sampling;
  /** Null: the decoder as it is. */
  adapter: ServedAdapter | null;
  /** How many of the most likely tokens are told with each token; null: none. */
  top: number | null;
  /** Told of every token of the prompt but the first, in order; null: none is scored. */
  onPromptToken: ((scores: TokenLogprobs) => void) | null;
}

export interface Drawn extends TokenLogprobs {
  sequence: Sequence;
  id: number;
}

/** A row of the hidden states, and the sequence whose next token it predicts. */
interface Predicting {
  sequence: Sequence;
  row: number;
}

interface Pass {
  tokens: SessionToken[];
  adapters: AdapterRows[];
  /** Sequences of which all tokens are cached after the pass. */
  ready: Predicting[];
  /** Tokens of prompts that are scored. */
  scored: (Predicting & { id: number })[];
}

/**
 * Runs as many tokens as fit of those that are not cached yet, and draws the next token of every sequence that is ready
 * then; it is added to the sequence's tokens. Whether log-probabilities are finite is left to the caller to check.
 */
export async function stepBatch(session: Session, active: readonly Sequence[]): Promise<Drawn[]> {
  const { tokens, adapters, ready, scored } = planPass(session, active);
  const written = writeTokens(session, tokens);
  const forward = (): Tensor => forwardWritten(session, written, adapters);
  if (ready.length === 0 && scored.length === 0) {
    forward(); // more of the prompts to run first
    return [];
  }
  const drawing = writeDrawing(session, ready);
  const isOneModel = adapters.length === 0 || adapters[0]!.count === tokens.length;
  if (ready.length === tokens.length && scored.length === 0 && isOneModel) {
    // A decode step: a token of every sequence.
    const name = `decode ${tokens.length} ${adapters[0]?.adapter.key ?? ""}`;
    session.recordings.run(name, () => draw(session, forward(), drawing));
  } else {
    const hidden = forward();
    await scorePrompts(session, hidden, scored);
    if (ready.length === 0) return [];
    draw(session, pickRows(session, hidden, rowsOf(ready)), drawing);
  }
  const { ids, logprobs } = await readDrawn(session, drawing);
  const drawn: Drawn[] = [];
  for (const [i, { sequence }] of ready.entries()) {
    const id = ids[i]!;
    const scores =
      sequence.top === null
        ? { logprob: logprobs[i]!, top: [] }
        : logprobsOfRow(await readLogits(session, i, 1), id, sequence.top);
    sequence.tokens.push(id);
    drawn.push({ sequence, id, ...scores });
  }
  return drawn;
}

/** What the next pass runs: the tokens of an adapter's sequences one after the other. */
function planPass(session: Session, active: readonly Sequence[]): Pass {
  const pieces = planPieces(session.shape.maxTokens, active);
  const pass: Pass = { tokens: [], adapters: [], ready: [], scored: [] };
  for (const sequence of byAdapter(active)) {
    const length = pieces.get(sequence) ?? 0;
    if (length === 0) continue;
    const start = pass.tokens.length;
    const { adapter } = sequence;
    const last = pass.adapters.at(-1);
    if (adapter !== null && last?.adapter === adapter) last.count += length;
    else if (adapter !== null) pass.adapters.push({ adapter, start, count: length });
    addPiece(pass, sequence, length);
  }
  return pass;
}

function byAdapter(active: readonly Sequence[]): Sequence[] {
  const groups = new Map<ServedAdapter | null, Sequence[]>();
  for (const sequence of active) {
    const group = groups.get(sequence.adapter);
    if (group) group.push(sequence);
    else groups.set(sequence.adapter, [sequence]);
  }
  return [...groups.values()].flat();
}

/**
 * How many tokens of each sequence run: one of all that have one left, and of prompts what fits besides, first come
 * first served. A prompt is never cut so that one token of it would run alone: attention may sum such a row in another
 * order (kernels/ops.h), and then what is drawn would depend on the company.
 */
function planPieces(maxTokens: number, active: readonly Sequence[]): Map<Sequence, number> {
  const leftOf = ({ tokens, cached }: Sequence): number => tokens.length - cached;
  const pieces = new Map<Sequence, number>();
  for (const sequence of active) if (leftOf(sequence) === 1) pieces.set(sequence, 1);
  let room = maxTokens - pieces.size;
  for (const sequence of active) {
    const left = leftOf(sequence);
    if (left === 1) continue;
    const length = left - room === 1 ? room - 1 : Math.min(left, room);
    if (length < 2) continue;
    pieces.set(sequence, length);
    room -= length;
  }
  return pieces;
}

function addPiece({ tokens, ready, scored }: Pass, sequence: Sequence, length: number): void {
  const { shared, firstRow, promptTokens } = sequence;
  for (let i = 0; i < length; i++) {
    const { cached } = sequence;
    const cacheRow = firstRow + cached;
    const next = sequence.tokens[cached + 1];
    if (sequence.onPromptToken && next !== undefined && cached + 1 < promptTokens)
      scored.push({ sequence, row: tokens.length, id: next });
    tokens.push({
      id: sequence.tokens[cached]!,
      position: shared + cached,
      cacheRow,
      ranges: [0, shared, firstRow, cacheRow + 1],
    });
    sequence.cached++;
  }
  if (sequence.cached === sequence.tokens.length) ready.push({ sequence, row: tokens.length - 1 });
}

async function scorePrompts(session: Session, hidden: Tensor, scored: Pass["scored"]): Promise<void> {
  const { vocabSize } = session.decoder.config;
  for (let begin = 0; begin < scored.length; begin += session.shape.maxLogits) {
    const part = scored.slice(begin, begin + session.shape.maxLogits);
    logitsOf(session, pickRows(session, hidden, rowsOf(part)));
    const logits = await readLogits(session, 0, part.length);
    part.forEach(({ sequence, id }, i) => {
      const row = logits.subarray(i * vocabSize, (i + 1) * vocabSize);
      sequence.onPromptToken?.(logprobsOfRow(row, id, sequence.top ?? 0));
    });
  }
}

function rowsOf(predicting: readonly Predicting[]): number[] {
  return predicting.map(({ row }) => row);
}

/** Rows of the logits that were computed last. */
function readLogits({ decoder, logits }: Session, from: number, count: number): Promise<Float32Array> {
  return readFloats(decoder.backend, rows(logits.values, from, count));
}

/** Inputs and outputs of `msm_sample` for n sequences, each [1, n]. */
interface Drawing {
  temperature: Tensor;
  topP: Tensor;
  uniforms: Tensor;
  ids: Tensor;
  logprobs: Tensor;
}

function writeDrawing({ decoder, sampling }: Session, ready: readonly Predicting[]): Drawing {
  const n = ready.length;
  const values = new Float32Array(3 * n);
  ready.forEach(({ sequence: { sampling, tokens, promptTokens } }, i) => {
    values[i] = sampling.temperature;
    values[n + i] = sampling.topP;
    values[2 * n + i] = sampling.uniform(tokens.length - promptTokens);
  });
  const inputs = n > 0 ? writeHead(decoder.backend, sampling.inputs, values) : sampling.inputs;
  return {
    temperature: slice(inputs, 0, n),
    topP: slice(inputs, n, n),
    uniforms: slice(inputs, 2 * n, n),
    ids: slice(sampling.drawn, 0, n),
    logprobs: { ...slice(sampling.drawn, n, n), dtype: "f32" },
  };
}

function draw(session: Session, hidden: Tensor, drawing: Drawing): void {
  session.decoder.backend.ops.sample({ logits: logitsOf(session, hidden), ...drawing });
}

/** One read for both. */
async function readDrawn({ decoder }: Session, { ids }: Drawing): Promise<{ ids: Int32Array; logprobs: Float32Array }> {
  const n = ids.cols;
  const { buffer } = await decoder.backend.read(ids.buffer, ids.offset * 4, 8 * n);
  return { ids: new Int32Array(buffer, 0, n), logprobs: new Float32Array(buffer, 4 * n, n) };
}
