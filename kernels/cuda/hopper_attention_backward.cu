// Attention backward for Hopper (sm_90a): dout . out of every row (prepare), then dk and dv, then dq, each with sums in
// registers in a fixed order.
//
// The alternative is one kernel of five products instead of two of four and three, which adds its parts of dq to an f32
// buffer, key tile after key tile in a fixed order. It would save 2 / 7 of the products; but for the 10 * 128^2 * E
// flops of a pair of tiles it moves 128 * E * 4 bytes of sums to the L2 cache and waits for its predecessors, and it
// needs H * N * E * 4 bytes of memory (268 MB at 16,384 tokens and 4,096 columns), cleared before and converted after.
// FlashAttention-3's kernel of that kind, which adds in any order, is published at about 440 TFLOP/s (H100, heads of
// 128, causal, 4k); two kernels equal that where they do their own products at 620, as published forward kernels do.
// Limit: 14 * pairs * E flops, of which 10 count.
// defines: hopper_attention_backward, hopper_attention_backward_workspace
#include "hopper_attention.h"
#include "hopper_attention_dkdv.cuh"
#include "hopper_attention_dq.cuh"
#include "hopper_tensor_map.h"

namespace msm {
namespace hopper {
namespace {

constexpr int TILE_ROWS = 128;  // of either kernel

// A copy of 66 rows begins at an even row (see Keys).
constexpr int64_t terms_stride(int64_t N) { return (N + 67) / 2 * 2; }

// Blocks 0 and 1 list the tiles, by keys and by queries; in the others a warp takes a row. A segment of one token: p is
// 1, whatever q and k are.
template <int E>
__global__ void __launch_bounds__(LIST_THREADS, 1)
    prepare(const TileList by_keys, const TileList by_queries, const Backward op, RowTerms* terms, const bf16* dout,
            int64_t dout_stride, const bf16* out, int64_t out_stride, const float* lse, const int32_t* starts) {
  if (blockIdx.x < 2) {
    const TileList list = blockIdx.x == 0 ? by_keys : by_queries;
    return list_tiles<TILE_ROWS>(list, starts, op.N, blockIdx.x == 0 ? Order::KEYS : Order::QUERIES);
  }
  const int64_t row = (static_cast<int>(blockIdx.x) - 2) * (LIST_THREADS / WARP) + static_cast<int>(threadIdx.x) / WARP;
  if (row >= op.N) return;
  // E / 8 lanes a head, 16 bytes each.
  using Part = Vec<bf16, 8>;
  constexpr int LANES = E / 8, HEADS = WARP / LANES;
  const int lane = static_cast<int>(threadIdx.x) % LANES, slot = static_cast<int>(threadIdx.x) % WARP / LANES;
  const auto part = [&](auto* matrix, int64_t stride, int head) -> auto& {
    using Pointer = std::conditional_t<std::is_const_v<std::remove_pointer_t<decltype(matrix)>>, const Part*, Part*>;
    return *reinterpret_cast<Pointer>(matrix + row * stride + head * E + lane * 8);
  };
#pragma unroll 4
  for (int first = 0; first < op.H; first += HEADS) {
    const int head = min(first + slot, op.H - 1);
    const Part a = part(dout, dout_stride, head), b = part(out, out_stride, head);
    float sum = 0;
#pragma unroll
    for (int e = 0; e < 8; e++) sum += to_float(a.at[e]) * to_float(b.at[e]);
#pragma unroll
    for (int distance = LANES / 2; distance > 0; distance /= 2) sum += __shfl_xor_sync(ALL_LANES, sum, distance);
    if (lane == 0)
      terms[head * op.terms_stride + row] = make_float2(lse[static_cast<int64_t>(head) * op.N + row] * LOG2E, sum);
  }
  if (!is_single(starts, static_cast<int>(row), op.N)) return;
  const int group = op.H / op.K;
  for (int head = slot; head < op.H; head += HEADS) part(op.dq, op.dq_stride, head) = Part{};
  for (int kv = slot; kv < op.K; kv += HEADS) {
    float sums[8] = {};
    for (int head = kv * group; head < (kv + 1) * group; head++) {
      const Part a = part(dout, dout_stride, head);
#pragma unroll
      for (int e = 0; e < 8; e++) sums[e] += to_float(a.at[e]);
    }
    Part result;
#pragma unroll
    for (int e = 0; e < 8; e++) result.at[e] = from_float<bf16>(sums[e]);
    part(op.dv, op.dv_stride, kv) = result;
    part(op.dk, op.dk_stride, kv) = Part{};
  }
}

struct Operands {
  const bf16 *dout, *out, *q, *k, *v;
  int64_t dout_stride, out_stride, q_stride, k_stride, v_stride;
  const float* lse;
  const int32_t* starts;
};

template <int E>
bool run(msm_context* context, const Backward& op, RowTerms* terms, const Operands& in) {
  using ForKeys = Keys<E>;
  using ForQueries = Queries<E>;
  static_assert(ForKeys::KEYS == TILE_ROWS && ForQueries::ROWS == TILE_ROWS, "the lists' tiles");
  const auto map = [&](const bf16* matrix, int64_t stride, int64_t heads, int rows, CUtensorMap& to) {
    return tensor_map(to, matrix, stride, op.N, heads * E, rows);
  };
  // Boxes of each kernel's tiles; those of keys are the same.
  CUtensorMap k, v, q_keys, dout_keys, q_queries, dout_queries;
  static_assert(ForKeys::KEYS == ForQueries::KEYS, "the same boxes");
  if (!map(in.k, in.k_stride, op.K, ForKeys::KEYS, k) || !map(in.v, in.v_stride, op.K, ForKeys::KEYS, v) ||
      !map(in.q, in.q_stride, op.H, ForKeys::ROWS, q_keys) ||
      !map(in.dout, in.dout_stride, op.H, ForKeys::ROWS, dout_keys) ||
      !map(in.q, in.q_stride, op.H, ForQueries::ROWS, q_queries) ||
      !map(in.dout, in.dout_stride, op.H, ForQueries::ROWS, dout_queries))
    return false;
  const char* const name = "attention_backward";
  const TileList by_keys = TileList::at(workspace(context), op.N);
  const TileList by_queries = TileList::at(static_cast<char*>(workspace(context)) + TileList::bytes(op.N), op.N);
  const unsigned blocks = static_cast<unsigned>(device(context).multiprocessors);
  launch(context, name, prepare<E>, static_cast<unsigned>(2 + ceil_div(op.N, LIST_THREADS / WARP)), LIST_THREADS, 0,
         by_keys, by_queries, op, terms, in.dout, in.dout_stride, in.out, in.out_stride, in.lse, in.starts);
  launch(context, name, dkdv<E>, blocks, ForKeys::THREADS, ForKeys::SHARED_BYTES, by_queries, op, q_keys, k, v,
         dout_keys);
  launch(context, name, dq<E>, blocks, ForQueries::THREADS, ForQueries::SHARED_BYTES, by_keys, op, q_queries, k, v,
         dout_queries);
  return true;
}

}  // namespace
}  // namespace hopper

int64_t hopper_attention_backward_workspace(int64_t N, int64_t H) {
  return H * hopper::terms_stride(N) * static_cast<int64_t>(sizeof(hopper::RowTerms));
}

bool hopper_attention_backward(msm_context* context, int dtype, void* dq, int64_t dq_stride, void* dk,
                               int64_t dk_stride, void* dv, int64_t dv_stride, const void* dout, int64_t dout_stride,
                               const void* out, int64_t out_stride, const float* lse, const void* q, int64_t q_stride,
                               const void* k, int64_t k_stride, const void* v, int64_t v_stride, const int32_t* starts,
                               float scale, int64_t N, int64_t H, int64_t K, int64_t E, void* workspace,
                               int64_t workspace_bytes) {
  using namespace hopper;
  const bool aligned = aligned16<bf16>(dq, dq_stride) && aligned16<bf16>(dk, dk_stride) &&
                       aligned16<bf16>(dv, dv_stride) && aligned16<bf16>(out, out_stride);
  if (!suits(context, dtype, scale, N, H, E) || !aligned || workspace_bytes < hopper_attention_backward_workspace(N, H))
    return false;
  RowTerms* const terms = static_cast<RowTerms*>(workspace);
  const int64_t bytes_per_head = N * E * 2 * static_cast<int64_t>(sizeof(bf16));
  Backward op{};
  op.dq = static_cast<bf16*>(dq);
  op.dk = static_cast<bf16*>(dk);
  op.dv = static_cast<bf16*>(dv);
  op.dq_stride = dq_stride;
  op.dk_stride = dk_stride;
  op.dv_stride = dv_stride;
  op.terms = terms;
  op.scale = scale;
  op.N = static_cast<int>(N);
  op.H = static_cast<int>(H);
  op.K = static_cast<int>(K);
  op.terms_stride = static_cast<int>(terms_stride(N));
  op.section = section_heads(bytes_per_head * (H / K), K);
  Operands in{};
  in.dout = static_cast<const bf16*>(dout);
  in.out = static_cast<const bf16*>(out);
  in.q = static_cast<const bf16*>(q);
  in.k = static_cast<const bf16*>(k);
  in.v = static_cast<const bf16*>(v);
  in.dout_stride = dout_stride;
  in.out_stride = out_stride;
  in.q_stride = q_stride;
  in.k_stride = k_stride;
  in.v_stride = v_stride;
  in.lse = lse;
  in.starts = starts;
  return E == 64 ? run<64>(context, op, terms, in) : run<128>(context, op, terms, in);
}

}  // namespace msm
