/**
 * @file A frozen linear map with its LoRA adapters as one matrix product. How they are stored is known here alone:
 * others ask how wide inputs and gradients are, and which part of them is their own.
 *
 * The weight W [out, in] and the adapters A [R, in], B [out, R] (scale s) are stored as one matrix
 *
 *     E = | W  sB |     [out + R, in + R]
 *         | A   . |
 *
 * and every input and output gradient has R spare columns, and some unused ones that keep bf16 rows aligned to 16
 * bytes. Forward: U = X A^T into X's spare columns, then Y = [X U] [W sB]^T. Backward: dU = dY sB into dY's spare
 * columns, then dX = [dY dU] [W; A]. dA = dU^T X, dB = s dY^T U. Several projections of one input (q, k, v; gate, up)
 * stack their rows; their sB blocks lie on the diagonal, zeros elsewhere. Without adapters R is 0.
 *
 * A server's adapters lie apart from the base, which they share: their rows of Y are added to after the base's product.
 */
import type { Ops } from "../backend/ops.js";
import type { ComputeDtype, Tensor } from "../backend/tensor.js";
import { columns, rows } from "../backend/tensor.js";
import type { Alloc } from "./arena.js";
import type { AdapterSlot, GroupSpec } from "./lora.js";

export interface Linear {
  spec: GroupSpec;
  /** E [out + R, in + spare]; its corner (rows out.., columns in..) is never read. */
  extended: Tensor;
  /** [1, out] or null. */
  bias: Tensor | null;
  /** Adapters that lie apart, each for some rows of the input; absent: none. */
  rowAdapters?: readonly RowAdapter[];
}

/** An adapter's matrices: A [R, in], and sB [out, R] with zeros off its diagonal. */
export interface AdapterMatrices {
  a: Tensor;
  b: Tensor;
}

/** Adapter matrices for rows `start` to `start + count` of an input; `u` [>= count, R] is where U goes. */
interface RowAdapter extends AdapterMatrices {
  start: number;
  count: number;
  u: Tensor;
}

/** R, and what makes it a multiple of 8. */
function spareCols(spec: GroupSpec): number {
  return 8 * Math.ceil(spec.rank / 8);
}

/** Columns of an input: its own `spec.inSize`, then those that are used here. */
export function inputCols(spec: GroupSpec): number {
  return spec.inSize + spareCols(spec);
}

/** Columns of the gradient of an output: its own `spec.outSize`, then those that are used here. */
export function outputGradCols(spec: GroupSpec): number {
  return spec.outSize + spareCols(spec);
}

/** The part of an input that is its own: what is written before `linearForward`. */
export function inputOf({ spec }: Linear, x: Tensor): Tensor {
  return columns(x, 0, spec.inSize);
}

export function layoutLinear(
  alloc: Alloc,
  name: string,
  dtype: ComputeDtype,
  spec: GroupSpec,
  hasBias: boolean,
): Linear {
  return {
    spec,
    extended: alloc(name, dtype, spec.outSize + spec.rank, inputCols(spec)),
    bias: hasBias ? alloc(`${name}.bias`, dtype, 1, spec.outSize) : null,
  };
}

/** Rows `outStart` to `outStart + outSize` of W, to be filled. */
export function weightRows({ spec, extended }: Linear, outStart: number, outSize: number): Tensor {
  return columns(rows(extended, outStart, outSize), 0, spec.inSize);
}

/** The same weights without adapters, in the same memory. `spec` is the group's without any. */
export function withoutAdapters({ extended, bias }: Linear, spec: GroupSpec): Linear {
  return { spec, extended: columns(rows(extended, 0, spec.outSize), 0, spec.inSize), bias };
}

/**
 * Makes adapters zero until they are stored; what lies off the diagonal of sB stays so. `zeros` is f32 [1, n] of zeros,
 * written from as often as needed.
 */
export function clearAdapters(ops: Ops, { spec, extended }: Linear, zeros: Tensor): void {
  if (spec.rank === 0) return;
  for (const space of [columns(extended, spec.inSize, spec.rank), rows(extended, spec.outSize, spec.rank)]) {
    const rowsAtOnce = Math.max(1, Math.floor(zeros.cols / space.cols));
    for (let row = 0; row < space.rows; row += rowsAtOnce) {
      const dst = rows(space, row, Math.min(rowsAtOnce, space.rows - row));
      ops.convert({ dst, src: { ...zeros, rows: dst.rows, cols: dst.cols, stride: dst.cols } });
    }
  }
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

/** Where a linear map's own adapters lie. */
export function adapterMatrices({ spec, extended }: Linear): AdapterMatrices {
  const { inSize: K, outSize: N, rank: R } = spec;
  return { a: columns(rows(extended, N, R), 0, K), b: columns(rows(extended, 0, N), K, R) };
}

/** Y = X W^T + s X A^T B^T + bias. x [N, inputCols] (all but its own columns are overwritten), y [N, out]. */
export function linearForward(ops: Ops, linear: Linear, x: Tensor, y: Tensor): void {
  completeInput(ops, linear, x);
  const { inSize: K, outSize: N, rank: R } = linear.spec;
  const weight = columns(rows(linear.extended, 0, N), 0, K + R);
  ops.matmul({ out: y, a: columns(x, 0, K + R), b: weight, transB: true, ...biasOf(linear) });
  for (const { start, count, a, b, u: space } of linear.rowAdapters ?? []) {
    const u = rows(space, 0, count);
    ops.matmul({ out: u, a: columns(rows(x, start, count), 0, K), b: a, transB: true });
    ops.matmul({ out: rows(y, start, count), a: u, b, transB: true, accumulate: true });
  }
}

/** U = X A^T into X's spare columns: what the backward reads of a recomputed input besides its own columns. */
export function completeInput(ops: Ops, linear: Linear, x: Tensor): void {
  const { inSize: K, outSize: N, rank: R } = linear.spec;
  if (R === 0) return;
  const a = columns(rows(linear.extended, N, R), 0, K);
  ops.matmul({ out: columns(x, K, R), a: columns(x, 0, K), b: a, transB: true });
}

/**
 * Gradients of `linearForward`. x [N, inputCols] as the forward left it, dy [N, outputGradCols] (all but its own
 * columns are overwritten), dx [N, in] or null where nothing below is trained. `grads` (null where R is 0) are
 * overwritten, or added to with `accumulate`.
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

/** Writes the parameters into E. */
export function storeAdapter(ops: Ops, linear: Linear, params: AdapterViews, scale: number): void {
  storeMatrices(ops, adapterMatrices(linear), params, scale);
}

/** Writes the parameters: A as it is, B times the scale, rounded to the dtype of `into`. */
export function storeMatrices(ops: Ops, into: AdapterMatrices, params: AdapterViews, scale: number): void {
  ops.convert({ dst: into.a, src: params.a });
  for (const { outStart, outSize, rankStart, matrix } of params.b) {
    const dst = columns(rows(into.b, outStart, outSize), rankStart, matrix.cols);
    ops.convert({ dst, src: matrix, scale });
  }
}

function biasOf(linear: Linear): { bias?: Tensor } {
  return linear.bias ? { bias: linear.bias } : {};
}
