/**
 * @file A decoder with its adapter switched off: the same weights, seen without the rows and columns of the adapters.
 */
import { columns, rows } from "../backend/tensor.js";
import { LINEAR_GROUPS, planGroups } from "./lora.js";
import type { Decoder, LayerWeights } from "./weights.js";

/** The base model of `decoder`. It shares its memory: freeing either frees both. */
export function withoutAdapter(decoder: Decoder): Decoder {
  const groups = planGroups(decoder.config, null);
  const layers = decoder.weights.layers.map((layer): LayerWeights => {
    const linears = { ...layer.linears };
    for (const group of LINEAR_GROUPS) {
      const { extended, bias } = layer.linears[group];
      const spec = groups[group];
      linears[group] = { spec, extended: columns(rows(extended, 0, spec.outSize), 0, spec.inSize), bias };
    }
    return { ...layer, linears };
  });
  return { ...decoder, lora: null, weights: { ...decoder.weights, layers } };
}
