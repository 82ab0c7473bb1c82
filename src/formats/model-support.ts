/** @file What a config.json may ask for that the engine does not implement: each is refused by name, never ignored. */

import { InputError } from "../base/errors.js";
import { formatValue } from "../base/json.js";

const FAMILY_CLASS: Record<string, string> = { llama: "Llama", qwen2: "Qwen2", qwen3: "Qwen3" };

/** A field, the values that the engine runs, and what its presence means. */
type Rule = [field: string, allowed: (value: unknown) => boolean, meaning: string];

const off = (value: unknown) => value === null || value === undefined || value === false;
const zero = (value: unknown) => off(value) || value === 0;
const one = (value: unknown) => value === null || value === undefined || value === 1;
const empty = (value: unknown) => off(value) || (Array.isArray(value) && value.length === 0);

const RULES: Rule[] = [
  ["hidden_act", (value) => value === undefined || value === "silu", 'the engine runs "silu" (SwiGLU) only'],
  ["use_sliding_window", off, "sliding-window attention is not implemented"],
  ["attention_dropout", zero, "attention dropout is not implemented; set it to 0"],
  ["mlp_bias", off, "biases in the MLP are not implemented"],
  ["pretraining_tp", one, "split projections (pretraining_tp) are not implemented; set it to 1"],
  ["partial_rotary_factor", one, "partial rotary embedding is not implemented"],
  ["rope_interleaved", off, "interleaved rotary embedding is not implemented"],
  [
    "quantization_config",
    off,
    "quantised weights are not implemented; use the unquantised checkpoint (BF16, F16 or F32)",
  ],
  ["compression_config", off, "compressed weights are not implemented; use the uncompressed checkpoint"],
  ["num_experts", zero, "mixture-of-experts is not implemented; use a dense checkpoint"],
  ["num_local_experts", zero, "mixture-of-experts is not implemented; use a dense checkpoint"],
  ["n_routed_experts", zero, "mixture-of-experts is not implemented; use a dense checkpoint"],
  ["num_nextn_predict_layers", zero, "multi-token prediction layers are not implemented"],
  ["no_rope_layers", empty, "layers without rotary embedding are not implemented"],
  ["attn_logit_softcapping", zero, "soft capping of logits is not implemented"],
  ["final_logit_softcapping", zero, "soft capping of logits is not implemented"],
  ["embedding_multiplier", one, "scaled embeddings are not implemented"],
  ["attention_multiplier", off, "another attention scale is not implemented"],
  ["residual_multiplier", one, "scaled residuals are not implemented"],
  ["logits_scaling", one, "scaled logits are not implemented"],
  ["logit_scale", one, "scaled logits are not implemented"],
];

/**
 * Throws InputError, naming field, value and file `where`, for the first thing in `raw` that the engine does not run.
 */
export function checkSupported(
  raw: { model_type: string; num_hidden_layers: number; [field: string]: unknown },
  where: string,
): void {
  for (const [field, allowed, meaning] of RULES) {
    if (!allowed(raw[field])) throw new InputError(`${where}: ${field} is ${formatValue(raw[field])}; ${meaning}`);
  }
  // Qwen stores a window that it does not use; the other family has no such switch.
  if (raw.model_type === "llama" && !off(raw["sliding_window"])) {
    throw new InputError(
      `${where}: sliding_window is ${formatValue(raw["sliding_window"])}; sliding-window attention is not implemented`,
    );
  }
  // Qwen2 always has them on q, k and v, whatever its config says.
  if (raw.model_type !== "qwen2" && !off(raw["attention_bias"])) {
    const value = formatValue(raw["attention_bias"]);
    throw new InputError(
      `${where}: attention_bias is ${value}; biases on the attention projections are not implemented for ` +
        `${raw.model_type}`,
    );
  }
  checkArchitectures(raw["architectures"], raw.model_type, where);
  checkLayerTypes(raw["layer_types"], raw.num_hidden_layers, where);
}

function checkArchitectures(architectures: unknown, family: string, where: string): void {
  if (architectures === null || architectures === undefined) return;
  // The bare model is the same decoder saved without its head, which tied embeddings give back.
  const known = [`${FAMILY_CLASS[family]}ForCausalLM`, `${FAMILY_CLASS[family]}Model`];
  const fits =
    Array.isArray(architectures) && architectures.length > 0 && architectures.every((name) => known.includes(name));
  if (!fits)
    throw new InputError(
      `${where}: architectures is ${formatValue(architectures)}; the engine runs ["${known[0]}"] for this model_type`,
    );
}

function checkLayerTypes(layerTypes: unknown, numLayers: number, where: string): void {
  if (layerTypes === null || layerTypes === undefined) return;
  if (!Array.isArray(layerTypes) || layerTypes.length !== numLayers) {
    throw new InputError(
      `${where}: layer_types is ${formatValue(layerTypes)}; it must list the type of each of the ${numLayers} layers`,
    );
  }
  const layer = layerTypes.findIndex((type) => type !== "full_attention");
  if (layer >= 0) {
    throw new InputError(
      `${where}: layer_types[${layer}] is ${formatValue(layerTypes[layer])}; the engine runs "full_attention" only`,
    );
  }
}
