/** @file Cases of msm_matmul: the three layouts, strided operands, bias, alpha, accumulation. */
import type { ComputeDtype } from "../../../src/backend/tensor.js";
import { COMPUTE_DTYPES, type GradientCase, normals, type OpCase, opCase } from "../harness.js";

// f32 sums of K products: the error of every partial sum adds up to a few 6e-8 of |a| |b| (norms of the row and the
// column), whatever K. Operands are read exactly, so bf16 adds the rounding of the output alone.
const RELATIVE = 1e-6;

/** nn: a [M, K] b [K, N]; nt: b stored [N, K], as weights are; tn: a stored [K, M], as in gradients of weights. */
export type Layout = "nn" | "nt" | "tn";

interface Dims {
  M: number;
  N: number;
  K: number;
  layout: Layout;
}

/** a' b', and |row of a'| |column of b'|. */
export function matmul64(a: Float64Array, b: Float64Array, { M, N, K, layout }: Dims) {
  const values = new Float64Array(M * N);
  const magnitude = new Float64Array(M * N);
  const [aRow, aCol] = layout === "tn" ? [1, M] : [K, 1];
  const [bRow, bCol] = layout === "nt" ? [1, K] : [N, 1];
  const norms = (x: Float64Array, count: number, step: number, inner: number) =>
    Float64Array.from({ length: count }, (_, i) => {
      let sum = 0;
      for (let k = 0; k < K; k++) sum += x[i * step + k * inner]! ** 2;
      return Math.sqrt(sum);
    });
  const rowNorms = norms(a, M, aRow, aCol);
  const colNorms = norms(b, N, bCol, bRow);
  for (let m = 0; m < M; m++)
    for (let n = 0; n < N; n++) {
      let sum = 0;
      for (let k = 0; k < K; k++) sum += a[m * aRow + k * aCol]! * b[k * bRow + n * bCol]!;
      values[m * N + n] = sum;
      magnitude[m * N + n] = rowNorms[m]! * colNorms[n]!;
    }
  return { values, magnitude };
}

interface Shape extends Dims {
  dtype: ComputeDtype;
  outDtype?: ComputeDtype;
  /** Elements between rows; a multiple of 8 keeps them aligned to 16 bytes. */
  gap?: number;
  bias?: boolean;
  alpha?: number;
  accumulate?: boolean;
}

export function matmul(shape: Shape): OpCase {
  const { dtype, outDtype = dtype, M, N, K, layout, gap = 0, bias = false, alpha = 1, accumulate = false } = shape;
  const transA = layout === "tn";
  const transB = layout === "nt";
  // Strides that differ.
  const [bGap, outGap] = gap % 8 === 0 ? [2 * gap, 3 * gap] : [gap + 2, gap + 4];
  const extras = [bias && "bias", alpha !== 1 && `alpha ${alpha}`, accumulate && "accumulate"]
    .filter(Boolean)
    .join(", ");
  const name = `${layout} M=${M} N=${N} K=${K} into ${outDtype} gap ${gap} ${extras}`;
  return opCase({
    op: "matmul",
    name,
    dtype,
    flops: 2 * M * N * K,
    inputs: () => ({
      a: normals(`a ${name}`, M * K, dtype),
      b: normals(`b ${name}`, K * N, dtype),
      bias: normals(`bias ${name}`, N, dtype),
      before: normals(`out ${name}`, M * N, outDtype),
    }),
    setup({ place, backend }, inputs) {
      const a = place("a", dtype, transA ? K : M, transA ? M : K, inputs.a, { gap });
      const b = place("b", dtype, transB ? N : K, transB ? K : N, inputs.b, { gap: bGap });
      const out = place("out", outDtype, M, N, accumulate ? inputs.before : undefined, { gap: outGap });
      const added = bias ? { bias: place("bias", dtype, 1, N, inputs.bias, { gap }) } : {};
      return {
        run: () => backend.ops.matmul({ out, a, b, transA, transB, alpha, accumulate, ...added }),
        outputs: { out },
      };
    },
    reference(inputs) {
      const { values, magnitude } = matmul64(inputs.a, inputs.b, { M, N, K, layout });
      for (let i = 0; i < values.length; i++) {
        const offset = bias ? inputs.bias[i % N]! : 0;
        const before = accumulate ? inputs.before[i]! : 0;
        values[i] = Math.fround(alpha) * values[i]! + offset + before;
        magnitude[i] = Math.abs(alpha) * magnitude[i]! + Math.abs(offset) + Math.abs(before);
      }
      return { out: { values, relative: RELATIVE, magnitude } };
    },
  });
}

// One row and one column, odd everything, depths above any block of K, LoRA's thin products, sizes that a library may
// take over, and rows that are apart but aligned.
const SIZES: [M: number, N: number, K: number, gap: number][] = [
  [1, 1, 1, 0],
  [31, 33, 4099, 3],
  [33, 4099, 31, 1],
  [1, 577, 576, 0],
  [129, 16, 576, 0],
  [130, 577, 16, 7],
  [15, 17, 257, 1],
  [160, 192, 384, 0],
  [67, 96, 1, 2],
  [16, 72, 520, 8],
  [40, 136, 1096, 8],
];

function variants(dtype: ComputeDtype, outDtype: ComputeDtype): OpCase[] {
  return (["nn", "nt", "tn"] as const).flatMap((layout, l) =>
    SIZES.map(([M, N, K, gap], s) => {
      // Every option meets every layout and both kinds of size without the full product of them.
      const mix = (l * 5 + s * 3) % 8;
      return matmul({
        dtype,
        outDtype,
        M,
        N,
        K,
        layout,
        gap,
        bias: (mix & 1) > 0,
        alpha: mix & 2 ? 0.3 : 1,
        accumulate: (mix & 4) > 0,
      });
    }),
  );
}

export const cases: OpCase[] = [
  ...COMPUTE_DTYPES.flatMap((dtype) => variants(dtype, dtype)),
  ...variants("bf16", "f32"),
];

const DIMS: Dims = { M: 3, N: 4, K: 5, layout: "nt" };

// The backward of out = a b^T (b a weight [N, K]) is two more products: da = dout b (nn), db = dout^T a (tn).
export const gradients: GradientCase[] = [
  {
    op: "matmul",
    name: "nt M=3 N=4 K=5",
    inputs: { a: normals("gradient a", 15), b: normals("gradient b", 20) },
    forward: ({ a, b }) => matmul64(a!, b!, DIMS).values,
    backward: ({ a, b }, dout) => ({
      a: matmul64(dout, b!, { M: 3, N: 5, K: 4, layout: "nn" }).values,
      b: matmul64(dout, a!, { M: 4, N: 5, K: 3, layout: "tn" }).values,
    }),
  },
];
