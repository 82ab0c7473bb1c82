/** @file Inference: a KV cache, and the decoder over any tokens of any sequences in it. */
import { type Backend, writeTensor } from "../backend/backend.js";
import type { Tensor } from "../backend/tensor.js";
import { rows } from "../backend/tensor.js";
import { attentionOperands, type LayerActivations, layoutLayer } from "./activations.js";
import { type Alloc, allocArena } from "./arena.js";
import { type Attend, layerForward } from "./layer.js";
import { planGroups } from "./lora.js";
import type { Decoder } from "./weights.js";

/** One token to run: where it stands in its sequence, where its key and value go, and which cache rows it attends to. */
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
  inputs: { ids: Tensor; positions: Tensor; cacheRows: Tensor; ranges: Tensor };
  delta: Tensor;
  final: { input: Tensor; normed: Tensor; rstd: Tensor };
  logits: { hidden: Tensor; index: Tensor; values: Tensor };
  sampling: { ids: Tensor; logprobs: Tensor; temperature: Tensor; topP: Tensor; uniforms: Tensor };
  scoring: { hidden: Tensor; index: Tensor; targets: Tensor; losses: Tensor; argmax: Tensor; workspace: Tensor };
  free: () => void;
}

type SessionTensors = Omit<Session, "decoder" | "shape" | "free">;

export function openSession(decoder: Decoder, shape: SessionShape): Session {
  const { tensors, free } = allocArena(decoder.backend, (alloc) => layoutSession(alloc, decoder, shape));
  return { decoder, shape, free, ...tensors };
}

function layoutSession(alloc: Alloc, decoder: Decoder, shape: SessionShape): SessionTensors {
  const { backend, config, dtype, lora } = decoder;
  const { hiddenSize: D, numKvHeads: K, headDim: E, vocabSize: V } = config;
  const { cacheRows, maxTokens: N, maxLogits: B, maxLosses: S } = shape;
  const workspace = S > 0 ? backend.ops.linearCrossEntropyWorkspaceBytes({ dtype, N: S, D, V }) : 0;
  return {
    layer: layoutLayer(alloc, config, planGroups(config, lora), dtype, N, (_name, _from, make) => make()),
    cache: Array.from({ length: config.numLayers }, () => ({
      k: alloc(dtype, cacheRows, K * E),
      v: alloc(dtype, cacheRows, K * E),
    })),
    inputs: {
      ids: alloc("i32", 1, N),
      positions: alloc("i32", 1, N),
      cacheRows: alloc("i32", 1, N),
      ranges: alloc("i32", N, 4),
    },
    delta: alloc(dtype, N, D),
    final: { input: alloc(dtype, N, D), normed: alloc(dtype, N, D), rstd: alloc("f32", N, 1) },
    logits: { hidden: alloc(dtype, B, D), index: alloc("i32", 1, B), values: alloc("f32", B, V) },
    sampling: {
      ids: alloc("i32", 1, B),
      logprobs: alloc("f32", 1, B),
      temperature: alloc("f32", 1, B),
      topP: alloc("f32", 1, B),
      uniforms: alloc("f32", 1, B),
    },
    scoring: {
      hidden: alloc(dtype, S, D),
      index: alloc("i32", 1, S),
      targets: alloc("i32", 1, S),
      losses: alloc("f32", 1, S),
      argmax: alloc("i32", 1, S),
      workspace: alloc("f32", 1, Math.ceil(workspace / 4)),
    },
  };
}

/** The first n elements of a [1, N] tensor. */
export function head(tensor: Tensor, n: number): Tensor {
  return { ...tensor, cols: n };
}

/** Writes the first values of a [1, N] tensor and returns just them. */
export function writeHead(backend: Backend, tensor: Tensor, values: Int32Array | Float32Array): Tensor {
  const part = head(tensor, values.length);
  writeTensor(backend, part, values);
  return part;
}

/**
 * Runs the decoder over `tokens` (those of one sequence consecutive and in order), fills their cache rows, and returns the normalised last hidden states
 * [tokens, D], valid until the next call.
 */
export function forwardTokens(session: Session, tokens: readonly SessionToken[]): Tensor {
  const { decoder, cache } = session;
  const { backend, config, weights } = decoder;
  const n = tokens.length;
  if (n === 0 || n > session.shape.maxTokens) throw new RangeError(`${n} tokens, at most ${session.shape.maxTokens}`);
  const ids = writeHead(
    backend,
    session.inputs.ids,
    Int32Array.from(tokens, (token) => token.id),
  );
  const positions = writeHead(
    backend,
    session.inputs.positions,
    Int32Array.from(tokens, (token) => token.position),
  );
  const cacheRows = writeHead(
    backend,
    session.inputs.cacheRows,
    Int32Array.from(tokens, (token) => token.cacheRow),
  );
  const ranges = rows(session.inputs.ranges, 0, n);
  writeTensor(backend, ranges, Int32Array.from(tokens.flatMap((token) => token.ranges)));

  const layer = narrow(session.layer, n);
  const delta = rows(session.delta, 0, n);
  backend.ops.gather({ out: layer.input, table: weights.embedTokens, index: ids });
  weights.layers.forEach((layerWeights, i) => {
    const attend = attendCached(decoder, cache[i]!, cacheRows, ranges);
    layerForward(decoder, layerWeights, layer, positions, delta, i > 0 ? layer : null, attend);
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

/** Logits f32 [indices, V] of the given rows of `hidden`, valid until the next call. */
export function logitsOf(session: Session, hidden: Tensor, indices: readonly number[]): Tensor {
  const { backend, weights } = session.decoder;
  const { logits } = session;
  const index = writeHead(backend, logits.index, Int32Array.from(indices));
  const picked = rows(logits.hidden, 0, indices.length);
  backend.ops.gather({ out: picked, table: hidden, index });
  const out = rows(logits.values, 0, indices.length);
  backend.ops.matmul({ out, a: picked, b: weights.lmHead, transB: true });
  return out;
}

/** Losses f32 [1, indices] of the given rows of `hidden` against `targets`, and the most likely ids, valid until the next call. */
export function lossesOf(
  session: Session,
  hidden: Tensor,
  indices: readonly number[],
  targets: readonly number[],
): { losses: Tensor; argmax: Tensor } {
  const { backend, weights } = session.decoder;
  const { scoring } = session;
  const n = indices.length;
  const index = writeHead(backend, scoring.index, Int32Array.from(indices));
  const x = rows(scoring.hidden, 0, n);
  backend.ops.gather({ out: x, table: hidden, index });
  const out = { losses: head(scoring.losses, n), argmax: head(scoring.argmax, n) };
  backend.ops.linearCrossEntropy({
    ...out,
    x,
    w: weights.lmHead,
    targets: writeHead(backend, scoring.targets, Int32Array.from(targets)),
    workspace: scoring.workspace,
  });
  return out;
}
