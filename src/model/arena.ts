/** @file Memory planned before it is taken: the same code that lays tensors out counts their bytes. */
import type { Backend } from "../backend/backend.js";
import type { DeviceBuffer, Dtype, Tensor } from "../backend/tensor.js";
import { DTYPE_BYTES } from "../backend/tensor.js";
import { formatBytes } from "../base/bytes.js";
import { InputError } from "../base/errors.js";

/** Gives out tensors, one after the other. `name` is what a refusal calls them. */
export type Alloc = (name: string, dtype: Dtype, rows: number, cols: number) => Tensor;

/** What a layout takes in all, and its largest tensor, which has to fit into one buffer. */
export interface Extent {
  bytes: number;
  largest: { name: string; bytes: number };
}

export const NOTHING: Extent = { bytes: 0, largest: { name: "nothing", bytes: 0 } };

// The alignment of kernels/ops.h on CUDA, enough for every backend.
const ALIGN_BYTES = 256;
const NOWHERE: DeviceBuffer = { bytes: Number.POSITIVE_INFINITY };

/** What `layout` would take, without taking it. */
export function measure(layout: (alloc: Alloc) => unknown): Extent {
  const extent = { ...NOTHING };
  layout((name, dtype, rows, cols) => {
    const bytes = alignedBytes(dtype, rows, cols);
    extent.bytes += bytes;
    if (bytes > extent.largest.bytes) extent.largest = { name, bytes };
    return { buffer: NOWHERE, dtype, offset: 0, rows, cols, stride: cols };
  });
  return extent;
}

/**
 * Lays the tensors out one after the other, in as many buffers as the backend's `maxBufferBytes` asks for: none
 * straddles two. Buffers are exactly as long as what lies in them. The caller frees them by `free`.
 * @throws InputError naming a tensor that is larger than any buffer
 */
export function allocArena<T>(backend: Backend, layout: (alloc: Alloc) => T): { tensors: T; free: () => void } {
  const { maxBufferBytes } = backend.limits;
  const problem = oversize(backend, measure(layout).largest);
  if (problem) throw new InputError(`${problem}: use a smaller model, or another --backend`);
  const planned = placeIn(maxBufferBytes, () => NOWHERE);
  layout(planned.alloc);
  const buffers: DeviceBuffer[] = [];
  const free = (): void => {
    for (const buffer of buffers) backend.free(buffer);
  };
  try {
    for (const bytes of planned.sizes) buffers.push(backend.alloc(bytes));
  } catch (error) {
    free();
    throw error;
  }
  return { tensors: layout(placeIn(maxBufferBytes, (i) => buffers[i]!).alloc), free };
}

/** Says that `largest` does not fit into one buffer of the backend; null where it does. */
export function oversize(backend: Backend, { name, bytes }: Extent["largest"]): string | null {
  const { maxBufferBytes } = backend.limits;
  if (bytes <= maxBufferBytes) return null;
  const most = formatBytes(maxBufferBytes);
  return `${name} takes ${formatBytes(bytes)} in one piece, and the backend gives at most ${most}`;
}

/** Places each tensor after the one before it, and in the next buffer where it does not fit any more. */
function placeIn(maxBytes: number, bufferAt: (i: number) => DeviceBuffer): { alloc: Alloc; sizes: number[] } {
  const sizes = [0];
  const alloc: Alloc = (_name, dtype, rows, cols) => {
    const bytes = alignedBytes(dtype, rows, cols);
    if (sizes.at(-1)! > 0 && sizes.at(-1)! + bytes > maxBytes) sizes.push(0);
    const last = sizes.length - 1;
    const begin = sizes[last]!;
    sizes[last] = begin + bytes;
    return { buffer: bufferAt(last), dtype, offset: begin / DTYPE_BYTES[dtype], rows, cols, stride: cols };
  };
  return { alloc, sizes };
}

function alignedBytes(dtype: Dtype, rows: number, cols: number): number {
  return Math.ceil((rows * cols * DTYPE_BYTES[dtype]) / ALIGN_BYTES) * ALIGN_BYTES;
}
