// Attention over a KV cache. Sequences with several query rows in the call (prefill) are done as in training, by tiles
// of rows; rows alone in their sequence (decoding) in attention_decode.cuh. Which is which stands in device memory:
// both kernels look at all rows and leave the other's alone.
// defines: msm_attention_cached
#include "attention_decode.cuh"

namespace msm {
namespace {

template <class T, int WIDTH>
__global__ void __launch_bounds__(QueryTile<T, WIDTH>::THREADS, 2) attention_prefill_kernel(const Cached<T> args) {
  using Tile = QueryTile<T, WIDTH>;
  Tile tile(dynamic_shared());
  const int kv = static_cast<int>(blockIdx.y), head = kv * args.group + static_cast<int>(blockIdx.x);
  const int first = static_cast<int>(gridDim.z - 1 - blockIdx.z) * Tile::ROWS;
  const int last = min(first + Tile::ROWS, args.N), warp_row = first + warp_id() * Tile::WARP_ROWS;
  const auto begins = [&args](int row) { return args.begins(row); };
  if (singles_end(first, last, args.N, begins) == last) return;
  const Keys<T> keys{args.k, args.v, kv * args.E, args.E, args.aligned};
  load_rows<Tile::ROWS, WIDTH, Tile::THREADS>(tile.q, args.q, first, head * args.E, last - first, args.E, args.aligned);
  for (int row = first, end; row < last; row = end) {
    end = singles_end(row, last, args.N, begins);
    if (end > row) continue;
    end = run_end(row, last, begins);
    const int32_t* const ranges = args.ranges + 4ll * row;
    typename Tile::State state;
    state.begin();
#pragma unroll 1
    for (int range = 0; range < 2; range++) {
      const int key = ranges[2 * range], visible = ranges[2 * range + 1] - key,
                count = visible + range * (end - 1 - row);
      if (count <= 0) continue;
      tile.add(state, keys, key, count, visible - range * (row - first), range, row - first, end - first,
               args.scale * LOG2E);
    }
    state.finish();
    state.store(args.out.row(row, head * args.E), args.out.stride, warp_row - row, end - row, args.E, args.aligned);
  }
}

constexpr int MAX_ROW_BLOCKS = 1024;  // of the decode kernel: in a long prefill it has nothing to do but look

template <class T>
void cached(msm_context* context, void* out, int64_t out_stride, const void* q, int64_t q_stride, const void* k_cache,
            int64_t k_stride, const void* v_cache, int64_t v_stride, const int32_t* ranges, float scale, int64_t N,
            int64_t H, int64_t K, int64_t E) {
  Cached<T> args{};
  args.out = {static_cast<T*>(out), out_stride};
  args.q = {static_cast<const T*>(q), q_stride};
  args.k = {static_cast<const T*>(k_cache), k_stride};
  args.v = {static_cast<const T*>(v_cache), v_stride};
  args.ranges = ranges;
  args.scale = scale;
  args.N = static_cast<int>(N);
  args.H = static_cast<int>(H);
  args.group = static_cast<int>(H / K);
  args.E = static_cast<int>(E);
  args.aligned = whole_chunks<T>(E, args.out, args.q, args.k, args.v);
  const int64_t heads = K * ceil_div(H / K, DECODE_ROWS);
  if (N * heads < 2 * device(context).multiprocessors &&
      N * H * MAX_PARTS * (E + 2) * static_cast<int64_t>(sizeof(float)) <= WORKSPACE_BYTES)
    args.partial = static_cast<float*>(workspace(context));
  for_width<T>(context, "attention_cached", E, [&](auto width) {
    using Tile = QueryTile<T, width.value>;
    if (N > 1)
      launch(
          context, "attention_cached", attention_prefill_kernel<T, width.value>,
          dim3(static_cast<unsigned>(H / K), static_cast<unsigned>(K), static_cast<unsigned>(ceil_div(N, Tile::ROWS))),
          Tile::THREADS, Tile::SHARED_BYTES, args);
    constexpr int WIDTH = width.value <= 64    ? 64
                          : width.value <= 128 ? 128
                                               : 256;  // whole groups of 16 columns for each warp
    using Decode = DecodeTile<T, WIDTH>;
    launch(context, "attention_cached", attention_decode_kernel<T, WIDTH>,
           dim3(static_cast<unsigned>(N < MAX_ROW_BLOCKS ? N : MAX_ROW_BLOCKS), static_cast<unsigned>(heads),
                args.partial ? MAX_PARTS : 1),
           DECODE_THREADS, Decode::SHARED_BYTES, args);
    if (args.partial)
      launch(context, "attention_cached", attention_join_kernel<T, Decode::KEYS>,
             dim3(static_cast<unsigned>(N), static_cast<unsigned>(H)), DECODE_THREADS, 0, args);
  });
}

}  // namespace
}  // namespace msm

void msm_attention_cached(msm_context* context, int dtype, void* out, int64_t out_stride, const void* q,
                          int64_t q_stride, const void* k_cache, int64_t k_stride, const void* v_cache,
                          int64_t v_stride, const int32_t* ranges, float scale, int64_t N, int64_t H, int64_t K,
                          int64_t E) {
  (dtype == MSM_F32 ? msm::cached<float> : msm::cached<msm::bf16>)(context, out, out_stride, q, q_stride, k_cache,
                                                                   k_stride, v_cache, v_stride, ranges, scale, N, H, K,
                                                                   E);
}
