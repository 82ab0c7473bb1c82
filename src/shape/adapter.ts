/** @file A LoRA adapter in memory, and whether it fits a model. */
import { InputError } from "../base/errors.js";
import type { ModelConfig, Projection } from "./config.js";
import { projectionShape } from "./weights.js";

/** Settings of a LoRA adapter; the scale of B A is alpha / r, or alpha / sqrt(r) with rslora. */
export interface AdapterConfig {
  r: number;
  alpha: number;
  useRslora: boolean;
  /** Adapted projections, in the order of PROJECTIONS. */
  targets: Projection[];
  baseModelNameOrPath: string | null;
  /** PEFT's lora_dropout: nothing at inference, and not applied where the engine goes on training. */
  dropout: number;
}

/** The two factors of one projection: A [r, in], B [out, r], rows one after the other. */
export interface AdapterPair {
  A: Float32Array;
  B: Float32Array;
}

/** A LoRA adapter in memory. */
export interface Adapter {
  config: AdapterConfig;
  /** By `adapterKey`. */
  tensors: Map<string, AdapterPair>;
}

/** Key of a layer's projection in `Adapter.tensors`. */
export function adapterKey(layer: number, projection: Projection): string {
  return `${layer}.${projection}`;
}

/**
 * Throws InputError unless `adapter` has a pair of the right shape for every layer of `config` and every target;
 * `where` names the adapter.
 */
export function checkAdapter(adapter: Adapter, config: ModelConfig, where: string): void {
  const { r, targets } = adapter.config;
  for (let layer = 0; layer < config.numLayers; layer++) {
    for (const projection of targets) {
      const pair = adapter.tensors.get(adapterKey(layer, projection));
      if (!pair) {
        throw new InputError(
          `${where}: ${projection}_proj of layer ${layer} has no tensors; adapters of some layers only are not ` +
            "implemented",
        );
      }
      const [rows, columns] = projectionShape(config, projection);
      if (pair.A.length !== r * columns || pair.B.length !== rows * r) {
        throw new InputError(
          `${where}: ${projection}_proj of layer ${layer} adapts a [${pair.B.length / r}, ${pair.A.length / r}] ` +
            "weight, " +
            `the model's is [${rows}, ${columns}]; is this the adapter of another model?`,
        );
      }
    }
  }
  if (adapter.tensors.size !== config.numLayers * targets.length) {
    throw new InputError(
      `${where}: it adapts layers past the model's ${config.numLayers}; is this the adapter of another model?`,
    );
  }
}
