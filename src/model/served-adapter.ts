/**
 * @file An adapter apart from its base: one base serves many of them, and a batch holds rows of several at a time. In
 * bf16 a row is rounded after the base's product and again after the adapter's, as in PEFT; where base and adapter are
 * one matrix (linear.ts) it is rounded once.
 */
import type { Tensor } from "../backend/tensor.js";
import { columns } from "../backend/tensor.js";
import type { Adapter } from "../shape/adapter.js";
import { type Alloc, allocArena, measure } from "./arena.js";
import type { AdapterMatrices, Linear } from "./linear.js";
import { adapterLora, writeAdapter } from "./load-adapter.js";
import { type AdapterLayout, LINEAR_GROUPS, type LinearGroup, planAdapter } from "./lora.js";
import type { Decoder, LayerWeights } from "./weights.js";

export interface ServedAdapter {
  /** Tells it from every other one that is loaded. */
  key: string;
  layers: Partial<Record<LinearGroup, AdapterMatrices>>[];
  /** [most tokens of a pass, columns of the widest group]: X A^T, of one group after the other. */
  u: Tensor;
  bytes: number;
  free: () => void;
}

/** The rows of a pass that one adapter serves. */
export interface AdapterRows {
  adapter: ServedAdapter;
  start: number;
  count: number;
}

/**
 * Loads `adapter` beside a decoder that has none of its own, for passes of at most `maxTokens`. Throws InputError
 * unless it fits the model; `where` names it.
 */
export function openServedAdapter(
  decoder: Decoder,
  adapter: Adapter,
  { key, maxTokens, where }: { key: string; maxTokens: number; where: string },
): ServedAdapter {
  const { backend, config, dtype } = decoder;
  if (decoder.lora) throw new RangeError("the decoder has an adapter of its own");
  const lora = adapterLora(adapter, config, where);
  const layout = planAdapter(config, lora);
  const place = (alloc: Alloc) => layoutMatrices(alloc, layout, dtype, config.numLayers, maxTokens);
  const { tensors, free } = allocArena(backend, place);
  for (const tensor of tensors.whole) backend.ops.clear(tensor);
  writeAdapter(decoder, adapter, lora, ({ layer, spec }) => tensors.layers[layer]![spec.group]!);
  return { key, layers: tensors.layers, u: tensors.u, bytes: measure(place).bytes, free };
}

function layoutMatrices(
  alloc: Alloc,
  { slots }: AdapterLayout,
  dtype: Decoder["dtype"],
  numLayers: number,
  maxTokens: number,
): { layers: ServedAdapter["layers"]; whole: Tensor[]; u: Tensor } {
  const layers: ServedAdapter["layers"] = Array.from({ length: numLayers }, () => ({}));
  const whole: Tensor[] = [];
  let widest = 0;
  for (const { layer, spec } of slots) {
    // Rows aligned as those of linear.ts.
    const cols = 8 * Math.ceil(spec.rank / 8);
    const a = alloc(`layer ${layer}, ${spec.group}: A`, dtype, spec.rank, spec.inSize);
    const b = alloc(`layer ${layer}, ${spec.group}: B`, dtype, spec.outSize, cols);
    layers[layer]![spec.group] = { a, b: columns(b, 0, spec.rank) };
    whole.push(b);
    widest = Math.max(widest, cols);
  }
  return { layers, whole, u: alloc("inputs of adapters", dtype, maxTokens, widest) };
}

/** The weights of layer `i` with adapters for some rows of what passes through. */
export function withRowAdapters(layer: LayerWeights, i: number, adapters: readonly AdapterRows[]): LayerWeights {
  if (adapters.length === 0) return layer;
  const linears = Object.fromEntries(
    LINEAR_GROUPS.map((group): [LinearGroup, Linear] => {
      const rowAdapters = adapters.flatMap(({ adapter, start, count }) => {
        const matrices = adapter.layers[i]![group];
        return matrices ? [{ ...matrices, start, count, u: columns(adapter.u, 0, matrices.a.rows) }] : [];
      });
      return [group, { ...layer.linears[group], rowAdapters }];
    }),
  ) as Record<LinearGroup, Linear>;
  return { ...layer, linears };
}
