/** @file Adapter values on the host: a PEFT adapter's tensors against the flat buffer that is trained. */

import { randomUniform, STREAMS } from "../base/random.js";
import type { Adapter, AdapterPair } from "../shape/adapter.js";
import { adapterKey } from "../shape/adapter.js";
import type { Projection } from "../shape/config.js";
import type { AdapterLayout, LoraConfig } from "./lora.js";

/** PEFT's standard initialisation: A uniform in +-1 / sqrt(in) (Kaiming uniform with a = sqrt(5)), B zero. */
export function initAdapter(layout: AdapterLayout, seed: number): Float32Array<ArrayBuffer> {
  const flat = new Float32Array(layout.count);
  for (const { spec, aOffset } of layout.slots) {
    const bound = 1 / Math.sqrt(spec.inSize);
    for (let i = aOffset; i < aOffset + spec.rank * spec.inSize; i++)
      flat[i] = (2 * randomUniform(seed, STREAMS.adapterInit, i) - 1) * bound;
  }
  return flat;
}

/** Where each factor of each projection lies in the flat buffer. */
function* factors(
  layout: AdapterLayout,
  r: number,
): Generator<{ key: string; factor: "A" | "B"; start: number; length: number }> {
  for (const { layer, spec, aOffset, bOffsets } of layout.slots) {
    for (const { projection, outSize, rankStart } of spec.projections) {
      if (rankStart === null) continue;
      const key = adapterKey(layer, projection);
      yield { key, factor: "A", start: aOffset + rankStart * spec.inSize, length: r * spec.inSize };
      yield { key, factor: "B", start: bOffsets[projection as Projection]!, length: outSize * r };
    }
  }
}

/** The adapter's values in the layout's order. The adapter was checked against the model (`checkAdapter`). */
export function flattenAdapter(adapter: Adapter, layout: AdapterLayout): Float32Array<ArrayBuffer> {
  const flat = new Float32Array(layout.count);
  for (const { key, factor, start } of factors(layout, adapter.config.r))
    flat.set(adapter.tensors.get(key)![factor], start);
  return flat;
}

/** The reverse of `flattenAdapter`; the tensors are views of `flat`. */
export function unflattenAdapter(
  flat: Float32Array,
  layout: AdapterLayout,
  lora: LoraConfig,
  baseModelNameOrPath: string | null,
): Adapter {
  const tensors = new Map<string, AdapterPair>();
  for (const { key, factor, start, length } of factors(layout, lora.r)) {
    const pair = tensors.get(key) ?? { A: flat, B: flat };
    tensors.set(key, { ...pair, [factor]: flat.subarray(start, start + length) });
  }
  return { config: { ...lora, baseModelNameOrPath, dropout: 0 }, tensors };
}
