// The contract between the host and a backend: every op, with its formula, shapes and precision.
//
// A backend is a shared library that exports these symbols (libmsm_cpu.so, libmsm_cuda.so). src/backend/ops.ts is the
// same list as TypeScript sees it, and checks every shape and dtype before it calls: a backend trusts its arguments.
//
// Rules
// - Outputs are given. An op allocates nothing (beyond a context's own scratch, sized when it is opened), returns
//   nothing and does not wait: it appends work to the context's one stream. Ops run in the order of the calls.
// - The first error on the stream is kept, later work is dropped, and msm_sync returns the error with the op's name.
// - Every matrix is rows of `cols` consecutive elements, consecutive rows `stride` ELEMENTS apart (stride >= cols). The
//   rows of a view begin at multiples of 4 bytes (two bf16 share a word): no op may assume more.
// - `dtype` is the type of all activations and weights of the call: MSM_F32 or MSM_BF16.
// - Outputs are overwritten unless the op says "accumulate".
// - The same call on the same inputs gives the same bits on one machine and build: no atomics on sums of floats, fixed
//   order, whatever the number of threads. A row of a result does not depend on the other rows of the call (where the
//   formula does not say so), nor on how many there are: changing one record in a packed batch leaves the losses of the
//   others identical. So it is for every op on the CPU; on CUDA not where cuBLASLt does the product (more than 128 rows
//   and columns): a row then keeps its bits among calls of the same shape.
// - Workspaces are aligned to 64 bytes.
//
// Precision is a bound on the result; how an op keeps it is its own affair. An element is off by at most half a unit in
// its last place (it is rounded to its type once, when stored; bf16 below the smallest normal number may become 0, but
// for msm_convert), and the op's bound times its size on top. Its size is the sum of the absolute terms that it is made
// of. Where an op "rounds" something and dtype is bf16, 2^-8 of the absolute terms with that factor come on top: it may
// be rounded to bf16 before it enters a product. test/ops/cases holds every backend to the bounds.
//
// Legend: N tokens (all rows of a micro-batch, one after the other), D hidden, F intermediate, H query heads, K kv
// heads, E head dim, V vocabulary, R rank.
#pragma once
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

#define MSM_ABI_VERSION 3

typedef struct msm_context msm_context;

enum { MSM_F32 = 0, MSM_BF16 = 1, MSM_F16 = 2, MSM_I32 = 3 };  // f16 only as a source of msm_convert

// ------------------------------------------------------------------------------------------------------------- context

int msm_abi_version(void);

// CPU only: the instruction sets that this processor runs, best first, comma-separated
// ("avx512bf16,avx512,avx2,portable").
const char* msm_cpu_isas(void);

// Opens the device of this index among those that the process sees (CUDA_VISIBLE_DEVICES may hide some; the CPU is one,
// 0). `threads` 0 means: as many as the machine has (CPU only). Returns null and fills `error` (a zero-terminated
// sentence, at most `error_bytes`) when it cannot. Contexts of several devices may be open at once.
msm_context* msm_open(int device, int threads, char* error, int64_t error_bytes);
void msm_close(msm_context* context);

// One JSON object: {"backend","device","isa","threads","memoryBytes"}, and on CUDA
// {"freeBytes","name","driver","cublaslt","multiprocessors"}. Lives as long as the context.
const char* msm_describe(msm_context* context);

// One JSON object: how often the context has called each kernel that an op chooses among, {"attention_forward: wgmma":
// 3}. A replay does not count. Lives until the next call.
const char* msm_kernels(msm_context* context);

// Device memory, 64-byte aligned (256 on CUDA), contents undefined. Returns 0 when there is not enough.
uint64_t msm_alloc(msm_context* context, int64_t bytes);
void msm_free(msm_context* context, uint64_t address);  // waits for the stream

// Host to device, in stream order; `source` may be reused on return.
void msm_write(msm_context* context, uint64_t target, const void* source, int64_t bytes);
// Device to host in stream order, in two halves, so that the host may go on in between: begin appends the copy and
// returns a ticket (0 where the stream has an error); end waits for it, fills `target` and takes the ticket back, on
// any thread. end returns null, or the stream's first error (then `target` is undefined).
uint64_t msm_read_begin(msm_context* context, uint64_t source, int64_t bytes);
const char* msm_read_end(msm_context* context, uint64_t ticket, void* target, int64_t bytes);

// Waits for all work. Returns null, or the first error since the last msm_sync as "op: what"; clears it.
const char* msm_sync(msm_context* context);

// Work that comes again and again. Between begin and end, ops are recorded instead of run: their arguments are kept as
// they are, what memory holds is read at each replay. Nothing but ops may be called meanwhile. begin returns 0, and end
// returns 0 instead of the recording, where it is impossible: the stream's error says why. msm_replay appends the
// recorded ops to the stream, as one CUDA graph where there is one.
int msm_record_begin(msm_context* context);
uint64_t msm_record_end(msm_context* context);
void msm_replay(msm_context* context, uint64_t recording);
void msm_recording_free(msm_context* context, uint64_t recording);  // waits for the stream

// ------------------------------------------------------------------------------------------------------- data movement

// dst[i, j] = scale * src[i, j], converted (round to nearest even). Any of f32, bf16, f16 to f32 or bf16. dst and src
// do not overlap. The product is rounded to f32 first; the result has exactly these bits.
void msm_convert(msm_context*, void* dst, int dst_dtype, int64_t dst_stride, const void* src, int src_dtype,
                 int64_t src_stride, int64_t rows, int64_t cols, float scale);

// dst[index[i], :] = src[i, :]; rows with index < 0 are skipped; the indices >= 0 are distinct. Writes keys and values
// into a cache.
void msm_scatter(msm_context*, int dtype, void* dst, int64_t dst_stride, const void* src, int64_t src_stride,
                 const int32_t* index, int64_t rows, int64_t cols);

// out[i, :] = table[index[i], :]. The token embedding (frozen: no backward), and the last hidden row of each sequence.
void msm_gather(msm_context*, int dtype, void* out, int64_t out_stride, const void* table, int64_t table_stride,
                const int32_t* index, int64_t rows, int64_t cols);

// Fills with a repeated byte (0 to clear).
void msm_fill(msm_context*, void* dst, int value, int64_t bytes);

// -------------------------------------------------------------------------------------------------------------- layers

// h = x + delta (delta null: h = x and nothing is written to h), rounded to dtype;
// rstd[n, g] = 1 / sqrt(mean_d h[n, g, d]^2 + eps);  out[n, g, d] = h * rstd * weight[d].
// A row holds G groups of D consecutive elements (G = 1 for the layer norms, the number of heads for Qwen3's q/k norm).
// h may be x (in place); out is distinct from x, delta and h. weight is [D] in dtype; rstd f32 [N, G].
// Bound: 2e-6, beyond 4,099 elements in proportion to D; h exact. RMSNorm, arXiv 1910.07467.
void msm_rmsnorm_forward(msm_context*, int dtype, void* out, int64_t out_stride, float* rstd, void* h, int64_t h_stride,
                         const void* x, int64_t x_stride, const void* delta, int64_t delta_stride, const void* weight,
                         float eps, int64_t N, int64_t G, int64_t D);

// dx[n, g, d] = dresidual[n, g, d] + rstd * (weight[d] * dout[d] - xhat[d] * mean_d(weight * dout * xhat)),
// xhat = h * rstd. h is what the forward normalised (x + delta). dresidual may be null (0) and may be dx or dout; dx
// may be dout. The weight is frozen. Bound: the forward's.
void msm_rmsnorm_backward(msm_context*, int dtype, void* dx, int64_t dx_stride, const void* dout, int64_t dout_stride,
                          const void* h, int64_t h_stride, const void* weight, const float* rstd, const void* dresidual,
                          int64_t dresidual_stride, int64_t N, int64_t G, int64_t D);

// Rotates each of the G heads of E elements in place, Hugging Face's half-split pairing: for i < E/2, c = cos[p, i],
// s = sin[p, i], p = positions[n]:  x[i], x[i + E/2] = x[i] c - x[i + E/2] s, x[i + E/2] c + x[i] s.
// inverse != 0 rotates back (the backward). cos, sin are f32 [maximal position, E/2].
// Bound: 3e-7 of the pair's length. RoPE, arXiv 2104.09864.
void msm_rope(msm_context*, int dtype, void* x, int64_t x_stride, const float* cos, const float* sin,
              const int32_t* positions, int inverse, int64_t N, int64_t G, int64_t E);

// Causal attention inside segments, grouped-query. Token n belongs to the segment that begins at row starts[n] and
// attends to rows starts[n] .. n. starts is non-decreasing, starts[starts[n]] = starts[n]. Query head h reads kv head
// h / (H / K).
// p = softmax_j(scale * q[n] . k[j]);  out[n, h] = sum_j p[j] v[j];
// lse[h, n] = log sum_j exp(scale * q[n] . k[j]), f32 [H, N].
// q, out: [N, H * E]; k, v: [N, K * E]. Never stores an N x N matrix.
// Bound: 3e-6 * max(1, P), P the scores' root mean square, because the exponential makes a score's absolute error p's
// relative one; lse 1e-6 of |lse| + P sqrt(E). Rounds p. FlashAttention-2, arXiv 2307.08691.
void msm_attention_forward(msm_context*, int dtype, void* out, int64_t out_stride, float* lse, const void* q,
                           int64_t q_stride, const void* k, int64_t k_stride, const void* v, int64_t v_stride,
                           const int32_t* starts, float scale, int64_t N, int64_t H, int64_t K, int64_t E);

// dv[j] = sum_n p dout[n];  ds = p * (dout[n] . v[j] - dout[n] . out[n]);
// dq[n] = scale * sum_j ds k[j];  dk[j] = scale * sum_n ds q[n].
// workspace: at least msm_attention_backward_workspace bytes, contents undefined before and after.
// Bound: the forward's. Rounds p and ds.
void msm_attention_backward(msm_context*, int dtype, void* dq, int64_t dq_stride, void* dk, int64_t dk_stride, void* dv,
                            int64_t dv_stride, const void* dout, int64_t dout_stride, const void* out,
                            int64_t out_stride, const float* lse, const void* q, int64_t q_stride, const void* k,
                            int64_t k_stride, const void* v, int64_t v_stride, const int32_t* starts, float scale,
                            int64_t N, int64_t H, int64_t K, int64_t E, void* workspace, int64_t workspace_bytes);
int64_t msm_attention_backward_workspace(int dtype, int64_t N, int64_t H, int64_t K, int64_t E);

// Attention over a KV cache, prefill and decode. k_cache, v_cache: [cache rows, K * E]. Query row n attends to two
// ranges of cache rows, ranges[n] = {a, a_end, b, b_end} (a shared prefix, and the sequence's own rows up to and
// including its own; either may be empty, not both). Query rows of one sequence are consecutive, share a, a_end and b,
// and b_end grows by one a row. A row that is the only one of its sequence in the call and has more than 1,024 keys may
// have them summed in parts (decoding long contexts on many threads): its bits then differ from the same row's in a
// prefill, but still do not depend on the other sequences. Bound: 3e-6. Rounds p.
void msm_attention_cached(msm_context*, int dtype, void* out, int64_t out_stride, const void* q, int64_t q_stride,
                          const void* k_cache, int64_t k_stride, const void* v_cache, int64_t v_stride,
                          const int32_t* ranges, float scale, int64_t N, int64_t H, int64_t K, int64_t E);

// out[n, f] = silu(gate_up[n, f]) * gate_up[n, F + f], silu(x) = x / (1 + exp(-x)). gate_up: [N, 2F].
// Bound: 1e-6. SwiGLU, arXiv 2002.05202.
void msm_swiglu_forward(msm_context*, int dtype, void* out, int64_t out_stride, const void* gate_up,
                        int64_t gate_up_stride, int64_t N, int64_t F);
// dgate_up from dout [N, F] and the forward's gate_up; dgate_up may be gate_up (in place). Bound: 1e-6.
void msm_swiglu_backward(msm_context*, int dtype, void* dgate_up, int64_t dgate_up_stride, const void* dout,
                         int64_t dout_stride, const void* gate_up, int64_t gate_up_stride, int64_t N, int64_t F);

// ----------------------------------------------------------------------------------------------------- matrix products

// out[m, n] = alpha * sum_k a'[m, k] b'[k, n] + bias[n] + beta * out[m, n]
// a' = a [M, K], or its transpose (a stored [K, M]) with trans_a; b' = b [K, N], or its transpose (b stored [N, K], as
// weights are) with trans_b; not both. a and b have dtype, out has out_dtype (f32 or dtype). bias (dtype, [N]) may be
// null; beta is 0 (out is not read) or 1 (accumulate).
// Bound: 1e-6 of |a'[m, :]| |b'[:, n]| (lengths of vectors), whatever K. Operands are read exactly.
void msm_matmul(msm_context*, int dtype, int out_dtype, void* out, int64_t out_stride, const void* a, int64_t a_stride,
                int trans_a, const void* b, int64_t b_stride, int trans_b, const void* bias, float alpha, float beta,
                int64_t M, int64_t N, int64_t K);

// The language-model head and its loss, in chunks: logits[n] = x[n] . w^T (w: [V, D]), never stored whole.
// For rows with targets[n] >= 0: losses[n] = log sum_v exp(logits[n, v]) - logits[n, targets[n]];
//   dx[n, :] = dscale[0] * sum_v (softmax(logits[n])[v] - [v == targets[n]]) w[v, :].
// Rows with targets[n] < 0: losses[n] = 0, dx[n, :] = 0 (an implementation may skip their logits). A row whose loss is
// not finite has dx NaN, so that gradnorm shows it and adamw leaves the parameters alone.
// losses f32 [N]; dx may be null: forward only (log-probabilities of given tokens are -losses). dscale: one f32 in
// device memory, 1 / (target tokens of the optimiser step). argmax (i32 [N], may be null) receives the largest logit's
// index, lowest on a tie, -1 in rows without a target.
// Bound: losses 1e-6 of 1 + |log sum exp| + L, dx 2e-6 * (1 + L / 10), L = |x[n]| times the longest row of w. Rounds
// the gradient of the logits, but not the target's: a confident token's p - 1 keeps its digits.
void msm_linear_cross_entropy(msm_context*, int dtype, float* losses, int32_t* argmax, void* dx, int64_t dx_stride,
                              const void* x, int64_t x_stride, const void* w, int64_t w_stride, const int32_t* targets,
                              const float* dscale, int64_t N, int64_t D, int64_t V, void* workspace,
                              int64_t workspace_bytes);
int64_t msm_linear_cross_entropy_workspace(int dtype, int64_t N, int64_t D, int64_t V);

// ----------------------------------------------------------------------------------------------------------- optimiser

// out[0] = sqrt(sum_i grads[i]^2), f32; inf or nan where any gradient is. Bound: 1e-7, also where the sum of the
// squares leaves f32.
void msm_gradnorm(msm_context*, float* out, const float* grads, int64_t count);

// AdamW with decoupled weight decay and gradient clipping over one flat f32 buffer (arXiv 1711.05101, as
// torch.optim.AdamW). hyper (f32, device):
// {lr, 1 - beta1^t, 1 - beta2^t, beta1, beta2, eps, weight_decay, clip_norm (0: no clipping)}.
// g = grads * min(1, clip_norm / (gradnorm[0] + 1e-6)) (torch.nn.utils.clip_grad_norm_);  p *= 1 - lr * weight_decay;
// m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2;
// p -= lr / (1 - beta1^t) * m / (sqrt(v / (1 - beta2^t)) + eps).
// Where gradnorm[0] is not finite nothing is changed. Bound: 5e-7.
void msm_adamw(msm_context*, float* params, const float* grads, float* m, float* v, const float* gradnorm,
               const float* hyper, int64_t count);

// ------------------------------------------------------------------------------------------------------------ sampling

// Picks ids[b] from logits [B, V] (f32). temperature[b] 0: the largest logit (lowest index on a tie). Otherwise the
// distribution is softmax(logits / temperature) cut to the smallest set of most likely tokens (at least one) whose
// probability reaches top_p[b], and ids[b] is the token at which the cumulative sum (most likely first, ties by index)
// passes uniforms[b] in [0, 1) times the kept mass.
// logprobs[b] = log softmax(logits[b])[ids[b]], temperature 1 and uncut.
// Bound: cumulative sums 3e-6, so that a neighbour may be picked only where a boundary lies as near; logprobs 2e-6 of
// 1 + the largest |logit|.
void msm_sample(msm_context*, int32_t* ids, float* logprobs, const float* logits, int64_t logits_stride,
                const float* temperature, const float* top_p, const float* uniforms, int64_t B, int64_t V);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
