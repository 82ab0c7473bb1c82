/**
 * @file What an op may be given: the shapes, dtypes and places of tensors, checked here once for every backend, so that
 * kernels trust their arguments.
 */
import type { Ops } from "./ops.js";
import type { Dtype, Tensor } from "./tensor.js";
import { DTYPE_BYTES, describe, spanBytes } from "./tensor.js";

/**
 * `ops` behind the checks. A call that is wrong throws before anything is enqueued: a TypeError that begins with the
 * op's name, or a RangeError where a tensor leaves its buffer.
 */
export function checked(ops: Ops): Ops {
  return {
    convert(args) {
      const { dst, src } = args;
      check(dst.rows === src.rows && dst.cols === src.cols, "convert", () => `${describe(src)} to ${describe(dst)}`);
      check(dst.dtype === "f32" || dst.dtype === "bf16", "convert", () => `cannot write ${dst.dtype}`);
      check(src.dtype !== "i32", "convert", () => "cannot read i32");
      expectInside(args);
      ops.convert(args);
    },
    scatter(args) {
      const { dst, src, index } = args;
      expectCompute("scatter", "src", src);
      expectShape("scatter", "index", index, "i32", 1, src.rows);
      expectShape("scatter", "dst", dst, src.dtype, dst.rows, src.cols);
      expectInside(args);
      ops.scatter(args);
    },
    gather(args) {
      const { out, table, index } = args;
      expectCompute("gather", "out", out);
      expectShape("gather", "index", index, "i32", 1, out.rows);
      expectShape("gather", "table", table, out.dtype, table.rows, out.cols);
      expectInside(args);
      ops.gather(args);
    },
    clear(tensor) {
      check(tensor.stride === tensor.cols || tensor.rows === 1, "clear", () => `${describe(tensor)} has gaps`);
      expectInside({ tensor });
      ops.clear(tensor);
    },
    rmsnormForward(args) {
      const { out, rstd, x, residual, weight } = args;
      const N = x.rows;
      const G = rstd.cols;
      const D = weight.cols;
      expectCompute("rmsnorm", "x", x);
      expectShape("rmsnorm", "x", x, x.dtype, N, G * D);
      expectShape("rmsnorm", "out", out, x.dtype, N, G * D);
      expectShape("rmsnorm", "weight", weight, x.dtype, 1, D);
      expectShape("rmsnorm", "rstd", rstd, "f32", N, G);
      expectDense("rmsnorm", "rstd", rstd);
      if (residual) {
        expectShape("rmsnorm", "h", residual.h, x.dtype, N, G * D);
        expectShape("rmsnorm", "delta", residual.delta, x.dtype, N, G * D);
        expectInside(residual);
      }
      expectInside(args);
      ops.rmsnormForward(args);
    },
    rmsnormBackward(args) {
      const { dx, dout, h, weight, rstd, dresidual } = args;
      const N = h.rows;
      const G = rstd.cols;
      const D = weight.cols;
      expectCompute("rmsnorm backward", "h", h);
      expectDense("rmsnorm backward", "rstd", rstd);
      for (const [name, tensor] of Object.entries({ dx, dout, h, ...(dresidual && { dresidual }) }))
        expectShape("rmsnorm backward", name, tensor, h.dtype, N, G * D);
      expectShape("rmsnorm backward", "weight", weight, h.dtype, 1, D);
      expectShape("rmsnorm backward", "rstd", rstd, "f32", N, G);
      expectInside(args);
      ops.rmsnormBackward(args);
    },
    rope(args) {
      const { x, cos, sin, positions } = args;
      const E = cos.cols * 2;
      expectCompute("rope", "x", x);
      check(x.cols % E === 0, "rope", () => `${describe(x)} is no whole number of heads of ${E}`);
      expectShape("rope", "positions", positions, "i32", 1, x.rows);
      expectShape("rope", "cos", cos, "f32", sin.rows, E / 2);
      expectShape("rope", "sin", sin, "f32", cos.rows, E / 2);
      expectDense("rope", "cos", cos);
      expectDense("rope", "sin", sin);
      expectInside(args);
      ops.rope(args);
    },
    attentionForward(args) {
      const { out, lse, q, k, v, starts, headDim: E } = args;
      const N = q.rows;
      const H = q.cols / E;
      checkAttention("attention", q, k, v, E);
      expectDense("attention", "lse", lse);
      expectShape("attention", "out", out, q.dtype, N, H * E);
      expectShape("attention", "lse", lse, "f32", H, N);
      expectShape("attention", "starts", starts, "i32", 1, N);
      expectInside(args);
      ops.attentionForward(args);
    },
    attentionBackward(args) {
      const { dq, dk, dv, dout, out, lse, q, k, v, starts, headDim: E, workspace } = args;
      const N = q.rows;
      const H = q.cols / E;
      const K = k.cols / E;
      checkAttention("attention backward", q, k, v, E);
      expectDense("attention backward", "lse", lse);
      for (const [name, tensor] of Object.entries({ dq, dout, out }))
        expectShape("attention backward", name, tensor, q.dtype, N, H * E);
      for (const [name, tensor] of Object.entries({ dk, dv }))
        expectShape("attention backward", name, tensor, q.dtype, N, K * E);
      expectShape("attention backward", "lse", lse, "f32", H, N);
      expectShape("attention backward", "starts", starts, "i32", 1, N);
      expectInside(args);
      const needed = ops.attentionBackwardWorkspaceBytes({ dtype: q.dtype, N, H, K, E });
      expectBytes("attention backward", workspace, needed);
      ops.attentionBackward(args);
    },
    attentionBackwardWorkspaceBytes: (shape) => ops.attentionBackwardWorkspaceBytes(shape),
    attentionCached(args) {
      const { out, q, kCache, vCache, ranges, headDim: E } = args;
      const N = q.rows;
      const H = q.cols / E;
      const K = kCache.cols / E;
      checkHeads("attention cached", q, H, K);
      expectShape("attention cached", "kCache", kCache, q.dtype, kCache.rows, K * E);
      expectShape("attention cached", "out", out, q.dtype, N, H * E);
      expectShape("attention cached", "vCache", vCache, q.dtype, kCache.rows, K * E);
      expectShape("attention cached", "ranges", ranges, "i32", N, 4);
      expectDense("attention cached", "ranges", ranges);
      expectInside(args);
      ops.attentionCached(args);
    },
    swigluForward(args) {
      const { out, gateUp } = args;
      expectCompute("swiglu", "out", out);
      expectShape("swiglu", "gateUp", gateUp, out.dtype, out.rows, 2 * out.cols);
      expectInside(args);
      ops.swigluForward(args);
    },
    swigluBackward(args) {
      const { dgateUp, dout, gateUp } = args;
      expectCompute("swiglu backward", "dout", dout);
      expectShape("swiglu backward", "gateUp", gateUp, dout.dtype, dout.rows, 2 * dout.cols);
      expectShape("swiglu backward", "dgateUp", dgateUp, dout.dtype, dout.rows, 2 * dout.cols);
      expectInside(args);
      ops.swigluBackward(args);
    },
    matmul(args) {
      const { out, a, b, transA = false, transB = false, bias } = args;
      const [M, K] = transA ? [a.cols, a.rows] : [a.rows, a.cols];
      const [N, bK] = transB ? [b.rows, b.cols] : [b.cols, b.rows];
      check(
        K === bK && out.rows === M && out.cols === N && !(transA && transB),
        "matmul",
        () => `${describe(a)}${transA ? "^T" : ""} * ${describe(b)}${transB ? "^T" : ""} into ${describe(out)}`,
      );
      expectCompute("matmul", "a", a);
      check(a.dtype === b.dtype, "matmul", () => `${a.dtype} * ${b.dtype}`);
      check(out.dtype === "f32" || out.dtype === a.dtype, "matmul", () => `${a.dtype} product into ${out.dtype}`);
      if (bias) expectShape("matmul", "bias", bias, a.dtype, 1, N);
      expectInside(args);
      ops.matmul(args);
    },
    linearCrossEntropy(args) {
      const { losses, argmax, dx, x, w, targets, dscale, workspace } = args;
      const N = x.rows;
      const D = x.cols;
      const V = w.rows;
      expectCompute("linear cross-entropy", "x", x);
      expectShape("linear cross-entropy", "w", w, x.dtype, V, D);
      expectShape("linear cross-entropy", "losses", losses, "f32", 1, N);
      expectShape("linear cross-entropy", "targets", targets, "i32", 1, N);
      if (dx) expectShape("linear cross-entropy", "dx", dx, x.dtype, N, D);
      if (argmax) expectShape("linear cross-entropy", "argmax", argmax, "i32", 1, N);
      check(!dx || dscale !== undefined, "linear cross-entropy", () => "dx needs dscale");
      if (dscale) expectShape("linear cross-entropy", "dscale", dscale, "f32", 1, 1);
      expectInside(args);
      const needed = ops.linearCrossEntropyWorkspaceBytes({ dtype: x.dtype, N, D, V });
      expectBytes("linear cross-entropy", workspace, needed);
      ops.linearCrossEntropy(args);
    },
    linearCrossEntropyWorkspaceBytes: (shape) => ops.linearCrossEntropyWorkspaceBytes(shape),
    gradnorm(args) {
      const { out, grads } = args;
      expectShape("gradnorm", "out", out, "f32", 1, 1);
      expectShape("gradnorm", "grads", grads, "f32", 1, grads.cols);
      expectInside(args);
      ops.gradnorm(args);
    },
    adamw(args) {
      const { params, grads, m, v, gradnorm, hyper } = args;
      for (const [name, tensor] of Object.entries({ params, grads, m, v }))
        expectShape("adamw", name, tensor, "f32", 1, params.cols);
      expectShape("adamw", "gradnorm", gradnorm, "f32", 1, 1);
      expectShape("adamw", "hyper", hyper, "f32", 1, 8);
      expectInside({ params, grads, m, v, gradnorm, hyper });
      ops.adamw(args);
    },
    sample(args) {
      const { ids, logprobs, logits, temperature, topP, uniforms } = args;
      const B = logits.rows;
      expectShape("sample", "ids", ids, "i32", 1, B);
      expectShape("sample", "logits", logits, "f32", B, logits.cols);
      for (const [name, tensor] of Object.entries({ logprobs, temperature, topP, uniforms }))
        expectShape("sample", name, tensor, "f32", 1, B);
      expectInside(args);
      ops.sample(args);
    },
  };
}

function check(condition: boolean, op: string, message: () => string): void {
  if (!condition) throw new TypeError(`${op}: ${message()}`);
}

function expectShape(op: string, name: string, tensor: Tensor, dtype: Dtype, rows: number, cols: number): void {
  check(
    tensor.dtype === dtype && tensor.rows === rows && tensor.cols === cols,
    op,
    () => `${name} is ${describe(tensor)}, expected ${dtype}[${rows}, ${cols}]`,
  );
}

/** Activations and weights are f32 or bf16. */
function expectCompute(op: string, name: string, tensor: Tensor): void {
  check(
    tensor.dtype === "f32" || tensor.dtype === "bf16",
    op,
    () => `${name} is ${describe(tensor)}, expected f32 or bf16`,
  );
}

function expectDense(op: string, name: string, tensor: Tensor): void {
  check(tensor.stride === tensor.cols || tensor.rows <= 1, op, () => `${name} has gaps between its rows`);
}

// Asked after the arguments have been checked.
function expectBytes(op: string, workspace: Tensor, bytes: number): void {
  check(spanBytes(workspace) >= bytes, op, () => `workspace of ${spanBytes(workspace)} bytes, needs ${bytes}`);
}

/** Every tensor among the arguments lies in its buffer. */
function expectInside(args: object): void {
  for (const value of Object.values(args) as unknown[]) {
    if (typeof value !== "object" || value === null || !("buffer" in value)) continue;
    const tensor = value as Tensor;
    const begin = tensor.offset * DTYPE_BYTES[tensor.dtype];
    if (begin < 0 || begin + spanBytes(tensor) > tensor.buffer.bytes)
      throw new RangeError(`${describe(tensor)} at byte ${begin} leaves its buffer of ${tensor.buffer.bytes} bytes`);
  }
}

function checkHeads(op: string, q: Tensor, H: number, K: number): void {
  expectCompute(op, "q", q);
  check(Number.isInteger(H) && Number.isInteger(K) && H % K === 0, op, () => `${H} query heads over ${K} kv heads`);
}

function checkAttention(op: string, q: Tensor, k: Tensor, v: Tensor, E: number): void {
  const H = q.cols / E;
  const K = k.cols / E;
  checkHeads(op, q, H, K);
  expectShape(op, "k", k, q.dtype, q.rows, K * E);
  expectShape(op, "v", v, q.dtype, q.rows, K * E);
}
