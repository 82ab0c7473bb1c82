/** @file Inference: a KV cache, and the decoder over any tokens of any sequences in it. */
import { type Backend, writeTensor } from "../backend/backend.js";
import { openRecordings, type Recordings } from "../backend/recordings.js";
import type { Tensor } from "../backend/tensor.js";
import { rows } from "../backend/tensor.js";
import { firstOutside } from "../shape/token-ids.js";
import { attentionOperands, type LayerActivations, layoutLayer } from "./activations.js";
import { type Alloc, allocArena, type Extent, measure } from "./arena.js";
import { type Attend, layerForward } from "./layer.js";
import { planGroups } from "./lora.js";
import { type AdapterRows, withRowAdapters } from "./served-adapter.js";
import type { Decoder } from "./weights.js";

/**
 * One token to run: where it stands in its sequence, where its key and value go, and which cache rows it attends to.
 */
export interface SessionToken {
  id: number;
  position: number;
  cacheRow: number;
  /** Shared prefix [start, end) and the sequence's own rows [start, end), up to and including `cacheRow`. */
  ranges: readonly [number, number, number, number];
}

export interface SessionShape {
  /** Cache rows: tokens of all sequences that are kept at a time. */
  cacheRows: number;
  /** Most tokens of one `forwardTokens`. */
  maxTokens: number;
  /** Most rows of logits at a time; 0: none. */
  maxLogits: number;
  /** Most rows of `lossesOf` at a time; 0: none. */
  maxLosses: number;
}

export interface Session {
  decoder: Decoder;
  shape: SessionShape;
  layer: LayerActivations;
  cache: { k: Tensor; v: Tensor }[];
  /** i32 [1, 7 maxTokens]: see TokenTensors. */
  inputs: Tensor;
  delta: Tensor;
  final: { input: Tensor; normed: Tensor; rstd: Tensor };
  logits: { hidden: Tensor; index: Tensor; values: Tensor };
  /**
   * Temperatures, top-p and uniform numbers, f32 [1, 3 maxLogits]; ids and log-probabilities, [1, 2 maxLogits] of 4
   * bytes.
   */
  sampling: { inputs: Tensor; drawn: Tensor };
  scoring: { hidden: Tensor; index: Tensor; targets: Tensor; losses: Tensor; argmax: Tensor; workspace: Tensor };
  /** Decode steps, one for each number of sequences. */
  recordings: Recordings;
  free: () => void;
}

type SessionTensors = Omit<Session, "decoder" | "shape" | "recordings" | "free">;

/** What decides a session's memory besides its shape. */
type SessionModel = Pick<Decoder, "backend" | "config" | "dtype" | "lora">;

export function openSession(decoder: Decoder, shape: SessionShape): Session {
  const { tensors, free } = allocArena(decoder.backend, (alloc) => layoutSession(alloc, decoder, shape));
  const recordings = openRecordings(decoder.backend);
  return {
    decoder,
    shape,
    recordings,
    ...tensors,
    free() {
      recordings.free();
      free();
    },
  };
}

/** The memory that a session will take. */
export function measureSession(model: SessionModel, shape: SessionShape): Extent {
  return measure((alloc) => layoutSession(alloc, model, shape));
}

function layoutSession(alloc: Alloc, decoder: SessionModel, shape: SessionShape): SessionTensors {
  const { backend, config, dtype, lora } = decoder;
  const { hiddenSize: D, numKvHeads: K, headDim: E, vocabSize: V } = config;
  const { cacheRows, maxTokens: N, maxLogits: B, maxLosses: S } = shape;
  const workspace = S > 0 ? backend.ops.linearCrossEntropyWorkspaceBytes({ dtype, N: S, D, V }) : 0;
  return {
    layer: layoutLayer(alloc, config, planGroups(config, lora), dtype, N, (name, _from, ...tensor) =>
      alloc(`activations of ${name}`, ...tensor),
    ),
    cache: Array.from({ length: config.numLayers }, () => ({
      k: alloc("the cache of keys of a layer", dtype, cacheRows, K * E),
      v: alloc("the cache of values of a layer", dtype, cacheRows, K * E),
    })),
    inputs: alloc("token ids", "i32", 1, 7 * N),
    delta: alloc("delta", dtype, N, D),
    final: {
      input: alloc("the last hidden states", dtype, N, D),
      normed: alloc("the last hidden states, normalised", dtype, N, D),
      rstd: alloc("the last rstd", "f32", N, 1),
    },
    logits: {
      hidden: alloc("hidden states for logits", dtype, B, D),
      index: alloc("rows for logits", "i32", 1, B),
      values: alloc("logits", "f32", B, V),
    },
    sampling: { inputs: alloc("sampling inputs", "f32", 1, 3 * B), drawn: alloc("drawn ids", "i32", 1, 2 * B) },
    scoring: {
      hidden: alloc("scored hidden states", dtype, S, D),
      index: alloc("scored rows", "i32", 1, S),
      targets: alloc("targets", "i32", 1, S),
      losses: alloc("losses", "f32", 1, S),
      argmax: alloc("most likely ids", "i32", 1, S),
      workspace: alloc("the workspace of the loss", "f32", 1, Math.ceil(workspace / 4)),
    },
  };
}

/** Elements `start` to `start + n` of a [1, N] tensor. */
export function slice(tensor: Tensor, start: number, n: number): Tensor {
  return { ...tensor, offset: tensor.offset + start, cols: n, stride: n };
}

/** Writes the first values of a [1, N] tensor and returns just them. */
export function writeHead(backend: Backend, tensor: Tensor, values: Int32Array | Float32Array): Tensor {
  const part = slice(tensor, 0, values.length);
  writeTensor(backend, part, values);
  return part;
}

/**
 * The tokens of one pass on the device, one after the other in `Session.inputs`: ids, positions, cacheRows i32 [1, n],
 * ranges i32 [n, 4].
 */
interface TokenTensors {
  ids: Tensor;
  positions: Tensor;
  cacheRows: Tensor;
  ranges: Tensor;
}

/** Kernels trust what they are given: nothing gets past here that is not in the model, its positions or the cache. */
function checkToken({ decoder, shape }: Session, { id, position, cacheRow, ranges }: SessionToken): void {
  const { config, weights } = decoder;
  checkIndices([id], config.vocabSize, "token id");
  checkIndices([position], weights.cos.rows, "position");
  checkIndices([cacheRow], shape.cacheRows, "cache row");
  checkIndices(ranges, shape.cacheRows + 1, "end of a range of cache rows");
}

function checkIndices(indices: readonly number[], count: number, what: string): void {
  const wrong = firstOutside(indices, count);
  if (wrong !== null) throw new RangeError(`${what} ${wrong}: there are 0 to ${count - 1}`);
}

/** Writes what `forwardWritten` reads; `tokens` as for `forwardTokens`. */
export function writeTokens(session: Session, tokens: readonly SessionToken[]): TokenTensors {
  const n = tokens.length;
  if (n === 0 || n > session.shape.maxTokens) throw new RangeError(`${n} tokens, at most ${session.shape.maxTokens}`);
  for (const token of tokens) checkToken(session, token);
  const values = new Int32Array(7 * n);
  tokens.forEach(({ id, position, cacheRow, ranges }, i) => {
    values[i] = id;
    values[n + i] = position;
    values[2 * n + i] = cacheRow;
    values.set(ranges, 3 * n + 4 * i);
  });
  const written = writeHead(session.decoder.backend, session.inputs, values);
  return {
    ids: slice(written, 0, n),
    positions: slice(written, n, n),
    cacheRows: slice(written, 2 * n, n),
    ranges: { ...slice(written, 3 * n, 4), rows: n },
  };
}

/**
 * Runs the decoder over `tokens` (those of one sequence consecutive and in order), fills their cache rows, and returns
 * the normalised last hidden states [tokens, D], valid until the next call.
 */
export function forwardTokens(session: Session, tokens: readonly SessionToken[]): Tensor {
  return forwardWritten(session, writeTokens(session, tokens));
}

/**
 * `forwardTokens` over what `writeTokens` wrote: the same ops on the same tensors for the same number of tokens.
 * `adapters` lie apart from the decoder, each for some of the tokens.
 */
export function forwardWritten(
  session: Session,
  { ids, positions, cacheRows, ranges }: TokenTensors,
  adapters: readonly AdapterRows[] = [],
): Tensor {
  const { decoder, cache } = session;
  const { backend, config, weights } = decoder;
  const n = ids.cols;
  const layer = narrow(session.layer, n);
  const delta = rows(session.delta, 0, n);
  backend.ops.gather({ out: layer.input, table: weights.embedTokens, index: ids });
  weights.layers.forEach((layerWeights, i) => {
    const attend = attendCached(decoder, cache[i]!, cacheRows, ranges);
    const seen = withRowAdapters(layerWeights, i, adapters);
    layerForward(decoder, seen, layer, positions, delta, i > 0 ? layer : null, attend);
  });
  const normed = rows(session.final.normed, 0, n);
  backend.ops.rmsnormForward({
    out: normed,
    rstd: rows(session.final.rstd, 0, n),
    x: layer.afterAttention,
    residual: { h: rows(session.final.input, 0, n), delta },
    weight: weights.finalNorm,
    eps: config.rmsNormEps,
  });
  return normed;
}

/** Keys and values go to their cache rows, then every token attends to its ranges. */
function attendCached(decoder: Decoder, cache: { k: Tensor; v: Tensor }, cacheRows: Tensor, ranges: Tensor): Attend {
  const { ops } = decoder.backend;
  const { headDim: E } = decoder.config;
  return (layer, out) => {
    const { q, k, v } = attentionOperands(decoder.config, layer);
    ops.scatter({ dst: cache.k, src: k, index: cacheRows });
    ops.scatter({ dst: cache.v, src: v, index: cacheRows });
    ops.attentionCached({ out, q, kCache: cache.k, vCache: cache.v, ranges, headDim: E, scale: E ** -0.5 });
  };
}

/** The first n rows of every tensor of a layer (`lse` is not used in inference). */
function narrow(layer: LayerActivations, n: number): LayerActivations {
  const first = (tensor: Tensor): Tensor => rows(tensor, 0, n);
  const { lse, qkNormed, ...rest } = layer;
  const narrowed = Object.fromEntries(Object.entries(rest).map(([name, tensor]) => [name, first(tensor)]));
  return {
    ...(narrowed as Omit<LayerActivations, "lse" | "qkNormed">),
    lse,
    qkNormed: qkNormed && { qk: first(qkNormed.qk), qRstd: first(qkNormed.qRstd), kRstd: first(qkNormed.kRstd) },
  };
}

/** The given rows of `hidden`, at most `maxLogits`, valid until the next call. */
export function pickRows(session: Session, hidden: Tensor, indices: readonly number[]): Tensor {
  const { backend } = session.decoder;
  const { logits } = session;
  checkIndices(indices, hidden.rows, "row");
  const index = writeHead(backend, logits.index, Int32Array.from(indices));
  const picked = rows(logits.hidden, 0, indices.length);
  backend.ops.gather({ out: picked, table: hidden, index });
  return picked;
}

/** Logits f32 [n, V] of n hidden states, at most `maxLogits`, valid until the next call. */
export function logitsOf(session: Session, hidden: Tensor): Tensor {
  const { backend, weights } = session.decoder;
  const out = rows(session.logits.values, 0, hidden.rows);
  backend.ops.matmul({ out, a: hidden, b: weights.lmHead, transB: true });
  return out;
}

/** A copy of `n` cache rows: keys and values of tokens that another sequence begins with as well. */
export function copyCacheRows({ decoder, cache }: Session, from: number, to: number, n: number): void {
  for (const { k, v } of cache)
    for (const tensor of [k, v]) decoder.backend.ops.convert({ dst: rows(tensor, to, n), src: rows(tensor, from, n) });
}

/**
 * Losses f32 [1, indices] of the given rows of `hidden` against `targets`, and the most likely ids, valid until the
 * next call.
 */
export function lossesOf(
  session: Session,
  hidden: Tensor,
  indices: readonly number[],
  targets: readonly number[],
): { losses: Tensor; argmax: Tensor } {
  const { backend, weights } = session.decoder;
  const { scoring } = session;
  const n = indices.length;
  checkIndices(indices, hidden.rows, "row");
  checkIndices(targets, session.decoder.config.vocabSize, "target");
  const index = writeHead(backend, scoring.index, Int32Array.from(indices));
  const x = rows(scoring.hidden, 0, n);
  backend.ops.gather({ out: x, table: hidden, index });
  const out = { losses: slice(scoring.losses, 0, n), argmax: slice(scoring.argmax, 0, n) };
  backend.ops.linearCrossEntropy({
    ...out,
    x,
    w: weights.lmHead,
    targets: writeHead(backend, scoring.targets, Int32Array.from(targets)),
    workspace: scoring.workspace,
  });
  return out;
}
