/** @file The ops of a native library: shapes and dtypes are checked here, so that kernels can trust their arguments. */
import type { LibraryHandle } from "koffi";
import type { Ops } from "../ops.js";
import { describe, spanBytes } from "../tensor.js";
import {
  address,
  check,
  checkAttention,
  checkHeads,
  code,
  DTYPE_CODES,
  expectBytes,
  expectCompute,
  expectDense,
  expectShape,
  matrix,
  optional,
} from "./arguments.js";

// Pointers go as integers: the C ABI passes both in the same registers, and a plain number is koffi's fastest argument.
const POINTER = "uint64_t";
const [LONG, INT, FLOAT] = ["int64_t", "int", "float"] as const;
const MATRIX = [POINTER, LONG];

/** Binds every op of kernels/ops.h. `context` is what msm_open returned. */
export function bindOps(library: LibraryHandle, context: unknown): Ops {
  const bind = (name: string, ...types: string[]): ((...values: (number | undefined)[]) => void) => {
    const call = library.func(`msm_${name}`, "void", ["void *", ...types]);
    return (...values) => call(context, ...values);
  };
  const convert = bind("convert", POINTER, INT, LONG, POINTER, INT, LONG, LONG, LONG, FLOAT);
  const scatter = bind("scatter", INT, ...MATRIX, ...MATRIX, POINTER, LONG, LONG);
  const gather = bind("gather", INT, ...MATRIX, ...MATRIX, POINTER, LONG, LONG);
  const fill = bind("fill", POINTER, INT, LONG);
  const rmsnormForward = bind(
    "rmsnorm_forward",
    ...[INT, ...MATRIX, POINTER, ...MATRIX, ...MATRIX, ...MATRIX, POINTER, FLOAT, LONG, LONG, LONG],
  );
  const rmsnormBackward = bind(
    "rmsnorm_backward",
    ...[INT, ...MATRIX, ...MATRIX, ...MATRIX, POINTER, POINTER, ...MATRIX, LONG, LONG, LONG],
  );
  const rope = bind("rope", INT, ...MATRIX, POINTER, POINTER, POINTER, INT, LONG, LONG, LONG);
  const attentionForward = bind(
    "attention_forward",
    ...[INT, ...MATRIX, POINTER, ...MATRIX, ...MATRIX, ...MATRIX, POINTER, FLOAT, LONG, LONG, LONG, LONG],
  );
  const attentionBackward = bind(
    "attention_backward",
    ...[INT, ...MATRIX, ...MATRIX, ...MATRIX, ...MATRIX, ...MATRIX, POINTER, ...MATRIX, ...MATRIX, ...MATRIX, POINTER],
    ...[FLOAT, LONG, LONG, LONG, LONG, POINTER, LONG],
  );
  const attentionBackwardWorkspace = library.func("msm_attention_backward_workspace", LONG, [
    INT,
    LONG,
    LONG,
    LONG,
    LONG,
  ]);
  const attentionCached = bind(
    "attention_cached",
    ...[INT, ...MATRIX, ...MATRIX, ...MATRIX, ...MATRIX, POINTER, FLOAT, LONG, LONG, LONG, LONG],
  );
  const swigluForward = bind("swiglu_forward", INT, ...MATRIX, ...MATRIX, LONG, LONG);
  const swigluBackward = bind("swiglu_backward", INT, ...MATRIX, ...MATRIX, ...MATRIX, LONG, LONG);
  const matmul = bind(
    "matmul",
    ...[INT, INT, ...MATRIX, ...MATRIX, INT, ...MATRIX, INT, POINTER, FLOAT, FLOAT, LONG, LONG, LONG],
  );
  const linearCrossEntropy = bind(
    "linear_cross_entropy",
    ...[INT, POINTER, POINTER, ...MATRIX, ...MATRIX, ...MATRIX, POINTER, POINTER, LONG, LONG, LONG, POINTER, LONG],
  );
  const linearCrossEntropyWorkspace = library.func("msm_linear_cross_entropy_workspace", LONG, [INT, LONG, LONG, LONG]);
  const gradnorm = bind("gradnorm", POINTER, POINTER, LONG);
  const adamw = bind("adamw", POINTER, POINTER, POINTER, POINTER, POINTER, POINTER, LONG);
  const sample = bind("sample", POINTER, POINTER, POINTER, LONG, POINTER, POINTER, POINTER, LONG, LONG);

  return {
    convert({ dst, src, scale = 1 }) {
      check(dst.rows === src.rows && dst.cols === src.cols, "convert", () => `${describe(src)} to ${describe(dst)}`);
      check(dst.dtype === "f32" || dst.dtype === "bf16", "convert", () => `cannot write ${dst.dtype}`);
      check(src.dtype !== "i32", "convert", () => "cannot read i32");
      convert(address(dst), code(dst), dst.stride, address(src), code(src), src.stride, src.rows, src.cols, scale);
    },
    scatter({ dst, src, index }) {
      expectCompute("scatter", "src", src);
      expectShape("scatter", "index", index, "i32", 1, src.rows);
      expectShape("scatter", "dst", dst, src.dtype, dst.rows, src.cols);
      scatter(code(src), ...matrix(dst), ...matrix(src), address(index), src.rows, src.cols);
    },
    gather({ out, table, index }) {
      expectCompute("gather", "out", out);
      expectShape("gather", "index", index, "i32", 1, out.rows);
      expectShape("gather", "table", table, out.dtype, table.rows, out.cols);
      gather(code(out), ...matrix(out), ...matrix(table), address(index), out.rows, out.cols);
    },
    clear(tensor) {
      check(tensor.stride === tensor.cols || tensor.rows === 1, "clear", () => `${describe(tensor)} has gaps`);
      fill(address(tensor), 0, spanBytes(tensor));
    },
    rmsnormForward({ out, rstd, x, residual, weight, eps }) {
      const [N, G, D] = [x.rows, rstd.cols, weight.cols];
      expectCompute("rmsnorm", "x", x);
      expectShape("rmsnorm", "x", x, x.dtype, N, G * D);
      expectShape("rmsnorm", "out", out, x.dtype, N, G * D);
      expectShape("rmsnorm", "weight", weight, x.dtype, 1, D);
      expectShape("rmsnorm", "rstd", rstd, "f32", N, G);
      expectDense("rmsnorm", "rstd", rstd);
      if (residual) {
        expectShape("rmsnorm", "h", residual.h, x.dtype, N, G * D);
        expectShape("rmsnorm", "delta", residual.delta, x.dtype, N, G * D);
      }
      rmsnormForward(
        ...[
          code(x),
          ...matrix(out),
          address(rstd),
          ...optional(residual?.h),
          ...matrix(x),
          ...optional(residual?.delta),
        ],
        ...[address(weight), eps, N, G, D],
      );
    },
    rmsnormBackward({ dx, dout, h, weight, rstd, dresidual }) {
      const [N, G, D] = [h.rows, rstd.cols, weight.cols];
      expectCompute("rmsnorm backward", "h", h);
      expectDense("rmsnorm backward", "rstd", rstd);
      for (const [name, tensor] of Object.entries({ dx, dout, h, ...(dresidual && { dresidual }) }))
        expectShape("rmsnorm backward", name, tensor, h.dtype, N, G * D);
      expectShape("rmsnorm backward", "weight", weight, h.dtype, 1, D);
      expectShape("rmsnorm backward", "rstd", rstd, "f32", N, G);
      rmsnormBackward(
        ...[code(h), ...matrix(dx), ...matrix(dout), ...matrix(h), address(weight), address(rstd)],
        ...[...optional(dresidual), N, G, D],
      );
    },
    rope({ x, cos, sin, positions, inverse = false }) {
      const E = cos.cols * 2;
      expectCompute("rope", "x", x);
      check(x.cols % E === 0, "rope", () => `${describe(x)} is no whole number of heads of ${E}`);
      expectShape("rope", "positions", positions, "i32", 1, x.rows);
      expectShape("rope", "cos", cos, "f32", sin.rows, E / 2);
      expectShape("rope", "sin", sin, "f32", cos.rows, E / 2);
      rope(
        code(x),
        ...matrix(x),
        address(cos),
        address(sin),
        address(positions),
        inverse ? 1 : 0,
        x.rows,
        x.cols / E,
        E,
      );
    },
    attentionForward({ out, lse, q, k, v, starts, headDim: E, scale }) {
      const [N, H, K] = [q.rows, q.cols / E, k.cols / E];
      checkAttention("attention", q, k, v, E);
      expectDense("attention", "lse", lse);
      expectShape("attention", "out", out, q.dtype, N, H * E);
      expectShape("attention", "lse", lse, "f32", H, N);
      expectShape("attention", "starts", starts, "i32", 1, N);
      attentionForward(
        ...[code(q), ...matrix(out), address(lse), ...matrix(q), ...matrix(k), ...matrix(v), address(starts)],
        ...[scale, N, H, K, E],
      );
    },
    attentionBackward({ dq, dk, dv, dout, out, lse, q, k, v, starts, headDim: E, scale, workspace }) {
      const [N, H, K] = [q.rows, q.cols / E, k.cols / E];
      checkAttention("attention backward", q, k, v, E);
      expectDense("attention backward", "lse", lse);
      for (const [name, tensor] of Object.entries({ dq, dout, out }))
        expectShape("attention backward", name, tensor, q.dtype, N, H * E);
      for (const [name, tensor] of Object.entries({ dk, dv }))
        expectShape("attention backward", name, tensor, q.dtype, N, K * E);
      expectShape("attention backward", "lse", lse, "f32", H, N);
      expectShape("attention backward", "starts", starts, "i32", 1, N);
      const values = [
        ...[code(q), ...matrix(dq), ...matrix(dk), ...matrix(dv), ...matrix(dout), ...matrix(out), address(lse)],
        ...[...matrix(q), ...matrix(k), ...matrix(v), address(starts), scale, N, H, K, E],
        ...[address(workspace), spanBytes(workspace)],
      ];
      expectBytes("attention backward", workspace, Number(attentionBackwardWorkspace(code(q), N, H, K, E)));
      attentionBackward(...values);
    },
    attentionBackwardWorkspaceBytes({ dtype, N, H, K, E }) {
      return Number(attentionBackwardWorkspace(DTYPE_CODES[dtype], N, H, K, E));
    },
    attentionCached({ out, q, kCache, vCache, ranges, headDim: E, scale }) {
      const [N, H, K] = [q.rows, q.cols / E, kCache.cols / E];
      checkHeads("attention cached", q, H, K);
      expectShape("attention cached", "kCache", kCache, q.dtype, kCache.rows, K * E);
      expectShape("attention cached", "out", out, q.dtype, N, H * E);
      expectShape("attention cached", "vCache", vCache, q.dtype, kCache.rows, K * E);
      expectShape("attention cached", "ranges", ranges, "i32", N, 4);
      expectDense("attention cached", "ranges", ranges);
      attentionCached(
        ...[code(q), ...matrix(out), ...matrix(q), ...matrix(kCache), ...matrix(vCache), address(ranges)],
        ...[scale, N, H, K, E],
      );
    },
    swigluForward({ out, gateUp }) {
      expectCompute("swiglu", "out", out);
      expectShape("swiglu", "gateUp", gateUp, out.dtype, out.rows, 2 * out.cols);
      swigluForward(code(out), ...matrix(out), ...matrix(gateUp), out.rows, out.cols);
    },
    swigluBackward({ dgateUp, dout, gateUp }) {
      expectCompute("swiglu backward", "dout", dout);
      expectShape("swiglu backward", "gateUp", gateUp, dout.dtype, dout.rows, 2 * dout.cols);
      expectShape("swiglu backward", "dgateUp", dgateUp, dout.dtype, dout.rows, 2 * dout.cols);
      swigluBackward(code(dout), ...matrix(dgateUp), ...matrix(dout), ...matrix(gateUp), dout.rows, dout.cols);
    },
    matmul({ out, a, b, transA = false, transB = false, bias, alpha = 1, accumulate = false }) {
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
      matmul(
        ...[code(a), code(out), ...matrix(out), ...matrix(a), transA ? 1 : 0, ...matrix(b), transB ? 1 : 0],
        ...[bias ? address(bias) : 0, alpha, accumulate ? 1 : 0, M, N, K],
      );
    },
    linearCrossEntropy({ losses, argmax, dx, x, w, targets, dscale, workspace }) {
      const [N, D, V] = [x.rows, x.cols, w.rows];
      expectCompute("linear cross-entropy", "x", x);
      expectShape("linear cross-entropy", "w", w, x.dtype, V, D);
      expectShape("linear cross-entropy", "losses", losses, "f32", 1, N);
      expectShape("linear cross-entropy", "targets", targets, "i32", 1, N);
      if (dx) expectShape("linear cross-entropy", "dx", dx, x.dtype, N, D);
      if (argmax) expectShape("linear cross-entropy", "argmax", argmax, "i32", 1, N);
      check(!dx || dscale !== undefined, "linear cross-entropy", () => "dx needs dscale");
      if (dscale) expectShape("linear cross-entropy", "dscale", dscale, "f32", 1, 1);
      const values = [
        ...[code(x), address(losses), argmax ? address(argmax) : 0, ...optional(dx), ...matrix(x), ...matrix(w)],
        ...[address(targets), dscale ? address(dscale) : 0, N, D, V, address(workspace), spanBytes(workspace)],
      ];
      expectBytes("linear cross-entropy", workspace, Number(linearCrossEntropyWorkspace(code(x), N, D, V)));
      linearCrossEntropy(...values);
    },
    linearCrossEntropyWorkspaceBytes({ dtype, N, D, V }) {
      return Number(linearCrossEntropyWorkspace(DTYPE_CODES[dtype], N, D, V));
    },
    gradnorm({ out, grads }) {
      expectShape("gradnorm", "out", out, "f32", 1, 1);
      expectShape("gradnorm", "grads", grads, "f32", 1, grads.cols);
      gradnorm(address(out), address(grads), grads.cols);
    },
    adamw({ params, grads, m, v, gradnorm, hyper }) {
      for (const [name, tensor] of Object.entries({ params, grads, m, v }))
        expectShape("adamw", name, tensor, "f32", 1, params.cols);
      expectShape("adamw", "gradnorm", gradnorm, "f32", 1, 1);
      expectShape("adamw", "hyper", hyper, "f32", 1, 8);
      adamw(
        ...[address(params), address(grads), address(m), address(v), address(gradnorm), address(hyper)],
        params.cols,
      );
    },
    sample({ ids, logprobs, logits, temperature, topP, uniforms }) {
      const B = logits.rows;
      expectShape("sample", "ids", ids, "i32", 1, B);
      expectShape("sample", "logits", logits, "f32", B, logits.cols);
      for (const [name, tensor] of Object.entries({ logprobs, temperature, topP, uniforms }))
        expectShape("sample", name, tensor, "f32", 1, B);
      sample(
        ...[address(ids), address(logprobs), ...matrix(logits), address(temperature), address(topP), address(uniforms)],
        ...[B, logits.cols],
      );
    },
  };
}
