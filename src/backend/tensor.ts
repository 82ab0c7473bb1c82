/** @file What a tensor is: a 2-D view of device memory, never an address. */

/** f16 is only ever converted from; i32 holds token ids, positions and row indices. */
export type Dtype = "f32" | "bf16" | "f16" | "i32";

/** The dtype of activations and weights in one run. */
export type ComputeDtype = "f32" | "bf16";

export const DTYPE_BYTES: Record<Dtype, number> = { f32: 4, bf16: 2, f16: 2, i32: 4 };

/** Device memory. What it holds inside is the backend's business. */
export interface DeviceBuffer {
  readonly bytes: number;
}

/**
 * `rows` rows of `cols` consecutive elements; consecutive rows are `stride` elements apart, the first at element
 * `offset`.
 */
export interface Tensor {
  readonly buffer: DeviceBuffer;
  readonly dtype: Dtype;
  readonly offset: number;
  readonly rows: number;
  readonly cols: number;
  readonly stride: number;
}

/** Columns `start` to `start + cols` of every row. */
export function columns(tensor: Tensor, start: number, cols: number): Tensor {
  if (start < 0 || start + cols > tensor.stride)
    throw new RangeError(`columns ${start}+${cols} of ${describe(tensor)}`);
  return { ...tensor, offset: tensor.offset + start, cols };
}

/** Rows `start` to `start + rows`. */
export function rows(tensor: Tensor, start: number, count: number): Tensor {
  if (start < 0 || start + count > tensor.rows) throw new RangeError(`rows ${start}+${count} of ${describe(tensor)}`);
  return { ...tensor, offset: tensor.offset + start * tensor.stride, rows: count };
}

export function describe(tensor: Tensor): string {
  return `${tensor.dtype}[${tensor.rows}, ${tensor.cols}]`;
}

/** Bytes from a tensor's first to its last element. */
export function spanBytes(tensor: Tensor): number {
  if (tensor.rows === 0 || tensor.cols === 0) return 0;
  return ((tensor.rows - 1) * tensor.stride + tensor.cols) * DTYPE_BYTES[tensor.dtype];
}
