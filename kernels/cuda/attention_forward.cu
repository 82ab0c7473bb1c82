// Attention forward. A block takes a tile of query rows and one query head, and passes over the keys of each segment
// that has rows in the tile: S = Q K^T,
// online softmax, O += P V, with S, P and O in registers (FlashAttention-2, arXiv 2307.08691). Keys are counted from
// the segment's first, so that a row's bits do not depend on where its segment lies. Segments of one token (padding)
// are done row by row. Limit: 4 * pairs * E flops on the tensor cores.
// defines: msm_attention_forward
#include "hopper_attention.h"
#include "softmax.cuh"

namespace msm {
namespace {

template <class T>
struct Forward {
  Matrix<T> out;
  float* lse;
  Matrix<const T> q, k, v;
  const int32_t* starts;
  float scale;
  int N, group, E;
  bool aligned;
};

// A row that is a segment of its own: p = 1, or NaN as its score is.
template <class T>
__device__ __forceinline__ void attend_single(const Forward<T>& args, int kv, int head, int row) {
  const T *const q = args.q.row(row, head * args.E), *const k = args.k.row(row, kv * args.E),
                 *const v = args.v.row(row, kv * args.E);
  T* const out = args.out.row(row, head * args.E);
  float score = 0;
  for (int e = lane_id(); e < args.E; e += WARP) score = __fmaf_rn(to_float(q[e]), to_float(k[e]), score);
  score = warp_sum(score) * args.scale;
  const float p = exp2_approx(score - score);
  for (int e = lane_id(); e < args.E; e += WARP) out[e] = from_float<T>(p * to_float(v[e]));
  if (lane_id() == 0) args.lse[static_cast<int64_t>(head) * args.N + row] = score;
}

template <class T, int WIDTH>
__global__ void __launch_bounds__(QueryTile<T, WIDTH>::THREADS, 2) attention_forward_kernel(const Forward<T> args) {
  using Tile = QueryTile<T, WIDTH>;
  Tile tile(dynamic_shared());
  const int kv = static_cast<int>(blockIdx.y), head = kv * args.group + static_cast<int>(blockIdx.x);
  const int first =
      static_cast<int>(gridDim.z - 1 - blockIdx.z) * Tile::ROWS;  // the last tiles see the most keys: they begin first
  const int last = min(first + Tile::ROWS, args.N), warp_row = first + warp_id() * Tile::WARP_ROWS;
  const auto begins = [&args](int row) { return args.starts[row] == row; };
  each_single(warp_row, min(warp_row + Tile::WARP_ROWS, last), args.N, begins,
              [&](int row) { attend_single(args, kv, head, row); });
  const Keys<T> keys{args.k, args.v, kv * args.E, args.E, args.aligned};
  load_rows<Tile::ROWS, WIDTH, Tile::THREADS>(tile.q, args.q, first, head * args.E, last - first, args.E, args.aligned);
  for (int row = first, end; row < last; row = end) {
    end = singles_end(row, last, args.N, begins);
    if (end > row) continue;
    end = run_end(row, last, begins);
    const int start = args.starts[row];
    typename Tile::State state;
    state.begin();
    tile.add(state, keys, start, end - start, first - start + 1, 1, row - first, end - first, args.scale * LOG2E);
    state.finish();
    state.store(args.out.row(row, head * args.E), args.out.stride, warp_row - row, end - row, args.E, args.aligned);
    float* const lse = args.lse + static_cast<int64_t>(head) * args.N + row;
#pragma unroll
    for (int f = 0; f < Tile::FRAGS; f++)
#pragma unroll
      for (int i = 0; i < 2; i++) {
        const int own = warp_row - row + row_of(f, i);
        if (lane_id() % 4 == 0 && own >= 0 && own < end - row)
          lse[own] = state.top[f][i] * args.scale + logf(state.mass[f][i]);
      }
  }
}

template <class T>
void forward(msm_context* context, void* out, int64_t out_stride, float* lse, const void* q, int64_t q_stride,
             const void* k, int64_t k_stride, const void* v, int64_t v_stride, const int32_t* starts, float scale,
             int64_t N, int64_t H, int64_t K, int64_t E) {
  Forward<T> args{};
  args.out = {static_cast<T*>(out), out_stride};
  args.q = {static_cast<const T*>(q), q_stride};
  args.k = {static_cast<const T*>(k), k_stride};
  args.v = {static_cast<const T*>(v), v_stride};
  args.lse = lse;
  args.starts = starts;
  args.scale = scale;
  args.N = static_cast<int>(N);
  args.group = static_cast<int>(H / K);
  args.E = static_cast<int>(E);
  args.aligned = whole_chunks<T>(E, args.out, args.q, args.k, args.v);
  for_width<T>(context, "attention_forward", E, [&](auto width) {
    using Tile = QueryTile<T, width.value>;
    const dim3 grid(static_cast<unsigned>(H / K), static_cast<unsigned>(K),
                    static_cast<unsigned>(ceil_div(N, Tile::ROWS)));
    launch(context, "attention_forward", attention_forward_kernel<T, width.value>, grid, Tile::THREADS,
           Tile::SHARED_BYTES, args);
  });
}

}  // namespace
}  // namespace msm

void msm_attention_forward(msm_context* context, int dtype, void* out, int64_t out_stride, float* lse, const void* q,
                           int64_t q_stride, const void* k, int64_t k_stride, const void* v, int64_t v_stride,
                           const int32_t* starts, float scale, int64_t N, int64_t H, int64_t K, int64_t E) {
  using namespace msm;
  if (hopper_attention_forward(context, dtype, out, out_stride, lse, q, q_stride, k, k_stride, v, v_stride, starts,
                               scale, N, H, K, E))
    return count_call(context, "attention_forward", "wgmma");
  count_call(context, "attention_forward", "every GPU");
  (dtype == MSM_F32 ? forward<float> : forward<bf16>)(context, out, out_stride, lse, q, q_stride, k, k_stride, v,
                                                      v_stride, starts, scale, N, H, K, E);
}
