/** @file A checkpoint as the engine reads it, whatever files hold it. */
import type { FloatDtype } from "../base/float.js";
import type { ModelConfig } from "./config.js";

/** A tensor as stored. */
export interface StoredTensor {
  /** Its name in the file. */
  name: string;
  dtype: string;
  shape: readonly number[];
  byteLength: number;
  /** The shard's file name. */
  file: string;
}

/** A weight of the model: a stored tensor of a dtype that the engine reads. */
export interface Weight extends StoredTensor {
  dtype: FloatDtype;
}

/** One file of the checkpoint, as `merge` needs it to write the same layout. */
interface Shard {
  file: string;
  /** Tensor names in the order of their bytes. */
  tensors: string[];
  metadata: Record<string, string>;
}

export interface Checkpoint {
  folder: string;
  /** `tieWordEmbeddings` is what the stored tensors say, where config.json and the file differ. */
  config: ModelConfig;
  /** Every stored tensor by its own name. */
  tensors: Map<string, StoredTensor>;
  /**
   * Every weight of the model by its canonical name ("model.layers.0.self_attn.q_proj.weight"); a tied head is the
   * embedding's tensor.
   */
  weights: Map<string, Weight>;
  /** One file, or the shards in the order of their names. */
  shards: Shard[];
  /** Reads bytes of a stored tensor: see SafetensorsFile.readInto. */
  readInto(tensor: StoredTensor, target: Uint8Array, byteOffset?: number, byteLength?: number): void;
  readIntoAsync(tensor: StoredTensor, target: Uint8Array, byteOffset?: number, byteLength?: number): Promise<void>;
  close(): void;
}
