/**
 * @file A decoder with its adapter switched off: the same weights, seen without the adapters.
 */
import { withoutAdapters } from "./linear.js";
import { LINEAR_GROUPS, planGroups } from "./lora.js";
import type { Decoder, LayerWeights } from "./weights.js";

/** The base model of `decoder`. It shares its memory: freeing either frees both. */
export function withoutAdapter(decoder: Decoder): Decoder {
  const groups = planGroups(decoder.config, null);
  const layers = decoder.weights.layers.map((layer): LayerWeights => {
    const linears = { ...layer.linears };
    for (const group of LINEAR_GROUPS) {
      linears[group] = withoutAdapters(layer.linears[group], groups[group]);
    }
    return { ...layer, linears };
  });
  return { ...decoder, lora: null, weights: { ...decoder.weights, layers } };
}
