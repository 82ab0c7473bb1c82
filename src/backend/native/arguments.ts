/** @file Arguments of a native op: tensors as addresses, strides and numbers. */
import type { DeviceBuffer, Dtype, Tensor } from "../tensor.js";
import { DTYPE_BYTES } from "../tensor.js";

/** A buffer of a native backend. Addresses fit a double exactly: user space ends at 2^47. */
export interface NativeBuffer extends DeviceBuffer {
  readonly address: number;
}

export const DTYPE_CODES: Record<Dtype, number> = { f32: 0, bf16: 1, f16: 2, i32: 3 };

export const address = (tensor: Tensor): number =>
  (tensor.buffer as NativeBuffer).address + tensor.offset * DTYPE_BYTES[tensor.dtype];
export const matrix = (tensor: Tensor): [number, number] => [address(tensor), tensor.stride];
export const optional = (tensor: Tensor | undefined): [number, number] => (tensor ? matrix(tensor) : [0, 0]);
export const code = (tensor: Tensor): number => DTYPE_CODES[tensor.dtype];
