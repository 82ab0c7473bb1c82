// Attention backward: three kernels, no atomics. First delta[h, n] = dout . out; then dK and dV by tiles of keys
// (attention_dkdv.cuh) and dQ by tiles of queries (attention_dq.cuh), each of which computes p = 2^(scale2 * score -
// lse2) and dp = dout . v again: 14 * pairs * E flops instead of the 10 that a single pass needs. A single pass has to
// add up dQ in f32 in memory across blocks, in order if it is to be deterministic; here every sum stays in registers.
// Limit: 14 * pairs * E flops on the tensor cores.
// defines: msm_attention_backward, msm_attention_backward_workspace
#include "attention_dkdv.cuh"
#include "attention_dq.cuh"
#include "hopper_attention.h"

namespace msm {
namespace {

// Eight lanes take one row of one head; those of head 0 also note where segments end.
constexpr int DELTA_THREADS = 256, DELTA_LANES = 8;

template <class T>
__global__ void __launch_bounds__(DELTA_THREADS) attention_delta_kernel(const Backward<T> args) {
  const int64_t at = (static_cast<int64_t>(blockIdx.x) * DELTA_THREADS + threadIdx.x) / DELTA_LANES;
  const int lane = static_cast<int>(threadIdx.x % DELTA_LANES);
  const bool inside = at < static_cast<int64_t>(args.N) * args.H;
  const int row = inside ? static_cast<int>(at / args.H) : 0, head = inside ? static_cast<int>(at % args.H) : 0;
  const T *const dout = args.dout.row(row, head * args.E), *const out = args.out.row(row, head * args.E);
  float sum = 0;
  for (int e = lane * VEC<T>; e < args.E; e += DELTA_LANES * VEC<T>) {
    const Packed a = args.aligned ? load_vector<true>(dout + e, args.E - e) : load_vector<false>(dout + e, args.E - e);
    const Packed b = args.aligned ? load_vector<true>(out + e, args.E - e) : load_vector<false>(out + e, args.E - e);
    float x[VEC<T>], y[VEC<T>];
    unpack(x, a);
    unpack(y, b);
#pragma unroll
    for (int i = 0; i < VEC<T>; i++) sum = __fmaf_rn(x[i], y[i], sum);
  }
#pragma unroll
  for (int offset = DELTA_LANES / 2; offset > 0; offset /= 2) sum += __shfl_xor_sync(ALL_LANES, sum, offset);
  if (!inside || lane != 0) return;
  args.delta[static_cast<int64_t>(head) * args.N + row] = sum;
  if (head == 0 && (row + 1 == args.N || args.starts[row + 1] == row + 1)) args.ends[args.starts[row]] = row + 1;
}

constexpr int64_t ALIGNMENT = 64;

int64_t delta_bytes(int64_t N, int64_t H) {
  return ceil_div(H * N * static_cast<int64_t>(sizeof(float)), ALIGNMENT) * ALIGNMENT;
}

template <class T>
void backward(msm_context* context, Backward<T> args, int64_t K, void* workspace) {
  args.delta = static_cast<float*>(workspace);
  args.ends = reinterpret_cast<int32_t*>(static_cast<unsigned char*>(workspace) + delta_bytes(args.N, args.H));
  args.aligned = whole_chunks<T>(args.E, args.dq, args.dk, args.dv, args.dout, args.out, args.q, args.k, args.v);
  for_width<T>(context, "attention_backward", args.E, [&](auto width) {
    using Keys = KeyTile<T, width.value>;
    using Queries = GradientTile<T, width.value>;
    const auto blocks = [](int64_t count, int64_t each) { return static_cast<unsigned>(ceil_div(count, each)); };
    launch(context, "attention_backward", attention_delta_kernel<T>,
           blocks(static_cast<int64_t>(args.N) * args.H * DELTA_LANES, DELTA_THREADS), DELTA_THREADS, 0, args);
    launch(context, "attention_backward", attention_dkdv_kernel<T, width.value>,
           dim3(static_cast<unsigned>(K * Keys::HALVES), blocks(args.N, Keys::ROWS)), Keys::THREADS, Keys::SHARED_BYTES,
           args);
    launch(context, "attention_backward", attention_dq_kernel<T, width.value>,
           dim3(static_cast<unsigned>(args.group), static_cast<unsigned>(K), blocks(args.N, Queries::ROWS)),
           Queries::THREADS, Queries::SHARED_BYTES, args);
  });
}

}  // namespace
}  // namespace msm

int64_t msm_attention_backward_workspace(int, int64_t N, int64_t H, int64_t, int64_t) {
  const int64_t own = msm::delta_bytes(N, H) + N * static_cast<int64_t>(sizeof(int32_t)),
                hopper = msm::hopper_attention_backward_workspace(N, H);
  return own > hopper ? own : hopper;
}

void msm_attention_backward(msm_context* context, int dtype, void* dq, int64_t dq_stride, void* dk, int64_t dk_stride,
                            void* dv, int64_t dv_stride, const void* dout, int64_t dout_stride, const void* out,
                            int64_t out_stride, const float* lse, const void* q, int64_t q_stride, const void* k,
                            int64_t k_stride, const void* v, int64_t v_stride, const int32_t* starts, float scale,
                            int64_t N, int64_t H, int64_t K, int64_t E, void* workspace, int64_t workspace_bytes) {
  using namespace msm;
  if (hopper_attention_backward(context, dtype, dq, dq_stride, dk, dk_stride, dv, dv_stride, dout, dout_stride, out,
                                out_stride, lse, q, q_stride, k, k_stride, v, v_stride, starts, scale, N, H, K, E,
                                workspace, workspace_bytes))
    return count_call(context, "attention_backward", "wgmma");
  count_call(context, "attention_backward", "every GPU");
  const auto run = [&](auto zero) {
    using T = decltype(zero);
    Backward<T> args{};
    args.dq = {static_cast<T*>(dq), dq_stride};
    args.dk = {static_cast<T*>(dk), dk_stride};
    args.dv = {static_cast<T*>(dv), dv_stride};
    args.dout = {static_cast<const T*>(dout), dout_stride};
    args.out = {static_cast<const T*>(out), out_stride};
    args.q = {static_cast<const T*>(q), q_stride};
    args.k = {static_cast<const T*>(k), k_stride};
    args.v = {static_cast<const T*>(v), v_stride};
    args.lse = lse;
    args.starts = starts;
    args.scale = scale;
    args.N = static_cast<int>(N);
    args.H = static_cast<int>(H);
    args.group = static_cast<int>(H / K);
    args.E = static_cast<int>(E);
    backward(context, args, K, workspace);
  };
  if (dtype == MSM_F32) run(float());
  else run(bf16());
}
