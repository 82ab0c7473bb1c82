/**
 * @file The ops of a native library: each call of kernels/ops.h with its arguments in order. What they may be is
 * checked in ../checked.ts.
 */
import type { LibraryHandle } from "koffi";
import type { Ops } from "../ops.js";
import { spanBytes } from "../tensor.js";
import { address, code, DTYPE_CODES, matrix, optional } from "./arguments.js";

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
      convert(address(dst), code(dst), dst.stride, address(src), code(src), src.stride, src.rows, src.cols, scale);
    },
    scatter({ dst, src, index }) {
      scatter(code(src), ...matrix(dst), ...matrix(src), address(index), src.rows, src.cols);
    },
    gather({ out, table, index }) {
      gather(code(out), ...matrix(out), ...matrix(table), address(index), out.rows, out.cols);
    },
    clear(tensor) {
      fill(address(tensor), 0, spanBytes(tensor));
    },
    rmsnormForward({ out, rstd, x, residual, weight, eps }) {
      rmsnormForward(
        ...[code(x), ...matrix(out), address(rstd), ...optional(residual?.h), ...matrix(x)],
        ...[...optional(residual?.delta), address(weight), eps, x.rows, rstd.cols, weight.cols],
      );
    },
    rmsnormBackward({ dx, dout, h, weight, rstd, dresidual }) {
      rmsnormBackward(
        ...[code(h), ...matrix(dx), ...matrix(dout), ...matrix(h), address(weight), address(rstd)],
        ...[...optional(dresidual), h.rows, rstd.cols, weight.cols],
      );
    },
    rope({ x, cos, sin, positions, inverse = false }) {
      const E = cos.cols * 2;
      rope(
        ...[code(x), ...matrix(x), address(cos), address(sin), address(positions)],
        ...[inverse ? 1 : 0, x.rows, x.cols / E, E],
      );
    },
    attentionForward({ out, lse, q, k, v, starts, headDim: E, scale }) {
      attentionForward(
        ...[code(q), ...matrix(out), address(lse), ...matrix(q), ...matrix(k), ...matrix(v), address(starts)],
        ...[scale, q.rows, q.cols / E, k.cols / E, E],
      );
    },
    attentionBackward({ dq, dk, dv, dout, out, lse, q, k, v, starts, headDim: E, scale, workspace }) {
      attentionBackward(
        ...[code(q), ...matrix(dq), ...matrix(dk), ...matrix(dv), ...matrix(dout), ...matrix(out), address(lse)],
        ...[...matrix(q), ...matrix(k), ...matrix(v), address(starts), scale, q.rows, q.cols / E, k.cols / E, E],
        ...[address(workspace), spanBytes(workspace)],
      );
    },
    attentionBackwardWorkspaceBytes({ dtype, N, H, K, E }) {
      return Number(attentionBackwardWorkspace(DTYPE_CODES[dtype], N, H, K, E));
    },
    attentionCached({ out, q, kCache, vCache, ranges, headDim: E, scale }) {
      attentionCached(
        ...[code(q), ...matrix(out), ...matrix(q), ...matrix(kCache), ...matrix(vCache), address(ranges)],
        ...[scale, q.rows, q.cols / E, kCache.cols / E, E],
      );
    },
    swigluForward({ out, gateUp }) {
      swigluForward(code(out), ...matrix(out), ...matrix(gateUp), out.rows, out.cols);
    },
    swigluBackward({ dgateUp, dout, gateUp }) {
      swigluBackward(code(dout), ...matrix(dgateUp), ...matrix(dout), ...matrix(gateUp), dout.rows, dout.cols);
    },
    matmul({ out, a, b, transA = false, transB = false, bias, alpha = 1, accumulate = false }) {
      const K = transA ? a.rows : a.cols;
      matmul(
        ...[code(a), code(out), ...matrix(out), ...matrix(a), transA ? 1 : 0, ...matrix(b), transB ? 1 : 0],
        ...[bias ? address(bias) : 0, alpha, accumulate ? 1 : 0, out.rows, out.cols, K],
      );
    },
    linearCrossEntropy({ losses, argmax, dx, x, w, targets, dscale, workspace }) {
      linearCrossEntropy(
        ...[code(x), address(losses), argmax ? address(argmax) : 0, ...optional(dx), ...matrix(x), ...matrix(w)],
        ...[address(targets), dscale ? address(dscale) : 0, x.rows, x.cols, w.rows],
        ...[address(workspace), spanBytes(workspace)],
      );
    },
    linearCrossEntropyWorkspaceBytes({ dtype, N, D, V }) {
      return Number(linearCrossEntropyWorkspace(DTYPE_CODES[dtype], N, D, V));
    },
    gradnorm({ out, grads }) {
      gradnorm(address(out), address(grads), grads.cols);
    },
    adamw({ params, grads, m, v, gradnorm, hyper }) {
      adamw(
        ...[address(params), address(grads), address(m), address(v), address(gradnorm), address(hyper)],
        params.cols,
      );
    },
    sample({ ids, logprobs, logits, temperature, topP, uniforms }) {
      sample(
        ...[address(ids), address(logprobs), ...matrix(logits), address(temperature), address(topP), address(uniforms)],
        ...[logits.rows, logits.cols],
      );
    },
  };
}
