/** @file A trained adapter's values into a decoder, for inference: no gradients, no moments. */
import { writeTensor } from "../backend/backend.js";
import { columns } from "../backend/tensor.js";
import { type Adapter, checkAdapter } from "../shape/adapter.js";
import { flattenAdapter } from "./adapter-values.js";
import { allocArena } from "./arena.js";
import { type AdapterMatrices, adapterMatrices, adapterViews, storeMatrices } from "./linear.js";
import { type AdapterSlot, type LoraConfig, loraScale, planAdapter } from "./lora.js";
import type { Decoder } from "./weights.js";

/**
 * What a decoder must be loaded with to take `adapter`. Throws InputError unless it fits the model; `where` names it.
 */
export function adapterLora(adapter: Adapter, config: Decoder["config"], where: string): LoraConfig {
  checkAdapter(adapter, config, where);
  const { r, alpha, useRslora, targets } = adapter.config;
  return { r, alpha, useRslora, targets };
}

/**
 * Puts `adapter` to use in a decoder that was loaded with its `adapterLora`; one group of projections at a time goes
 * through a staging buffer.
 */
export function loadAdapter(decoder: Decoder, adapter: Adapter): void {
  const { lora, weights } = decoder;
  if (!lora) throw new RangeError("the decoder was loaded without room for an adapter");
  writeAdapter(decoder, adapter, lora, ({ layer, spec }) =>
    adapterMatrices(weights.layers[layer]!.linears[spec.group]),
  );
}

/** Writes the values of `adapter`, whose shape is `lora`, to where `placeOf` says for each group of projections. */
export function writeAdapter(
  { backend, config }: Pick<Decoder, "backend" | "config">,
  adapter: Adapter,
  lora: LoraConfig,
  placeOf: (slot: AdapterSlot) => AdapterMatrices,
): void {
  const layout = planAdapter(config, lora);
  const flat = flattenAdapter(adapter, layout);
  const sizes = layout.slots.map((slot) => slotSize(slot, lora.r));
  const { tensors: staging, free } = allocArena(backend, (alloc) =>
    alloc("a group's adapters", "f32", 1, Math.max(...sizes)),
  );
  layout.slots.forEach((slot, i) => {
    const cols = sizes[i]!;
    const staged = columns(staging, 0, cols);
    writeTensor(backend, staged, flat.subarray(slot.aOffset, slot.aOffset + cols));
    const views = adapterViews(staged, atStart(slot), lora.r);
    storeMatrices(backend.ops, placeOf(slot), views, loraScale(lora));
  });
  free();
}

/** Parameters of a slot: A, and B of each adapted projection. */
function slotSize({ spec }: AdapterSlot, r: number): number {
  const outSize = spec.projections.reduce((sum, { rankStart, outSize }) => sum + (rankStart === null ? 0 : outSize), 0);
  return spec.rank * spec.inSize + outSize * r;
}

/** The slot as if it were the first of its flat buffer. */
function atStart(slot: AdapterSlot): AdapterSlot {
  const bOffsets = Object.entries(slot.bOffsets).map(([name, offset]) => [name, offset - slot.aOffset]);
  return { ...slot, aOffset: 0, bOffsets: Object.fromEntries(bOffsets) as AdapterSlot["bOffsets"] };
}
