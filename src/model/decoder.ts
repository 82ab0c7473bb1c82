/** @file The whole decoder over one micro-batch: token ids to losses, and back to the gradients of the adapters. */
import { columns } from "../backend/tensor.js";
import type { Activations } from "./activations.js";
import {
  attendSegments,
  type LayerGrads,
  layerBackward,
  layerForward,
  recomputeBlock,
  recomputeNorms,
} from "./layer.js";
import { loraScale } from "./lora.js";
import type { Decoder } from "./weights.js";

/** Token ids to the normalised last hidden states, `activations.final.normed` [N, D]. */
export function decoderForward(decoder: Decoder, activations: Activations): void {
  const { backend, weights, config } = decoder;
  const { layers, batch, final, transients } = activations;
  backend.ops.gather({ out: layers[0]!.input, table: weights.embedTokens, index: batch.ids });
  const attend = attendSegments(decoder, batch);
  layers.forEach((layer, i) => {
    const previous = layers[i - 1] ?? null;
    layerForward(decoder, weights.layers[i]!, layer, batch.positions, transients.delta, previous, attend);
  });
  backend.ops.rmsnormForward({
    out: final.normed,
    rstd: final.rstd,
    x: layers.at(-1)!.afterAttention,
    residual: { h: final.input, delta: transients.delta },
    weight: weights.finalNorm,
    eps: config.rmsNormEps,
  });
}

/** Losses of the targets, `activations.batch.losses` [1, N]; 0 where there is no target. Forward only. */
export function decoderLosses(decoder: Decoder, activations: Activations): void {
  decoderForward(decoder, activations);
  decoder.backend.ops.linearCrossEntropy({
    losses: activations.batch.losses,
    x: activations.final.normed,
    w: decoder.weights.lmHead,
    targets: activations.batch.targets,
    workspace: activations.lossWorkspace,
  });
}

/**
 * Losses, and the gradients of (sum of losses) * dscale with respect to the adapters: `grads` [layer] are overwritten,
 * or added to with `accumulate`.
 */
export function decoderForwardBackward(
  decoder: Decoder,
  activations: Activations,
  grads: LayerGrads[],
  accumulate: boolean,
): void {
  const { backend, weights, config, lora } = decoder;
  const { layers, batch, final, transients, recompute } = activations;
  const { ops } = backend;
  const scale = lora ? loraScale(lora) : 0;
  const attend = attendSegments(decoder, batch);
  decoderForward(decoder, activations);
  ops.linearCrossEntropy({
    losses: batch.losses,
    dx: transients.dNormed,
    x: final.normed,
    w: weights.lmHead,
    targets: batch.targets,
    dscale: batch.dscale,
    workspace: activations.lossWorkspace,
  });
  ops.rmsnormBackward({
    dx: columns(transients.dResidual, 0, config.hiddenSize),
    dout: transients.dNormed,
    h: final.input,
    weight: weights.finalNorm,
    rstd: final.rstd,
  });
  for (let i = layers.length - 1; i >= 0; i--) {
    const layer = layers[i]!;
    const layerWeights = weights.layers[i]!;
    // The last layer's forward has just run: what it would recompute is still there.
    if (i < layers.length - 1 && recompute === "block")
      recomputeBlock(decoder, layerWeights, layer, batch.positions, transients.delta, attend);
    if (i < layers.length - 1 && recompute === "norms") recomputeNorms(decoder, layerWeights, layer);
    layerBackward(decoder, layerWeights, layer, batch, transients, grads[i] ?? {}, scale, accumulate, i > 0);
  }
}
