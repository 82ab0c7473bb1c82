/** @file What is measured of each op, at the shapes of a real model. */
import { type Backend, writeTensor } from "../backend/backend.js";
import type { ComputeDtype, Tensor } from "../backend/tensor.js";
import { columns, DTYPE_BYTES, rows } from "../backend/tensor.js";
import type { ModelConfig } from "../shape/config.js";

/** As many as batches usually have. */
const DECODED_SEQUENCES = 16;

export interface KernelCase {
  kernel: string;
  shape: string;
  flops?: number;
  bytes?: number;
  enqueue: () => void;
}

/**
 * The ops of a training step and of a decode step over N tokens, segments of `seqLen`; and the LoRA layouts side by
 * side. `alloc` fills with random values.
 */
export function kernelCases(
  backend: Backend,
  config: ModelConfig,
  dtype: ComputeDtype,
  N: number,
  seqLen: number,
  alloc: (dtype: Tensor["dtype"], rows: number, cols: number) => Tensor,
): KernelCase[] {
  const { ops } = backend;
  const { hiddenSize: D, intermediateSize: F, numHeads: H, numKvHeads: K, headDim: E, vocabSize: V } = config;
  const size = DTYPE_BYTES[dtype];
  const ints = (values: (n: number) => number, count = N): Tensor => {
    const tensor = alloc("i32", 1, count);
    writeTensor(
      backend,
      tensor,
      Int32Array.from({ length: count }, (_, n) => values(n)),
    );
    return tensor;
  };
  const hidden = [0, 1, 2].map(() => alloc(dtype, N, D)) as [Tensor, Tensor, Tensor];
  const weight = alloc(dtype, 1, D);
  const rstd = alloc("f32", N, 1);
  const [q, k, v] = [H, K, K].map((heads) => alloc(dtype, N, heads * E)) as [Tensor, Tensor, Tensor];
  const [dq, dk, dv] = [H, K, K].map((heads) => alloc(dtype, N, heads * E)) as [Tensor, Tensor, Tensor];
  const out = alloc(dtype, N, H * E);
  const dout = alloc(dtype, N, H * E);
  const lse = alloc("f32", H, N);
  const starts = ints((n) => n - (n % seqLen));
  const positions = ints((n) => n % seqLen);
  const cos = alloc("f32", seqLen, E / 2);
  const sin = alloc("f32", seqLen, E / 2);
  const gateUp = alloc(dtype, N, 2 * F);
  const activation = alloc(dtype, N, F);
  const head = alloc(dtype, V, D);
  const targets = ints((n) => (n * 7) % V);
  const losses = alloc("f32", 1, N);
  const dscale = alloc("f32", 1, 1);
  const bytes = (count: number): Tensor => alloc("f32", 1, Math.ceil(count / 4));
  const lossWorkspace = bytes(ops.linearCrossEntropyWorkspaceBytes({ dtype, N, D, V }));
  const attentionWorkspace = bytes(ops.attentionBackwardWorkspaceBytes({ dtype, N, H, K, E }));
  const flat = [0, 1, 2, 3].map(() => alloc("f32", 1, 1 << 22)) as [Tensor, Tensor, Tensor, Tensor];
  const gradnorm = alloc("f32", 1, 1);
  const hyper = alloc("f32", 1, 8);
  const attention = { q, k, v, starts, headDim: E, scale: E ** -0.5 };
  // Two products of E operations pairs for each of the seqLen / 2 keys that a token sees, forward; five backward.
  const attentionFlops = 2 * N * seqLen * H * E;
  const rowsOf = (tensor: string): string => `${N} x ${tensor}`;
  return [
    {
      kernel: "gather",
      shape: rowsOf(`${D}`),
      bytes: 2 * N * D * size,
      enqueue: () => ops.gather({ out: hidden[0], table: head, index: targets }),
    },
    {
      kernel: "rmsnorm forward",
      shape: rowsOf(`${D}`),
      bytes: 4 * N * D * size,
      enqueue: () =>
        ops.rmsnormForward({
          out: hidden[2],
          rstd,
          x: hidden[0],
          residual: { h: hidden[0], delta: hidden[1] },
          weight,
          eps: 1e-5,
        }),
    },
    {
      kernel: "rmsnorm backward",
      shape: rowsOf(`${D}`),
      bytes: 4 * N * D * size,
      enqueue: () =>
        ops.rmsnormBackward({ dx: hidden[2], dout: hidden[1], h: hidden[0], weight, rstd, dresidual: hidden[2] }),
    },
    {
      kernel: "rope",
      shape: rowsOf(`${H} x ${E}`),
      bytes: 2 * N * H * E * size,
      enqueue: () => ops.rope({ x: q, cos, sin, positions }),
    },
    {
      kernel: "attention forward",
      shape: `${N / seqLen} x ${seqLen}, ${H}/${K} x ${E}`,
      flops: attentionFlops,
      enqueue: () => ops.attentionForward({ out, lse, ...attention }),
    },
    {
      kernel: "attention backward",
      shape: `${N / seqLen} x ${seqLen}, ${H}/${K} x ${E}`,
      flops: 2.5 * attentionFlops,
      enqueue: () => ops.attentionBackward({ dq, dk, dv, dout, out, lse, ...attention, workspace: attentionWorkspace }),
    },
    {
      kernel: "swiglu forward",
      shape: rowsOf(`${F}`),
      bytes: 3 * N * F * size,
      enqueue: () => ops.swigluForward({ out: activation, gateUp }),
    },
    {
      kernel: "swiglu backward",
      shape: rowsOf(`${F}`),
      bytes: 5 * N * F * size,
      enqueue: () => ops.swigluBackward({ dgateUp: gateUp, dout: activation, gateUp }),
    },
    {
      kernel: "linear cross-entropy",
      shape: `${N} x ${V} x ${D}`,
      flops: 4 * N * V * D,
      enqueue: () =>
        ops.linearCrossEntropy({
          losses,
          dx: hidden[1],
          x: hidden[0],
          w: head,
          targets,
          dscale,
          workspace: lossWorkspace,
        }),
    },
    ...decodeCases(backend, config, dtype, seqLen, head.rows, alloc, ints),
    {
      kernel: "gradnorm",
      shape: `${1 << 22}`,
      bytes: 4 * (1 << 22),
      enqueue: () => ops.gradnorm({ out: gradnorm, grads: flat[1] }),
    },
    {
      kernel: "adamw",
      shape: `${1 << 22}`,
      bytes: 28 * (1 << 22),
      enqueue: () => ops.adamw({ params: flat[0], grads: flat[1], m: flat[2], v: flat[3], gradnorm, hyper }),
    },
    ...loraCases(backend, dtype, N, D, 2 * F, alloc),
  ];
}

/** A decode step's own ops, each sequence with `seqLen` cached tokens. */
function decodeCases(
  backend: Backend,
  config: ModelConfig,
  dtype: ComputeDtype,
  seqLen: number,
  V: number,
  alloc: (dtype: Tensor["dtype"], rows: number, cols: number) => Tensor,
  ints: (values: (n: number) => number, count?: number) => Tensor,
): KernelCase[] {
  const { ops } = backend;
  const { numHeads: H, numKvHeads: K, headDim: E } = config;
  const B = DECODED_SEQUENCES;
  const q = alloc(dtype, B, H * E);
  const out = alloc(dtype, B, H * E);
  const kCache = alloc(dtype, B * seqLen, K * E);
  const vCache = alloc(dtype, B * seqLen, K * E);
  const flat = ints((i) => [0, 0, Math.floor(i / 4) * seqLen, (Math.floor(i / 4) + 1) * seqLen][i % 4]!, 4 * B);
  const ranges = { ...flat, rows: B, cols: 4, stride: 4 };
  const ids = ints(() => 0, B);
  const logits = alloc("f32", B, V);
  const [logprobs, temperature, topP, uniforms] = [0, 1, 2, 3].map(() => alloc("f32", 1, B)) as [
    Tensor,
    Tensor,
    Tensor,
    Tensor,
  ];
  writeTensor(backend, temperature, new Float32Array(B).fill(0.7));
  writeTensor(backend, topP, new Float32Array(B).fill(0.9));
  writeTensor(backend, uniforms, new Float32Array(B).fill(0.5));
  return [
    {
      kernel: "attention cached",
      shape: `${B} x ${seqLen}, ${H}/${K} x ${E}`,
      bytes: 2 * B * seqLen * K * E * DTYPE_BYTES[dtype],
      enqueue: () => ops.attentionCached({ out, q, kCache, vCache, ranges, headDim: E, scale: E ** -0.5 }),
    },
    {
      kernel: "sample",
      shape: `${B} x ${V}`,
      bytes: 4 * B * V,
      enqueue: () => ops.sample({ ids, logprobs, logits, temperature, topP, uniforms }),
    },
  ];
}

/**
 * gate + up with two adapters of r = 16: one product over [W sB] (src/model/linear.ts), against W first and B added to
 * its result.
 */
function loraCases(
  backend: Backend,
  dtype: ComputeDtype,
  N: number,
  inSize: number,
  outSize: number,
  alloc: (dtype: Tensor["dtype"], rows: number, cols: number) => Tensor,
): KernelCase[] {
  const { ops } = backend;
  const R = 32;
  const extended = alloc(dtype, outSize + R, inSize + R);
  const x = alloc(dtype, N, inSize + R);
  const y = alloc(dtype, N, outSize + R);
  const dx = alloc(dtype, N, inSize);
  const w = alloc(dtype, outSize, inSize);
  const b = alloc(dtype, outSize, R / 2);
  const a = columns(rows(extended, outSize, R), 0, inSize);
  const plainX = columns(x, 0, inSize);
  const u = columns(x, inSize, R);
  const plainY = columns(y, 0, outSize);
  const du = columns(y, outSize, R);
  const half = outSize / 2;
  const flops = 2 * N * (inSize * outSize + inSize * R + (outSize * R) / 2);
  const shape = `${N} x ${outSize} x ${inSize} + 2 x 16`;
  const parts = [0, 1].map((i) => ({
    u: columns(u, (i * R) / 2, R / 2),
    du: columns(du, (i * R) / 2, R / 2),
    y: columns(y, i * half, half),
    b: rows(b, i * half, half),
  }));
  return [
    {
      kernel: "lora extended forward",
      shape,
      flops,
      enqueue: () => {
        ops.matmul({ out: u, a: plainX, b: a, transB: true });
        ops.matmul({ out: plainY, a: x, b: rows(extended, 0, outSize), transB: true });
      },
    },
    {
      kernel: "lora plain forward",
      shape,
      flops,
      enqueue: () => {
        ops.matmul({ out: u, a: plainX, b: a, transB: true });
        ops.matmul({ out: plainY, a: plainX, b: w, transB: true });
        for (const part of parts) ops.matmul({ out: part.y, a: part.u, b: part.b, transB: true, accumulate: true });
      },
    },
    {
      kernel: "lora extended backward",
      shape,
      flops,
      enqueue: () => {
        ops.matmul({ out: du, a: plainY, b: columns(rows(extended, 0, outSize), inSize, R) });
        ops.matmul({ out: dx, a: y, b: columns(extended, 0, inSize) });
      },
    },
    {
      kernel: "lora plain backward",
      shape,
      flops,
      enqueue: () => {
        for (const part of parts) ops.matmul({ out: part.du, a: part.y, b: part.b });
        ops.matmul({ out: dx, a: plainY, b: w });
        ops.matmul({ out: dx, a: du, b: a, accumulate: true });
      },
    },
  ];
}
