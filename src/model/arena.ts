/** @file Memory planned before it is taken: the same code that lays tensors out counts their bytes. */
import type { Backend } from "../backend/backend.js";
import type { Dtype, Tensor } from "../backend/tensor.js";
import { DTYPE_BYTES } from "../backend/tensor.js";

/** Gives out tensors, one after the other. */
export type Alloc = (dtype: Dtype, rows: number, cols: number) => Tensor;

// The alignment of kernels/ops.h on CUDA, enough for every backend.
const ALIGN_BYTES = 256;

/** The bytes that `layout` would take, without taking them. */
export function countBytes(layout: (alloc: Alloc) => unknown): number {
  let bytes = 0;
  const nowhere = { bytes: Number.POSITIVE_INFINITY };
  layout((dtype, rows, cols) => {
    const tensor = { buffer: nowhere, dtype, offset: bytes / DTYPE_BYTES[dtype], rows, cols, stride: cols };
    bytes += Math.ceil((rows * cols * DTYPE_BYTES[dtype]) / ALIGN_BYTES) * ALIGN_BYTES;
    return tensor;
  });
  return bytes;
}

/** Lays the tensors out in one buffer of exactly their size. The caller frees it by `free`. */
export function allocArena<T>(backend: Backend, layout: (alloc: Alloc) => T): { tensors: T; free: () => void } {
  const buffer = backend.alloc(countBytes(layout));
  let bytes = 0;
  const tensors = layout((dtype, rows, cols) => {
    const tensor = { buffer, dtype, offset: bytes / DTYPE_BYTES[dtype], rows, cols, stride: cols };
    bytes += Math.ceil((rows * cols * DTYPE_BYTES[dtype]) / ALIGN_BYTES) * ALIGN_BYTES;
    return tensor;
  });
  return { tensors, free: () => backend.free(buffer) };
}
