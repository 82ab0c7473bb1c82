/** @file A decoder's weights on the device. */
import type { Backend } from "../backend/backend.js";
import type { ComputeDtype, Tensor } from "../backend/tensor.js";
import type { ModelConfig } from "../shape/config.js";
import { EMBED, HEAD } from "../shape/weights.js";
import type { Alloc } from "./arena.js";
import { type Linear, layoutLinear } from "./linear.js";
import type { GroupSpec, LinearGroup, LoraConfig } from "./lora.js";
import { planGroups } from "./lora.js";

export interface LayerWeights {
  inputNorm: Tensor;
  postAttnNorm: Tensor;
  /** Qwen3: [1, E] each. */
  qNorm: Tensor | null;
  kNorm: Tensor | null;
  linears: Record<LinearGroup, Linear>;
}

export interface DecoderWeights {
  /** [V, D] */
  embedTokens: Tensor;
  /** [V, D]; the same tensor as embedTokens where they are tied. */
  lmHead: Tensor;
  finalNorm: Tensor;
  layers: LayerWeights[];
  /** f32 [positions, E / 2] */
  cos: Tensor;
  sin: Tensor;
}

/** A loaded decoder: what forward, backward and generation need. */
export interface Decoder {
  backend: Backend;
  config: ModelConfig;
  dtype: ComputeDtype;
  lora: LoraConfig | null;
  weights: DecoderWeights;
}

/** Lays the weights out. */
export function layoutWeights(
  alloc: Alloc,
  config: ModelConfig,
  dtype: ComputeDtype,
  lora: LoraConfig | null,
  positions: number,
): DecoderWeights {
  const { hiddenSize: D, headDim: E, vocabSize: V } = config;
  const groups = planGroups(config, lora);
  const linear = (layer: number, spec: GroupSpec): Linear =>
    layoutLinear(alloc, `layers.${layer}.${spec.group}`, dtype, spec, spec.group === "qkv" && config.qkvBias);
  const layers = Array.from(
    { length: config.numLayers },
    (_, i): LayerWeights => ({
      inputNorm: alloc(`layers.${i}.input_layernorm`, dtype, 1, D),
      postAttnNorm: alloc(`layers.${i}.post_attention_layernorm`, dtype, 1, D),
      qNorm: config.qkNorm ? alloc(`layers.${i}.q_norm`, dtype, 1, E) : null,
      kNorm: config.qkNorm ? alloc(`layers.${i}.k_norm`, dtype, 1, E) : null,
      linears: {
        qkv: linear(i, groups.qkv),
        o: linear(i, groups.o),
        gateUp: linear(i, groups.gateUp),
        down: linear(i, groups.down),
      },
    }),
  );
  const embedTokens = alloc(EMBED, dtype, V, D);
  return {
    embedTokens,
    lmHead: config.tieWordEmbeddings ? embedTokens : alloc(HEAD, dtype, V, D),
    finalNorm: alloc("model.norm.weight", dtype, 1, D),
    layers,
    cos: alloc("RoPE's cosines", "f32", positions, E / 2),
    sin: alloc("RoPE's sines", "f32", positions, E / 2),
  };
}
