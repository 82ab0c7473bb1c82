/**
 * @file A frozen linear map with its LoRA adapters as one matrix product.
 *
 * The weight W [out, in] and the adapters A [R, in], B [out, R] (scale s) are stored as one matrix
 *
 *     E = | W  sB |     [out + R, in + R]
 *         | A   . |
 *
 * and every input and output gradient has R spare columns (and some unused ones, lora.ts). Forward: U = X A^T into X's
 * spare columns, then Y = [X U] [W sB]^T. Backward: dU = dY sB into dY's spare columns, then dX = [dY dU] [W; A]. dA =
 * dU^T X, dB = s dY^T U. Several projections of one input (q, k, v; gate, up) stack their rows; their sB blocks lie on
 * the diagonal, zeros elsewhere. Without adapters R is 0.
 */
import type { Ops } from "../backend/ops.js";
import type { Tensor } from "../backend/tensor.js";
import { columns, rows } from "../backend/tensor.js";
import type { AdapterSlot, GroupSpec } from "./lora.js";

export interface Linear {
  spec: GroupSpec;
  /** E [out + R, in + spare]. */
  extended: Tensor;
  /** [1, out] or null. */
  bias: Tensor | null;
}

/**
 * A [R, in] and, for each adapted projection, B [outSize, r] as views of a flat f32 buffer (parameters or gradients).
 */
export interface AdapterViews {
  a: Tensor;
  b: { outStart: number; outSize: number; rankStart: number; matrix: Tensor }[];
}

export function adapterViews(flat: Tensor, slot: AdapterSlot, r: number): AdapterViews {
  const { spec, aOffset, bOffsets } = slot;
  const block = (offset: number, rowCount: number, cols: number): Tensor => ({
    ...flat,
    offset: flat.offset + offset,
    rows: rowCount,
    cols,
    stride: cols,
  });
  const b: AdapterViews["b"] = [];
  for (const { projection, outStart, outSize, rankStart } of spec.projections) {
    if (rankStart !== null) b.push({ outStart, outSize, rankStart, matrix: block(bOffsets[projection]!, outSize, r) });
  }
  return { a: block(aOffset, spec.rank, spec.inSize), b };
}

/** Y = X W^T + s X A^T B^T + bias. x [N, in + spare] (its spare columns are overwritten), y [N, out]. */
export function linearForward(ops: Ops, linear: Linear, x: Tensor, y: Tensor): void {
  projectDown(ops, linear, x);
  const { inSize: K, outSize: N, rank: R } = linear.spec;
  const weight = columns(rows(linear.extended, 0, N), 0, K + R);
  ops.matmul({ out: y, a: columns(x, 0, K + R), b: weight, transB: true, ...biasOf(linear) });
}

/** U = X A^T into X's spare columns; also what recomputing a dropped input needs. */
export function projectDown(ops: Ops, linear: Linear, x: Tensor): void {
  const { inSize: K, outSize: N, rank: R } = linear.spec;
  if (R === 0) return;
  const a = columns(rows(linear.extended, N, R), 0, K);
  ops.matmul({ out: columns(x, K, R), a: columns(x, 0, K), b: a, transB: true });
}

/**
 * Gradients of `linearForward`. x [N, in + spare] as the forward left it, dy [N, out + spare] (spare columns are
 * overwritten), dx [N, in] or null where nothing below is trained. `grads` (null where R is 0) are overwritten, or
 * added to with `accumulate`.
 */
export function linearBackward(
  ops: Ops,
  linear: Linear,
  x: Tensor,
  dy: Tensor,
  dx: Tensor | null,
  grads: AdapterViews | null,
  scale: number,
  accumulate: boolean,
): void {
  const { inSize: K, outSize: N, rank: R } = linear.spec;
  if (R > 0 && grads) {
    const du = columns(dy, N, R);
    ops.matmul({ out: du, a: columns(dy, 0, N), b: columns(rows(linear.extended, 0, N), K, R) });
    ops.matmul({ out: grads.a, a: du, b: columns(x, 0, K), transA: true, accumulate });
    for (const { outStart, outSize, rankStart, matrix } of grads.b) {
      const u = columns(x, K + rankStart, matrix.cols);
      ops.matmul({ out: matrix, a: columns(dy, outStart, outSize), b: u, transA: true, alpha: scale, accumulate });
    }
  }
  if (dx) ops.matmul({ out: dx, a: columns(dy, 0, N + R), b: columns(linear.extended, 0, K) });
}

/** Writes the parameters into E: A as it is, B times the scale, rounded to E's dtype. */
export function storeAdapter(ops: Ops, linear: Linear, params: AdapterViews, scale: number): void {
  const { inSize: K, outSize: N, rank: R } = linear.spec;
  ops.convert({ dst: columns(rows(linear.extended, N, R), 0, K), src: params.a });
  for (const { outStart, outSize, rankStart, matrix } of params.b) {
    const dst = columns(rows(linear.extended, outStart, outSize), K + rankStart, matrix.cols);
    ops.convert({ dst, src: matrix, scale });
  }
}

function biasOf(linear: Linear): { bias?: Tensor } {
  return linear.bias ? { bias: linear.bias } : {};
}
