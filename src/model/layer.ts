/**
 * @file One decoder layer, forward and backward, written out. Legend: N tokens, D hidden, H query heads, K kv heads, E
 * head dim.
 */
import type { Tensor } from "../backend/tensor.js";
import { columns } from "../backend/tensor.js";
import type { LayerActivations, MicroBatchTensors, Transients } from "./activations.js";
import { attentionOperands } from "./activations.js";
import { type AdapterViews, completeInput, inputOf, linearBackward, linearForward } from "./linear.js";
import type { LinearGroup } from "./lora.js";
import type { Decoder, LayerWeights } from "./weights.js";

/** The gradients of one layer's adapters; empty where nothing is adapted. */
export type LayerGrads = Partial<Record<LinearGroup, AdapterViews>>;

/** Writes the attention output [N, H E] of the layer's q, k and v. */
export type Attend = (layer: LayerActivations, out: Tensor) => void;

/** Training's attention: causal inside the segments of the batch. */
export function attendSegments(decoder: Decoder, batch: Pick<MicroBatchTensors, "starts">): Attend {
  const { headDim: E } = decoder.config;
  return (layer, out) =>
    decoder.backend.ops.attentionForward({
      out,
      lse: layer.lse,
      ...attentionOperands(decoder.config, layer),
      starts: batch.starts,
      headDim: E,
      scale: E ** -0.5,
    });
}

/**
 * The previous layer's MLP output, in `delta`, joins the residual stream; then attention and MLP run. On return `delta`
 * holds this layer's MLP output, not yet added. `previous` is null where `layer.input` is there already: the first
 * layer.
 */
export function layerForward(
  decoder: Decoder,
  weights: LayerWeights,
  layer: LayerActivations,
  positions: Tensor,
  delta: Tensor,
  previous: { afterAttention: Tensor } | null,
  attend: Attend,
): void {
  layerInner(decoder, weights, layer, positions, delta, previous, attend);
  linearForward(decoder.backend.ops, weights.linears.down, layer.mlpActivation, delta);
}

/** What "block" dropped: all of the layer but its last product. */
export function recomputeBlock(
  decoder: Decoder,
  weights: LayerWeights,
  layer: LayerActivations,
  positions: Tensor,
  delta: Tensor,
  attend: Attend,
): void {
  layerInner(decoder, weights, layer, positions, delta, null, attend);
  completeInput(decoder.backend.ops, weights.linears.down, layer.mlpActivation);
}

function layerInner(
  decoder: Decoder,
  weights: LayerWeights,
  layer: LayerActivations,
  positions: Tensor,
  delta: Tensor,
  previous: { afterAttention: Tensor } | null,
  attend: Attend,
): void {
  const { ops } = decoder.backend;
  const eps = decoder.config.rmsNormEps;
  const { linears } = weights;

  // 1. residual + norm
  ops.rmsnormForward({
    out: inputOf(linears.qkv, layer.attentionInput),
    rstd: layer.attentionRstd,
    weight: weights.inputNorm,
    eps,
    ...(previous ? { x: previous.afterAttention, residual: { h: layer.input, delta } } : { x: layer.input }),
  });
  // 2. q, k, v
  linearForward(ops, linears.qkv, layer.attentionInput, layer.qkv);
  normalizeAndRotate(decoder, weights, layer, positions);
  // 3. attention
  attend(layer, inputOf(linears.o, layer.attention));
  linearForward(ops, linears.o, layer.attention, delta);
  // 4. residual + norm
  ops.rmsnormForward({
    out: inputOf(linears.gateUp, layer.mlpInput),
    rstd: layer.mlpRstd,
    x: layer.input,
    residual: { h: layer.afterAttention, delta },
    weight: weights.postAttnNorm,
    eps,
  });
  // 5. MLP
  linearForward(ops, linears.gateUp, layer.mlpInput, layer.gateUp);
  ops.swigluForward({ out: inputOf(linears.down, layer.mlpActivation), gateUp: layer.gateUp });
}

/** Qwen3's norm of each head of q and k, then RoPE. */
function normalizeAndRotate(
  decoder: Decoder,
  weights: LayerWeights,
  layer: Pick<LayerActivations, "qkv" | "qkNormed">,
  positions: Tensor,
): void {
  const { ops } = decoder.backend;
  const { numHeads: H, numKvHeads: K, headDim: E, rmsNormEps: eps } = decoder.config;
  const qSize = H * E;
  const kSize = K * E;
  const qkv = columns(layer.qkv, 0, qSize + kSize);
  const qk = layer.qkNormed?.qk ?? qkv;
  if (layer.qkNormed && weights.qNorm && weights.kNorm) {
    const { qRstd, kRstd } = layer.qkNormed;
    const norm = (start: number, size: number, rstd: Tensor, weight: Tensor): void =>
      ops.rmsnormForward({ out: columns(qk, start, size), rstd, x: columns(qkv, start, size), weight, eps });
    norm(0, qSize, qRstd, weights.qNorm);
    norm(qSize, kSize, kRstd, weights.kNorm);
  }
  ops.rope({ x: qk, cos: decoder.weights.cos, sin: decoder.weights.sin, positions });
}

/** What "norms" dropped: the normalised inputs, completed, and the SwiGLU output. */
export function recomputeNorms(decoder: Decoder, weights: LayerWeights, layer: LayerActivations): void {
  const { ops } = decoder.backend;
  const eps = decoder.config.rmsNormEps;
  const { qkv, gateUp, down } = weights.linears;
  const norm = (out: Tensor, rstd: Tensor, x: Tensor, weight: Tensor): void =>
    ops.rmsnormForward({ out: columns(out, 0, weight.cols), rstd, x, weight, eps });
  norm(layer.attentionInput, layer.attentionRstd, layer.input, weights.inputNorm);
  completeInput(ops, qkv, layer.attentionInput);
  norm(layer.mlpInput, layer.mlpRstd, layer.afterAttention, weights.postAttnNorm);
  completeInput(ops, gateUp, layer.mlpInput);
  ops.swigluForward({ out: inputOf(down, layer.mlpActivation), gateUp: layer.gateUp });
  completeInput(ops, down, layer.mlpActivation);
}

/**
 * `transients.dResidual` holds the gradient of the residual stream after the layer; on return, before it. With
 * `inputTrained` false (nothing is trained below: the first layer) the gradient of the layer's input is left out.
 */
export function layerBackward(
  decoder: Decoder,
  weights: LayerWeights,
  layer: LayerActivations,
  batch: MicroBatchTensors,
  transients: Transients,
  grads: LayerGrads,
  scale: number,
  accumulate: boolean,
  inputTrained: boolean,
): void {
  const { ops } = decoder.backend;
  const { hiddenSize: D, intermediateSize: F, numHeads: H, numKvHeads: K, headDim: E } = decoder.config;
  const { linears } = weights;
  const { dNormed, dAttention, dQkv, dGateUp, dMlpActivation, dResidual } = transients;
  const dh = columns(dResidual, 0, D);
  const backward = (group: LinearGroup, x: Tensor, dy: Tensor, dx: Tensor | null): void =>
    linearBackward(ops, linears[group], x, dy, dx, grads[group] ?? null, scale, accumulate);

  // 5. MLP
  backward("down", layer.mlpActivation, dResidual, dMlpActivation);
  ops.swigluBackward({ dgateUp: columns(dGateUp, 0, 2 * F), dout: dMlpActivation, gateUp: layer.gateUp });
  backward("gateUp", layer.mlpInput, dGateUp, dNormed);
  // 4. norm; the residual's own gradient passes by
  ops.rmsnormBackward({
    dx: dh,
    dout: dNormed,
    h: layer.afterAttention,
    weight: weights.postAttnNorm,
    rstd: layer.mlpRstd,
    dresidual: dh,
  });
  // 3. attention
  backward("o", layer.attention, dResidual, dAttention);
  const qSize = H * E;
  const kSize = K * E;
  ops.attentionBackward({
    dq: columns(dQkv, 0, qSize),
    dk: columns(dQkv, qSize, kSize),
    dv: columns(dQkv, qSize + kSize, kSize),
    dout: dAttention,
    out: columns(layer.attention, 0, qSize),
    lse: layer.lse,
    ...attentionOperands(decoder.config, layer),
    starts: batch.starts,
    headDim: E,
    scale: E ** -0.5,
    workspace: transients.attentionWorkspace,
  });
  // 2. q, k, v
  const { cos, sin } = decoder.weights;
  ops.rope({ x: columns(dQkv, 0, qSize + kSize), cos, sin, positions: batch.positions, inverse: true });
  if (layer.qkNormed && weights.qNorm && weights.kNorm) {
    const { qRstd, kRstd } = layer.qkNormed;
    const norm = (start: number, size: number, rstd: Tensor, weight: Tensor): void => {
      const dx = columns(dQkv, start, size);
      ops.rmsnormBackward({ dx, dout: dx, h: columns(layer.qkv, start, size), weight, rstd });
    };
    norm(0, qSize, qRstd, weights.qNorm);
    norm(qSize, kSize, kRstd, weights.kNorm);
  }
  backward("qkv", layer.attentionInput, dQkv, inputTrained ? dNormed : null);
  if (!inputTrained) return;
  // 1. norm
  ops.rmsnormBackward({
    dx: dh,
    dout: dNormed,
    h: layer.input,
    weight: weights.inputNorm,
    rstd: layer.attentionRstd,
    dresidual: dh,
  });
}
