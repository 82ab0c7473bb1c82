/** @file Arguments of a native op: checked against what the op expects, then turned into addresses and numbers. */
import type { DeviceBuffer, Dtype, Tensor } from "../tensor.js";
import { DTYPE_BYTES, describe, spanBytes } from "../tensor.js";

/** A buffer of a native backend. Addresses fit a double exactly: user space ends at 2^47. */
export interface NativeBuffer extends DeviceBuffer {
  readonly address: number;
}

export const DTYPE_CODES: Record<Dtype, number> = { f32: 0, bf16: 1, f16: 2, i32: 3 };

export function check(condition: boolean, op: string, message: () => string): void {
  if (!condition) throw new TypeError(`${op}: ${message()}`);
}

export function expectShape(op: string, name: string, tensor: Tensor, dtype: Dtype, rows: number, cols: number): void {
  check(
    tensor.dtype === dtype && tensor.rows === rows && tensor.cols === cols,
    op,
    () => `${name} is ${describe(tensor)}, expected ${dtype}[${rows}, ${cols}]`,
  );
}

/** Activations and weights are f32 or bf16. */
export function expectCompute(op: string, name: string, tensor: Tensor): void {
  check(
    tensor.dtype === "f32" || tensor.dtype === "bf16",
    op,
    () => `${name} is ${describe(tensor)}, expected f32 or bf16`,
  );
}

export function expectDense(op: string, name: string, tensor: Tensor): void {
  check(tensor.stride === tensor.cols || tensor.rows <= 1, op, () => `${name} has gaps between its rows`);
}

// Asked after the arguments have been checked.
export function expectBytes(op: string, workspace: Tensor, bytes: number): void {
  check(spanBytes(workspace) >= bytes, op, () => `workspace of ${spanBytes(workspace)} bytes, needs ${bytes}`);
}

export function address(tensor: Tensor): number {
  const buffer = tensor.buffer as NativeBuffer;
  const begin = tensor.offset * DTYPE_BYTES[tensor.dtype];
  if (begin < 0 || begin + spanBytes(tensor) > buffer.bytes)
    throw new RangeError(`${describe(tensor)} at byte ${begin} leaves its buffer of ${buffer.bytes} bytes`);
  return buffer.address + begin;
}

export const matrix = (tensor: Tensor): [number, number] => [address(tensor), tensor.stride];
export const optional = (tensor: Tensor | undefined): [number, number] => (tensor ? matrix(tensor) : [0, 0]);
export const code = (tensor: Tensor): number => DTYPE_CODES[tensor.dtype];

export function checkHeads(op: string, q: Tensor, H: number, K: number): void {
  expectCompute(op, "q", q);
  check(Number.isInteger(H) && Number.isInteger(K) && H % K === 0, op, () => `${H} query heads over ${K} kv heads`);
}

export function checkAttention(op: string, q: Tensor, k: Tensor, v: Tensor, E: number): void {
  const [H, K] = [q.cols / E, k.cols / E];
  checkHeads(op, q, H, K);
  expectShape(op, "k", k, q.dtype, q.rows, K * E);
  expectShape(op, "v", v, q.dtype, q.rows, K * E);
}
