/**
 * @file Every tensor of one training micro-batch, and which of them the forward keeps for the backward.
 *
 * "none" keeps everything; "norms" keeps what matrix products and attention made and recomputes the normalised inputs
 * and the SwiGLU output; "block" keeps only each layer's input and recomputes the layer. All three give the same bits.
 */
import type { ComputeDtype, Dtype, Tensor } from "../backend/tensor.js";
import { columns, rows } from "../backend/tensor.js";
import type { ModelConfig } from "../shape/config.js";
import type { Alloc } from "./arena.js";
import { inputCols, outputGradCols } from "./linear.js";
import type { GroupSpec, LinearGroup } from "./lora.js";

export const RECOMPUTE = ["none", "norms", "block"] as const;
export type Recompute = (typeof RECOMPUTE)[number];

/**
 * What the backward of one layer reads. Under "norms" and "block" the layers share the memory of what is recomputed.
 */
export interface LayerActivations {
  /** Residual stream at the layer's input and after attention [N, D]. */
  input: Tensor;
  afterAttention: Tensor;
  /** Normalised inputs [N, D and what linear.ts adds]; rstd f32 [N, 1]. */
  attentionInput: Tensor;
  attentionRstd: Tensor;
  mlpInput: Tensor;
  mlpRstd: Tensor;
  /** Output of the q, k, v product [N, (H + 2K) E]; roped in place unless `qkNormed` is there. */
  qkv: Tensor;
  /**
   * Qwen3: q and k normalised and roped [N, (H + K) E], with rstd f32 [N, H] and [N, K]; qkv stays as the product left
   * it.
   */
  qkNormed: { qk: Tensor; qRstd: Tensor; kRstd: Tensor } | null;
  /** Attention output [N, H E and what linear.ts adds] and log-sum-exp f32 [H, N]. */
  attention: Tensor;
  lse: Tensor;
  /** [N, 2F] and SwiGLU output [N, F and what linear.ts adds]. */
  gateUp: Tensor;
  mlpActivation: Tensor;
}

/** Gradients and scratch: one set for all layers. */
export interface Transients {
  /** Output of o and down before it joins the residual stream [N, D]. */
  delta: Tensor;
  /** Gradient of the residual stream [N, D and what linear.ts adds for o or down]. */
  dResidual: Tensor;
  /** [N, D]: gradient of a normalised input. */
  dNormed: Tensor;
  dAttention: Tensor;
  dQkv: Tensor;
  /** [N, 2F and what linear.ts adds] */
  dGateUp: Tensor;
  dMlpActivation: Tensor;
  attentionWorkspace: Tensor;
}

/** Input and output of a micro-batch. */
export interface MicroBatchTensors {
  /** i32 [4, N]: ids, positions, starts and targets, which are its rows. */
  inputs: Tensor;
  ids: Tensor;
  positions: Tensor;
  starts: Tensor;
  targets: Tensor;
  /** f32 [1, 1]: 1 / (target tokens of the optimiser step). */
  dscale: Tensor;
  losses: Tensor;
}

export interface Activations {
  N: number;
  recompute: Recompute;
  batch: MicroBatchTensors;
  layers: LayerActivations[];
  /** The residual stream after the last layer [N, D], normalised [N, D], and its rstd. */
  final: { input: Tensor; normed: Tensor; rstd: Tensor };
  lossWorkspace: Tensor;
  transients: Transients;
}

export interface WorkspaceBytes {
  attentionBackward: number;
  loss: number;
}

/** How a tensor is made that is not needed once recompute reaches `recomputedFrom`. */
type Keep = (name: string, recomputedFrom: Recompute, ...shape: Shape) => Tensor;
type Shape = [dtype: Dtype, rows: number, cols: number];

/** The tensors of one layer over N tokens. */
export function layoutLayer(
  alloc: Alloc,
  config: ModelConfig,
  groups: Record<LinearGroup, GroupSpec>,
  dtype: ComputeDtype,
  N: number,
  kept: Keep,
): LayerActivations {
  const { hiddenSize: D, intermediateSize: F, numHeads: H, numKvHeads: K, headDim: E } = config;
  const { qkv, o, gateUp, down } = groups;
  return {
    input: alloc("the input of a layer", dtype, N, D),
    afterAttention: kept("afterAttention", "block", dtype, N, D),
    attentionInput: kept("attentionInput", "norms", dtype, N, inputCols(qkv)),
    attentionRstd: kept("attentionRstd", "block", "f32", N, 1),
    mlpInput: kept("mlpInput", "norms", dtype, N, inputCols(gateUp)),
    mlpRstd: kept("mlpRstd", "block", "f32", N, 1),
    qkv: kept("qkv", "block", dtype, N, qkv.outSize),
    qkNormed: config.qkNorm
      ? {
          qk: kept("qk", "block", dtype, N, (H + K) * E),
          qRstd: kept("qRstd", "block", "f32", N, H),
          kRstd: kept("kRstd", "block", "f32", N, K),
        }
      : null,
    attention: kept("attention", "block", dtype, N, inputCols(o)),
    lse: kept("lse", "block", "f32", H, N),
    gateUp: kept("gateUp", "block", dtype, N, 2 * F),
    mlpActivation: kept("mlpActivation", "norms", dtype, N, inputCols(down)),
  };
}

/** Lays out everything for micro-batches of N tokens. */
export function layoutActivations(
  alloc: Alloc,
  config: ModelConfig,
  groups: Record<LinearGroup, GroupSpec>,
  dtype: ComputeDtype,
  N: number,
  recompute: Recompute,
  workspace: WorkspaceBytes,
): Activations {
  const { hiddenSize: D, intermediateSize: F, numHeads: H, headDim: E, numLayers: L } = config;
  const { qkv, o, gateUp, down } = groups;
  const bytes = (name: string, count: number): Tensor => alloc(name, "f32", 1, Math.ceil(count / 4));

  // `kept(level)` tensors are each layer's own while `recompute` is below that level, shared by all layers from there
  // on.
  const shared = new Map<string, Tensor>();
  const kept: Keep = (name, recomputedFrom, ...shape) => {
    const make = (): Tensor => alloc(`activations of ${name}`, ...shape);
    if (RECOMPUTE.indexOf(recompute) < RECOMPUTE.indexOf(recomputedFrom)) return make();
    const tensor = shared.get(name) ?? make();
    shared.set(name, tensor);
    return tensor;
  };
  const inputs = alloc("token ids", "i32", 4, N);
  const layers = Array.from({ length: L }, () => layoutLayer(alloc, config, groups, dtype, N, kept));
  return {
    N,
    recompute,
    batch: {
      inputs,
      ids: rows(inputs, 0, 1),
      positions: rows(inputs, 1, 1),
      starts: rows(inputs, 2, 1),
      targets: rows(inputs, 3, 1),
      dscale: alloc("dscale", "f32", 1, 1),
      losses: alloc("losses", "f32", 1, N),
    },
    layers,
    final: {
      input: alloc("the last hidden states", dtype, N, D),
      normed: alloc("the last hidden states, normalised", dtype, N, D),
      rstd: alloc("the last rstd", "f32", N, 1),
    },
    lossWorkspace: bytes("the workspace of the loss", workspace.loss),
    transients: {
      delta: alloc("delta", dtype, N, D),
      dResidual: alloc("dResidual", dtype, N, Math.max(outputGradCols(o), outputGradCols(down))),
      dNormed: alloc("dNormed", dtype, N, D),
      dAttention: alloc("dAttention", dtype, N, H * E),
      dQkv: alloc("dQkv", dtype, N, outputGradCols(qkv)),
      dGateUp: alloc("dGateUp", dtype, N, outputGradCols(gateUp)),
      dMlpActivation: alloc("dMlpActivation", dtype, N, F),
      attentionWorkspace: bytes("the workspace of attention", workspace.attentionBackward),
    },
  };
}

/** q, k and v as attention reads them. */
export function attentionOperands(config: ModelConfig, layer: LayerActivations): { q: Tensor; k: Tensor; v: Tensor } {
  const { numHeads: H, numKvHeads: K, headDim: E } = config;
  const roped = layer.qkNormed?.qk ?? layer.qkv;
  return {
    q: columns(roped, 0, H * E),
    k: columns(roped, H * E, K * E),
    v: columns(layer.qkv, (H + K) * E, K * E),
  };
}
