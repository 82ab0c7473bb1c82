/**
 * @file config.json of a Hugging Face checkpoint, in the spelling of transformers 4 or 5, as a ModelConfig; the rest is
 * refused by name.
 */

import { z } from "zod";
import { InputError } from "../base/errors.js";
import { checkJson, numberIn, wholeNumber as whole } from "../base/json.js";
import type { ModelConfig } from "../shape/config.js";
import { checkSupported } from "./model-support.js";
import { parseRope } from "./rope-config.js";

// Far above any published model: they bound what a hostile file can make the engine allocate or loop over.
const MAX_VOCAB = 2 ** 24;
const MAX_WIDTH = 2 ** 20;
const MAX_LAYERS = 1024;
const MAX_HEADS = 4096;
const MAX_HEAD_DIM = 1024;
const MAX_POSITIONS = 2 ** 30;

const flag = z.boolean("must be true or false");

const schema = z.looseObject(
  {
    model_type: z.enum(["llama", "qwen2", "qwen3"], "the engine runs llama, qwen2 and qwen3 only"),
    vocab_size: whole(MAX_VOCAB),
    hidden_size: whole(MAX_WIDTH),
    intermediate_size: whole(MAX_WIDTH),
    num_hidden_layers: whole(MAX_LAYERS),
    num_attention_heads: whole(MAX_HEADS),
    num_key_value_heads: whole(MAX_HEADS).nullish(),
    head_dim: whole(MAX_HEAD_DIM).nullish(),
    max_position_embeddings: whole(MAX_POSITIONS).nullish(),
    rms_norm_eps: numberIn(1e-12, 0.1).nullish(),
    tie_word_embeddings: flag.nullish(),
  },
  "must be a JSON object",
);
type RawConfig = z.infer<typeof schema>;

/**
 * The ModelConfig of parsed config.json `json`; `where` names the file. Defaults are those of the transformers config
 * classes. Throws InputError naming the field and its value where it is hostile, missing or asks for what the engine
 * does not implement.
 */
export function parseModelConfig(json: unknown, where: string): ModelConfig {
  const raw = checkJson(schema, json, where);
  checkSupported(raw, where);
  const family = raw.model_type;
  const numHeads = raw.num_attention_heads;
  const numKvHeads = raw.num_key_value_heads ?? numHeads;
  if (numHeads % numKvHeads !== 0) {
    throw new InputError(
      `${where}: num_attention_heads ${numHeads} is not a multiple of num_key_value_heads ${numKvHeads}`,
    );
  }
  return {
    family,
    vocabSize: raw.vocab_size,
    hiddenSize: raw.hidden_size,
    intermediateSize: raw.intermediate_size,
    numLayers: raw.num_hidden_layers,
    numHeads,
    numKvHeads,
    headDim: parseHeadDim(raw, where),
    maxPositionEmbeddings: raw.max_position_embeddings ?? (family === "llama" ? 2048 : 32768),
    rmsNormEps: raw.rms_norm_eps ?? 1e-6,
    ...parseRope(raw, where),
    qkvBias: family === "qwen2",
    qkNorm: family === "qwen3",
    tieWordEmbeddings: raw.tie_word_embeddings ?? false,
  };
}

function parseHeadDim(raw: RawConfig, where: string): number {
  let headDim = raw.head_dim;
  // The default of Qwen3's class is a number, that of the others a quotient.
  if (headDim === undefined && raw.model_type === "qwen3") headDim = 128;
  headDim ??= raw.hidden_size / raw.num_attention_heads;
  // Kernels load heads in vectors of 8.
  if (headDim < 8 || headDim % 8 !== 0) {
    throw new InputError(
      `${where}: head_dim ${headDim} is not a multiple of 8; the engine runs head sizes 8, 16, 24, ...`,
    );
  }
  return headDim;
}
