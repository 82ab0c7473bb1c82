/**
 * @file The weights that a ModelConfig needs, under the names and shapes of transformers, and which stored tensor holds
 * each.
 */

import { type ModelConfig, PROJECTIONS, type Projection } from "./config.js";

export const EMBED = "model.embed_tokens.weight";
export const HEAD = "lm_head.weight";

/** Buffers that old checkpoints carry and RoPE recomputes. */
const KNOWN_EXTRA = /(^|\.)rotary_emb\.(inv_freq|cos_cached|sin_cached)$/;

/** [out, in] of a projection's weight, which is stored as rows of outputs. */
export function projectionShape(config: ModelConfig, projection: Projection): [number, number] {
  const { hiddenSize: D, intermediateSize: F, headDim: E } = config;
  const shapes: Record<Projection, [number, number]> = {
    q: [config.numHeads * E, D],
    k: [config.numKvHeads * E, D],
    v: [config.numKvHeads * E, D],
    o: [D, config.numHeads * E],
    gate: [F, D],
    up: [F, D],
    down: [D, F],
  };
  return shapes[projection];
}

/** The module of a projection within its layer: "self_attn.q_proj". */
export function projectionModule(projection: Projection): string {
  return `${["gate", "up", "down"].includes(projection) ? "mlp" : "self_attn"}.${projection}_proj`;
}

/** Name and shape of every weight, layer by layer; tied embeddings are listed under both names. */
export function* neededWeights(config: ModelConfig): Generator<[name: string, shape: number[]]> {
  const { vocabSize: V, hiddenSize: D, headDim: E } = config;
  yield [EMBED, [V, D]];
  for (let layer = 0; layer < config.numLayers; layer++) {
    const prefix = `model.layers.${layer}`;
    yield [`${prefix}.input_layernorm.weight`, [D]];
    for (const projection of PROJECTIONS) {
      const shape = projectionShape(config, projection);
      const module = `${prefix}.${projectionModule(projection)}`;
      yield [`${module}.weight`, shape];
      if (config.qkvBias && "qkv".includes(projection)) yield [`${module}.bias`, [shape[0]]];
    }
    if (config.qkNorm) {
      yield [`${prefix}.self_attn.q_norm.weight`, [E]];
      yield [`${prefix}.self_attn.k_norm.weight`, [E]];
    }
    yield [`${prefix}.post_attention_layernorm.weight`, [D]];
  }
  yield ["model.norm.weight", [D]];
  yield [HEAD, [V, D]];
}

/** The name that `neededWeights` uses for a stored tensor: base models are saved without the prefix `model.`. */
export function canonicalName(stored: string): string {
  return /^(embed_tokens|layers|norm)\./.test(stored) ? `model.${stored}` : stored;
}

export function isKnownExtra(stored: string): boolean {
  return KNOWN_EXTRA.test(stored);
}

/** True where the metadata that safetensors writes for shared tensors says that embedding and head are one. */
export function isTiedByMetadata(metadata: Record<string, string>): boolean {
  return Object.entries(metadata).some(([dropped, kept]) => {
    const pair = [canonicalName(dropped), canonicalName(kept)];
    return pair.includes(EMBED) && pair.includes(HEAD);
  });
}
