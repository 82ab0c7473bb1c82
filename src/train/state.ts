/** @file What training holds on the device besides the frozen weights: adapter, gradients, moments, activations. */
import { type Backend, readFloats } from "../backend/backend.js";
import { openRecordings, type Recordings } from "../backend/recordings.js";
import type { ComputeDtype, Tensor } from "../backend/tensor.js";
import { columns } from "../backend/tensor.js";
import { type Activations, layoutActivations, type Recompute, type WorkspaceBytes } from "../model/activations.js";
import { type Alloc, allocArena } from "../model/arena.js";
import type { LayerGrads } from "../model/layer.js";
import { type AdapterViews, adapterViews, storeAdapter } from "../model/linear.js";
import { type AdapterLayout, type LoraConfig, loraScale, planAdapter, planGroups } from "../model/lora.js";
import type { Decoder } from "../model/weights.js";
import type { ModelConfig } from "../shape/config.js";

/** Flat f32 buffers [1, parameters], in the order of the layout. */
export interface AdapterTensors {
  params: Tensor;
  grads: Tensor;
  m: Tensor;
  v: Tensor;
  gradnorm: Tensor;
  /** See msm_adamw in kernels/ops.h. */
  hyper: Tensor;
}

export interface TrainState {
  decoder: Decoder;
  lora: LoraConfig;
  layout: AdapterLayout;
  adapter: AdapterTensors;
  grads: LayerGrads[];
  params: { slot: AdapterLayout["slots"][number]; views: AdapterViews }[];
  activations: Activations;
  /** Losses of every micro-batch of a step, f32 [micro-batches, N]. */
  losses: Tensor;
  /** The parts of a step (step.ts). */
  recordings: Recordings;
  free: () => void;
}

export interface MicroBatchShape {
  /** Tokens of a micro-batch: rows x sequence length. */
  N: number;
  microBatches: number;
  recompute: Recompute;
}

export function layoutAdapter(alloc: Alloc, layout: AdapterLayout): AdapterTensors {
  const flat = (name: string): Tensor => alloc(name, "f32", 1, layout.count);
  return {
    params: flat("the adapter's parameters"),
    grads: flat("the adapter's gradients"),
    m: flat("AdamW's first moments"),
    v: flat("AdamW's second moments"),
    gradnorm: alloc("gradnorm", "f32", 1, 1),
    hyper: alloc("hyper", "f32", 1, 8),
  };
}

export function workspaceBytes(backend: Backend, config: ModelConfig, dtype: ComputeDtype, N: number): WorkspaceBytes {
  const { numHeads: H, numKvHeads: K, headDim: E, hiddenSize: D, vocabSize: V } = config;
  return {
    attentionBackward: backend.ops.attentionBackwardWorkspaceBytes({ dtype, N, H, K, E }),
    loss: backend.ops.linearCrossEntropyWorkspaceBytes({ dtype, N, D, V }),
  };
}

/** Takes the memory that the plan counted. Parameters and moments are undefined until `writeParams`. */
export function createTrainState(decoder: Decoder, lora: LoraConfig, shape: MicroBatchShape): TrainState {
  const { backend, config, dtype } = decoder;
  const layout = planAdapter(config, lora);
  const { N, microBatches, recompute } = shape;
  const workspace = workspaceBytes(backend, config, dtype, N);
  const { tensors, free } = allocArena(backend, (alloc) => ({
    adapter: layoutAdapter(alloc, layout),
    activations: layoutActivations(alloc, config, planGroups(config, lora), dtype, N, recompute, workspace),
    losses: alloc("the losses of a step", "f32", microBatches, N),
  }));
  const grads: LayerGrads[] = decoder.weights.layers.map(() => ({}));
  for (const slot of layout.slots)
    grads[slot.layer]![slot.spec.group] = adapterViews(tensors.adapter.grads, slot, lora.r);
  const params = layout.slots.map((slot) => ({ slot, views: adapterViews(tensors.adapter.params, slot, lora.r) }));
  const recordings = openRecordings(backend);
  return {
    decoder,
    lora,
    layout,
    grads,
    params,
    recordings,
    ...tensors,
    free() {
      recordings.free();
      free();
    },
  };
}

/** Sets parameters (and moments: zero where not given), and puts the parameters to use. */
export function writeParams(
  state: TrainState,
  values: { params: Float32Array; m?: Float32Array; v?: Float32Array },
): void {
  const { backend } = state.decoder;
  for (const name of ["params", "m", "v"] as const) {
    const tensor = state.adapter[name];
    const given = values[name];
    if (given) backend.write(tensor.buffer, tensor.offset * 4, given);
    else backend.ops.clear(tensor);
  }
  storeParams(state);
}

/** Copies the parameters to where the products read them. */
export function storeParams(state: TrainState): void {
  const { backend, weights } = state.decoder;
  const scale = loraScale(state.lora);
  for (const { slot, views } of state.params)
    storeAdapter(backend.ops, weights.layers[slot.layer]!.linears[slot.spec.group], views, scale);
}

/** A flat buffer's values. */
export function readFlat(state: TrainState, name: "params" | "grads" | "m" | "v"): Promise<Float32Array<ArrayBuffer>> {
  return readFloats(state.decoder.backend, columns(state.adapter[name], 0, state.layout.count));
}
