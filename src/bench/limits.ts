/** @file What the machine can do at best, measured: everything else is stated as a share of it. */
import { allocTensor, type Backend } from "../backend/backend.js";
import type { ComputeDtype, Tensor } from "../backend/tensor.js";
import type { ModelConfig } from "../shape/config.js";
import { fillRandom } from "./random-weights.js";
import { timeCalls } from "./time.js";

/** Larger than any cache. */
const COPY_BYTES = 1 << 28;
const COLS = 1 << 16;
/** A copy that takes so long is long enough, however small: an emulated device would take minutes for a large one. */
const ENOUGH_SECONDS = 0.1;

/** Bytes a second, read and written, of a copy between two large buffers. */
export async function copyBandwidth(backend: Backend): Promise<number> {
  for (let bytes = 4 * COLS; ; bytes *= 4) {
    const isLargest = 4 * bytes > Math.min(COPY_BYTES, backend.limits.maxBufferBytes);
    const [dst, src] = [0, 1].map(() => allocTensor(backend, "f32", bytes / 4 / COLS, COLS)) as [Tensor, Tensor];
    backend.ops.clear(src);
    const { best } = await timeCalls(backend, () => backend.ops.convert({ dst, src }), isLargest ? 0.5 : 0);
    for (const { buffer } of [src, dst]) backend.free(buffer);
    if (isLargest || best > ENOUGH_SECONDS) return (2 * bytes) / best;
  }
}

export interface ProductRate {
  name: string;
  M: number;
  N: number;
  K: number;
  flopsPerSecond: number;
}

/** The rates of the products of a layer and of the head over `tokens` tokens, forward (x W^T) and backward (dy W). */
export async function productRates(
  backend: Backend,
  config: ModelConfig,
  dtype: ComputeDtype,
  tokens: number,
): Promise<ProductRate[]> {
  const { hiddenSize: D, intermediateSize: F, numHeads: H, numKvHeads: K, headDim: E } = config;
  const shapes: [string, number, number][] = [
    ["qkv", (H + 2 * K) * E, D],
    ["o", D, H * E],
    ["gateUp", 2 * F, D],
    ["down", D, F],
  ];
  const rates: ProductRate[] = [];
  for (const [name, out, inner] of shapes) {
    const x = allocTensor(backend, dtype, tokens, inner);
    const w = allocTensor(backend, dtype, out, inner);
    const y = allocTensor(backend, dtype, tokens, out);
    for (const tensor of [x, w, y]) fillRandom(backend, tensor);
    const flops = 2 * tokens * out * inner;
    const forward = await timeCalls(backend, () => backend.ops.matmul({ out: y, a: x, b: w, transB: true }));
    rates.push({ name: `${name} forward`, M: tokens, N: out, K: inner, flopsPerSecond: flops / forward.best });
    fillRandom(backend, y);
    const backward = await timeCalls(backend, () => backend.ops.matmul({ out: x, a: y, b: w }));
    rates.push({ name: `${name} backward`, M: tokens, N: inner, K: out, flopsPerSecond: flops / backward.best });
    for (const { buffer } of [x, w, y]) backend.free(buffer);
  }
  return rates;
}
