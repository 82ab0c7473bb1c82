// defines: msm_linear_cross_entropy, msm_linear_cross_entropy_workspace
//
// Rows pass in chunks whose logits, f32 [rows, V], fit in LOGITS_BYTES: enough rows for products at full rate, and the
// whole vocabulary, so that the softmax needs no second look at earlier columns. For each chunk
//   logits = x w^T                                    one product
//   a block a row: loss and argmax in one pass; a second one overwrites the logits by their gradient, rounded to dtype
//   partial[i] = dlogits[:, part i] w[part i, :]      a batch of PARTS products: K = V has enough work for every
//   multiprocessor only if it is split
//   dx = dscale * sum_i partial[i], rounded once
// A row's bits depend on D and V alone, as far as those of the products do. Rows without a target are multiplied too
// (which rows those are is on the device), and left out of everything else.
#include <limits.h>

#include "product.h"
#include "ptx.cuh"

namespace msm {
namespace {

#ifdef MSM_EMULATED
constexpr int64_t LOGITS_BYTES = 1ll << 20;  // tests have several chunks
#else
constexpr int64_t LOGITS_BYTES = 320ll << 20;  // 512 rows of 152k columns
#endif
constexpr int64_t PARTS = 8, MIN_PART = 64;
constexpr int THREADS = 512;
constexpr float LOG2E = 1.44269504f;

int64_t round_up(int64_t x, int64_t step) { return ceil_div(x, step) * step; }

// How a call is cut, and where its workspace's parts lie.
struct Chunks {
  int64_t rows;           // of a chunk: a power of two, or N
  int64_t logits_stride;  // floats
  int64_t dx_stride;      // floats, of partial
  int64_t parts, depth;   // columns of V: parts * depth, and what is left
  int64_t logits_bytes, bytes;

  Chunks(int64_t N, int64_t D, int64_t V) {
    logits_stride = round_up(V, 64);
    dx_stride = round_up(D, 4);
    rows = 1;
    while (rows < N && 2 * rows * logits_stride * 4 <= LOGITS_BYTES) rows *= 2;
    if (rows > N) rows = N;
    parts = V >= PARTS * MIN_PART ? PARTS : 1;
    depth = V / parts / 8 * 8;  // the parts of w and of dlogits begin at multiples of 16 bytes
    if (parts == 1) depth = V;
    logits_bytes = round_up(rows * logits_stride * 4, 256);
    bytes = logits_bytes + parts * rows * dx_stride * 4;
  }
};

struct Best {
  float value;
  int index;
};

// The larger one, at a tie the one of the lower index.
__device__ __forceinline__ Best better(Best a, Best b) {
  return b.value > a.value || (b.value == a.value && b.index < a.index) ? b : a;
}

// Of all threads of the block; every thread receives it.
__device__ __forceinline__ Best block_best(Best own) {
#pragma unroll
  for (int offset = WARP / 2; offset > 0; offset /= 2)
    own = better(own, {__shfl_xor_sync(ALL_LANES, own.value, offset), __shfl_xor_sync(ALL_LANES, own.index, offset)});
  __shared__ Best warps[THREADS / WARP];
  if (threadIdx.x % WARP == 0) warps[threadIdx.x / WARP] = own;
  __syncthreads();
  own = warps[0];
#pragma unroll
  for (int i = 1; i < THREADS / WARP; i++) own = better(own, warps[i]);
  return own;
}

// e^(x - top), 0 for x = -inf whatever top is.
__device__ __forceinline__ float exp_below(float x, float top) {
  return exp2_approx((x - (top > -INFINITY ? top : 0.0f)) * LOG2E);
}

using Four = Vec<float, 4>;

// One block a row. logits f32 [rows, V] become d loss / d logits, of T, at the same place (stride * 4 bytes a row);
// only read where `gradient` is false.
template <class T>
__global__ void __launch_bounds__(THREADS, 3)
    softmax_rows_kernel(float* losses, int32_t* argmax, float* logits, int64_t stride, const int32_t* targets, int V,
                        bool gradient) {
  const int64_t row = blockIdx.x;
  const int target = targets[row], thread = static_cast<int>(threadIdx.x);
  if (target < 0) {
    if (thread == 0) {
      losses[row] = 0;
      if (argmax) argmax[row] = -1;
    }
    return;
  }
  float* const own = logits + row * stride;
  const Four* const fours = reinterpret_cast<const Four*>(own);
  const int count = (V + 3) / 4;

  // From the end, so that the second pass begins with what is still in the cache. A thread's sum is relative to its
  // largest logit so far, and leaves out the target: so the gradient of a confident token, -(1 - p), is exact.
  Best best = {-INFINITY, INT_MAX};
  float sum = 0;
  for (int i = count - 1 - thread; i >= 0; i -= THREADS) {
    Four four = fours[i];
#pragma unroll
    for (int e = 0; e < 4; e++)
      if (i * 4 + e >= V) four.at[e] = -INFINITY;
    const float before = best.value;
#pragma unroll
    for (int e = 3; e >= 0; e--)
      if (four.at[e] >= best.value) best = {four.at[e], i * 4 + e};
    if (best.value > before) sum *= exp_below(before, best.value);
#pragma unroll
    for (int e = 0; e < 4; e++) sum += i * 4 + e == target ? 0.0f : exp_below(four.at[e], best.value);
  }
  const float target_logit = own[target];
  const Best row_best = block_best(best);
  const float top = row_best.value;
  const float others = block_sum<THREADS>(sum * exp_below(best.value, top));
  const float total = others + exp_below(target_logit, top);
  if (thread == 0) {
    const float above = top - target_logit;
    losses[row] = above == 0 ? log1pf(others) : above + logf(total);
    if (argmax) argmax[row] = row_best.index < V ? row_best.index : 0;  // all are NaN
  }
  if (!gradient) return;

  // Every 8 logits become 8 gradients at or before their place: all threads read before any writes. block_sum's barrier
  // has passed the reading above.
  constexpr int EACH = 8;
  const float scale = 1 / total;
  for (int begin = 0; begin < V; begin += THREADS * EACH) {
    const int first = begin + thread * EACH;
    Vec<T, EACH> out;
    if (first < V) {
      const Four halves[2] = {fours[first / 4], fours[first / 4 + 1]};
#pragma unroll
      for (int e = 0; e < EACH; e++) {
        const float p = exp_below(halves[e / 4].at[e % 4], top) * scale;
        out.at[e] = from_float<T>(first + e == target ? -others * scale : p);
      }
    }
    __syncthreads();
    if (first < V) {
      using Sixteen = Vec<T, VEC<T>>;
#pragma unroll
      for (int part = 0; part < EACH / VEC<T>; part++)
        reinterpret_cast<Sixteen*>(reinterpret_cast<T*>(own) + first)[part] =
            *reinterpret_cast<const Sixteen*>(&out.at[part * VEC<T>]);
    }
  }
}

// dx = dscale * the sum of `parts` partial sums in order; 0 without a target, NaN where the loss is not finite. A block
// a row.
template <class T>
__global__ void __launch_bounds__(256)
    add_parts_kernel(T* dx, int64_t dx_stride, const float* partial, int64_t partial_stride, int64_t rows, int parts,
                     const float* losses, const int32_t* targets, const float* dscale, int64_t D) {
  const int64_t row = blockIdx.x;
  const bool is_target = targets[row] >= 0, is_finite = fabsf(losses[row]) < INFINITY;
  const float scale = is_finite ? dscale[0] : NAN;
  for (int64_t d = threadIdx.x; d < D; d += 256) {
    float sum = 0;
    for (int part = 0; is_target && part < parts; part++) sum += partial[(part * rows + row) * partial_stride + d];
    dx[row * dx_stride + d] = from_float<T>(is_target ? scale * sum : 0.0f);
  }
}

struct Arguments {
  int dtype;
  float* losses;
  int32_t* argmax;
  void* dx;
  int64_t dx_stride;
  const void* x;
  int64_t x_stride;
  const void* w;
  int64_t w_stride;
  const int32_t* targets;
  const float* dscale;
  int64_t D, V;
  void* workspace;
};

constexpr char OP[] = "linear_cross_entropy";

// The rows first ... first + rows of a call.
template <class T>
void chunk(msm_context* context, const Arguments& p, const Chunks& cut, int64_t first, int64_t rows) {
  float* const logits = static_cast<float*>(p.workspace);
  float* const partial = reinterpret_cast<float*>(static_cast<char*>(p.workspace) + cut.logits_bytes);
  const T *const x = static_cast<const T*>(p.x) + first * p.x_stride, *const w = static_cast<const T*>(p.w);
  Product scores{};
  scores.dtype = p.dtype;
  scores.out_dtype = MSM_F32;
  scores.out = logits;
  scores.out_stride = cut.logits_stride;
  scores.a = x;
  scores.a_stride = p.x_stride;
  scores.b = w;
  scores.b_stride = p.w_stride;
  scores.trans_b = true;
  scores.alpha = 1;
  scores.M = rows;
  scores.N = p.V;
  scores.K = p.D;
  multiply(context, OP, scores);
  const unsigned blocks = static_cast<unsigned>(rows);
  launch(context, OP, softmax_rows_kernel<T>, blocks, THREADS, 0, p.losses + first,
         p.argmax ? p.argmax + first : nullptr, logits, cut.logits_stride, p.targets + first, p.V, p.dx != nullptr);
  if (!p.dx) return;
  const T* const dlogits = reinterpret_cast<const T*>(logits);
  const int64_t stride = cut.logits_stride * static_cast<int64_t>(sizeof(float) / sizeof(T)),
                part = cut.parts * cut.depth;
  Product parts{};
  parts.dtype = p.dtype;
  parts.out_dtype = MSM_F32;
  parts.out = partial;
  parts.out_stride = cut.dx_stride;
  parts.a = dlogits;
  parts.a_stride = stride;
  parts.b = w;
  parts.b_stride = p.w_stride;
  parts.alpha = 1;
  parts.M = rows;
  parts.N = p.D;
  parts.K = cut.depth;
  parts.batch = cut.parts;
  parts.out_batch = rows * cut.dx_stride;
  parts.a_batch = cut.depth;
  parts.b_batch = cut.depth * p.w_stride;
  multiply(context, OP, parts);
  if (part < p.V) {
    Product rest = parts;
    rest.a = dlogits + part;
    rest.b = w + part * p.w_stride;
    rest.beta = 1;
    rest.K = p.V - part;
    rest.batch = 1;
    rest.out_batch = rest.a_batch = rest.b_batch = 0;
    multiply(context, OP, rest);
  }
  launch(context, OP, add_parts_kernel<T>, blocks, 256, 0, static_cast<T*>(p.dx) + first * p.dx_stride, p.dx_stride,
         partial, cut.dx_stride, rows, cut.parts, p.losses + first, p.targets + first, p.dscale, p.D);
}

}  // namespace
}  // namespace msm

void msm_linear_cross_entropy(msm_context* context, int dtype, float* losses, int32_t* argmax, void* dx,
                              int64_t dx_stride, const void* x, int64_t x_stride, const void* w, int64_t w_stride,
                              const int32_t* targets, const float* dscale, int64_t N, int64_t D, int64_t V,
                              void* workspace, int64_t workspace_bytes) {
  using namespace msm;
  const Chunks cut(N, D, V);
  if (workspace_bytes < cut.bytes) return fail(context, OP, "the workspace is too small");
  Arguments arguments{};
  arguments.dtype = dtype;
  arguments.losses = losses;
  arguments.argmax = argmax;
  arguments.dx = dx;
  arguments.dx_stride = dx_stride;
  arguments.x = x;
  arguments.x_stride = x_stride;
  arguments.w = w;
  arguments.w_stride = w_stride;
  arguments.targets = targets;
  arguments.dscale = dscale;
  arguments.D = D;
  arguments.V = V;
  arguments.workspace = workspace;
  for (int64_t first = 0; first < N; first += cut.rows)
    (dtype == MSM_F32 ? chunk<float> : chunk<bf16>)(context, arguments, cut, first,
                                                    N - first < cut.rows ? N - first : cut.rows);
}

int64_t msm_linear_cross_entropy_workspace(int, int64_t N, int64_t D, int64_t V) { return msm::Chunks(N, D, V).bytes; }
