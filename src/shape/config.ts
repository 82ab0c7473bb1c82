/**
 * @file The shape of a decoder, read from a checkpoint's config.json by `parseModelConfig` (formats/model-config.ts).
 */

/** RoPE as Llama 3.1 stretches it (`rope_type: "llama3"`); null is plain RoPE. */
export interface Llama3RopeScaling {
  factor: number;
  lowFreqFactor: number;
  highFreqFactor: number;
  originalMaxPositionEmbeddings: number;
}

export interface ModelConfig {
  family: "llama" | "qwen2" | "qwen3";
  vocabSize: number;
  hiddenSize: number;
  intermediateSize: number;
  numLayers: number;
  numHeads: number;
  numKvHeads: number;
  headDim: number;
  maxPositionEmbeddings: number;
  rmsNormEps: number;
  ropeTheta: number;
  ropeScaling: Llama3RopeScaling | null;
  /** Bias on q, k and v (Qwen2). */
  qkvBias: boolean;
  /** RMSNorm on each head of q and k before RoPE (Qwen3). */
  qkNorm: boolean;
  tieWordEmbeddings: boolean;
}

/** One fixed order for everything that lists projections: settings, adapter files, flat parameter buffers. */
export const PROJECTIONS = ["q", "k", "v", "o", "gate", "up", "down"] as const;
export type Projection = (typeof PROJECTIONS)[number];
