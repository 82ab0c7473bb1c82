/**
 * @file The ops as TypeScript sees them: one function for each op of kernels/ops.h, which holds formulas, precision and
 * rules. Outputs come first and are given; nothing is returned; work is appended to the backend's one stream.
 *
 * Legend: N tokens, D hidden, F intermediate, H query heads, K kv heads, E head dim, V vocabulary, R rank.
 */
import type { Tensor } from "./tensor.js";

export interface Ops {
  /** dst = scale * src, converted. Same shape; dst f32 or bf16, src f32, bf16 or f16. */
  convert(args: { dst: Tensor; src: Tensor; scale?: number }): void;
  /** dst[index[i]] = src[i] for index[i] >= 0. index: i32 [1, rows of src]. */
  scatter(args: { dst: Tensor; src: Tensor; index: Tensor }): void;
  /** out[i] = table[index[i]]. index: i32 [1, rows of out]. */
  gather(args: { out: Tensor; table: Tensor; index: Tensor }): void;
  /** Every byte of the tensor's memory becomes 0; only for tensors without gaps. */
  clear(tensor: Tensor): void;

  /** h = x + delta; out = h * rstd * weight. x, out, h: [N, groups * D]; weight [1, D]; rstd f32 [N, groups]. */
  rmsnormForward(args: {
    out: Tensor;
    rstd: Tensor;
    x: Tensor;
    residual?: { h: Tensor; delta: Tensor };
    weight: Tensor;
    eps: number;
  }): void;
  /** dx = dresidual + d rmsnorm. h is what the forward normalised. */
  rmsnormBackward(args: {
    dx: Tensor;
    dout: Tensor;
    h: Tensor;
    weight: Tensor;
    rstd: Tensor;
    dresidual?: Tensor;
  }): void;
  /**
   * Rotates the heads of x [N, heads * E] in place; `inverse` is its backward. cos, sin f32 [positions, E / 2];
   * positions i32 [1, N].
   */
  rope(args: { x: Tensor; cos: Tensor; sin: Tensor; positions: Tensor; inverse?: boolean }): void;

  /** Causal attention inside segments. q, out [N, H * E]; k, v [N, K * E]; lse f32 [H, N]; starts i32 [1, N]. */
  attentionForward(args: {
    out: Tensor;
    lse: Tensor;
    q: Tensor;
    k: Tensor;
    v: Tensor;
    starts: Tensor;
    headDim: number;
    scale: number;
  }): void;
  attentionBackward(args: {
    dq: Tensor;
    dk: Tensor;
    dv: Tensor;
    dout: Tensor;
    out: Tensor;
    lse: Tensor;
    q: Tensor;
    k: Tensor;
    v: Tensor;
    starts: Tensor;
    headDim: number;
    scale: number;
    workspace: Tensor;
  }): void;
  attentionBackwardWorkspaceBytes(shape: {
    dtype: Tensor["dtype"];
    N: number;
    H: number;
    K: number;
    E: number;
  }): number;
  /** Attention of q [N, H * E] over cache rows; ranges i32 [N, 4] = prefix start, prefix end, own start, own end. */
  attentionCached(args: {
    out: Tensor;
    q: Tensor;
    kCache: Tensor;
    vCache: Tensor;
    ranges: Tensor;
    headDim: number;
    scale: number;
  }): void;

  /** out [N, F] = silu(gateUp[:, :F]) * gateUp[:, F:]. */
  swigluForward(args: { out: Tensor; gateUp: Tensor }): void;
  /** dgateUp may be gateUp. */
  swigluBackward(args: { dgateUp: Tensor; dout: Tensor; gateUp: Tensor }): void;

  /**
   * out [M, N] = alpha * a' b' + bias + (accumulate ? out : 0). a' is a [M, K] or, with transA, the transpose of a [K,
   * M]; b' is b [K, N] or, with transB, the transpose of b [N, K]. out is f32 or has the dtype of a and b.
   */
  matmul(args: {
    out: Tensor;
    a: Tensor;
    b: Tensor;
    transA?: boolean;
    transB?: boolean;
    bias?: Tensor;
    alpha?: number;
    accumulate?: boolean;
  }): void;

  /**
   * Language-model head and loss. x [N, D], w [V, D], targets i32 [1, N], losses f32 [1, N], dscale f32 [1, 1]; dx
   * absent: forward only.
   */
  linearCrossEntropy(args: {
    losses: Tensor;
    argmax?: Tensor;
    dx?: Tensor;
    x: Tensor;
    w: Tensor;
    targets: Tensor;
    dscale?: Tensor;
    workspace: Tensor;
  }): void;
  linearCrossEntropyWorkspaceBytes(shape: { dtype: Tensor["dtype"]; N: number; D: number; V: number }): number;

  /** out f32 [1, 1] = l2 norm of grads f32 [1, n]. */
  gradnorm(args: { out: Tensor; grads: Tensor }): void;
  /** One AdamW step over flat f32 buffers. hyper f32 [1, 8]: see kernels/ops.h. */
  adamw(args: { params: Tensor; grads: Tensor; m: Tensor; v: Tensor; gradnorm: Tensor; hyper: Tensor }): void;

  /**
   * ids i32 [1, B] and their log-probabilities f32 [1, B] from logits f32 [B, V]; temperature, topP, uniforms f32 [1,
   * B].
   */
  sample(args: {
    ids: Tensor;
    logprobs: Tensor;
    logits: Tensor;
    temperature: Tensor;
    topP: Tensor;
    uniforms: Tensor;
  }): void;
}
