/**
 * @file Random values, made on the device: what is measured does not depend on what the values are, as long as they are
 * not zeros or denormals.
 */
import { allocTensor, type Backend, writeTensor } from "../backend/backend.js";
import { rows, type Tensor } from "../backend/tensor.js";
import { randomUint32 } from "../base/random.js";
import {
  allocDecoder,
  clearAdapterSpace,
  type LoadedDecoder,
  type LoadOptions,
  weightTargets,
  writeRope,
} from "../model/load.js";
import type { ModelConfig } from "../shape/config.js";

const PATTERN_LENGTH = 1 << 16;
/** Elements that a decoder's weights are copied from. */
const SOURCE_ROWS = 64;

/** Bits of bf16 values, uniform in +-0.03 or so. */
export const PATTERN = Uint16Array.from({ length: PATTERN_LENGTH }, (_, i) => {
  const bits = randomUint32(1, 0, i);
  return ((bits & 1) << 15) | ((118 + ((bits >>> 1) & 3)) << 7) | ((bits >>> 8) & 0x7f);
});

/** Fills a bf16 or f32 tensor without gaps with the pattern, again and again. */
export function fillRandom(backend: Backend, tensor: Tensor): void {
  const count = tensor.rows * tensor.cols;
  const part = (start: number, rowCount: number, cols: number): Tensor => ({
    ...tensor,
    offset: tensor.offset + start,
    rows: rowCount,
    cols,
    stride: cols,
  });
  const first = part(0, 1, Math.min(count, PATTERN_LENGTH));
  const bits = PATTERN.subarray(0, first.cols);
  writeTensor(backend, first, tensor.dtype === "bf16" ? bits : Uint32Array.from(bits, (half) => half << 16));
  const whole = Math.floor(count / PATTERN_LENGTH);
  for (let done = 1; done < whole; done *= 2) {
    const more = Math.min(done, whole - done);
    const dst = part(done * PATTERN_LENGTH, more, PATTERN_LENGTH);
    const src = part(0, more, PATTERN_LENGTH);
    backend.ops.convert({ dst, src });
  }
  const rest = count - whole * PATTERN_LENGTH;
  if (whole > 0 && rest > 0) backend.ops.convert({ dst: part(whole * PATTERN_LENGTH, 1, rest), src: part(0, 1, rest) });
}

/** A decoder with random weights; norms are ones. */
export function randomDecoder(backend: Backend, config: ModelConfig, options: LoadOptions): LoadedDecoder {
  const decoder = allocDecoder(backend, config, options);
  const source = allocTensor(backend, "f32", SOURCE_ROWS, PATTERN_LENGTH);
  const count = source.rows * source.cols;
  const ones = allocTensor(backend, "f32", 1, config.hiddenSize);
  fillRandom(backend, source);
  writeTensor(backend, ones, new Float32Array(config.hiddenSize).fill(1));
  for (const [name, target] of weightTargets(decoder)) {
    const { cols } = target;
    const from = name.endsWith("norm.weight") ? ones : source;
    const rowsAtOnce = Math.floor(count / cols);
    for (let row = 0; row < target.rows; row += rowsAtOnce) {
      const dst = rows(target, row, Math.min(rowsAtOnce, target.rows - row));
      backend.ops.convert({ dst, src: { ...from, rows: dst.rows, cols, stride: cols } });
    }
  }
  writeRope(decoder);
  clearAdapterSpace(decoder, { ...source, rows: 1, cols: count, stride: count });
  for (const { buffer } of [source, ones]) backend.free(buffer);
  return decoder;
}
