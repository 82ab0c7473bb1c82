// defines: msm_attention_backward, msm_attention_backward_workspace
#include <sched.h>

#include "attention.h"

namespace msm {
namespace {

constexpr int64_t BLOCK_Q = 64, BLOCK_K = 512, STRIP = 16;  // BLOCK_K a multiple of BLOCK_Q
constexpr int64_t STRIDE = BLOCK_K + 16, P_STRIDE = BLOCK_K + 32;           // of blocks of scores: no power of two, which would crowd few sets of the L1 cache

// A task holds a block of keys of one kv head and passes over the blocks of queries that see it, for all query heads of the kv
// head: dk and dv are complete when it ends. dq is added up in the workspace; a block of queries takes its blocks of keys in
// order (`turn`), so that the bits do not depend on the threads.
template <class T>
struct Backward {
  T *dq, *dk, *dv;
  const T *dout, *out, *q, *k, *v;
  int64_t dq_stride, dk_stride, dv_stride, dout_stride, out_stride, q_stride, k_stride, v_stride;
  const float* lse;
  const int32_t* starts;
  float scale;
  int64_t N, H, K, E;

  // The workspace.
  float *delta, *dq_sums;            // dout . out [H, N]; sum of ds k [H, N, E]
  std::atomic<int32_t>* turn;        // [H, N], at a block's first row: the block of keys that may add to its dq
  T *q_transposed, *dout_transposed;  // [H, N * E]: a block of `height` rows as [E, height] at its first row * E

  int64_t carve(char* workspace) {
    Carver carver{workspace};
    delta = carver.take<float>(H * N);
    dq_sums = carver.take<float>(N * H * E);
    turn = carver.take<std::atomic<int32_t>>(H * N);
    q_transposed = carver.take<T>(H * N * E);
    dout_transposed = carver.take<T>(H * N * E);
    return carver.bytes;
  }

  void prepare(Range block, int64_t h) const {
    const int64_t begin = block.begin, height = std::min<int64_t>(block.end - begin, BLOCK_Q);
    const T* dout_rows = dout + begin * dout_stride + h * E;
    transpose_to(q_transposed + (h * N + begin) * E, height, q + begin * q_stride + h * E, q_stride, height, E, 1.0f);
    transpose_to(dout_transposed + (h * N + begin) * E, height, dout_rows, dout_stride, height, E, 1.0f);
    for (int64_t r = 0; r < height; r++) {
      vf products = {};
      each_vector(E, [&](int64_t e, auto n) {
        products += load(dout_rows + r * dout_stride + e, n) * load(out + (begin + r) * out_stride + h * E + e, n);
      });
      delta[h * N + begin + r] = sum(products);
    }
    turn[h * N + begin].store(0, std::memory_order_relaxed);
  }

  // Scratch of a task.
  struct Tiles {
    T *k_nt, *v_nt, *k_nn, *p_nn, *ds_nn;  // packed
    T *p, *ds;
    float *scores, *dscores;               // [BLOCK_Q, STRIDE]
    float *dk_t, *dv_t;                    // [E, STRIDE]
  };

  Tiles take_tiles() const {
    Tiles tiles;
    const auto lay_out = [&](Carver carver) {
      tiles.k_nt = carver.take<T>(packed_size<T>(E, BLOCK_K));
      tiles.v_nt = carver.take<T>(packed_size<T>(E, BLOCK_K));
      tiles.k_nn = carver.take<T>(packed_size<T>(BLOCK_K, E));
      tiles.p_nn = carver.take<T>(packed_size<T>(BLOCK_Q, BLOCK_K));
      tiles.ds_nn = carver.take<T>(packed_size<T>(BLOCK_Q, BLOCK_K));
      tiles.scores = carver.take<float>(STRIP * STRIDE);
      tiles.dscores = carver.take<float>(STRIP * STRIDE);
      tiles.p = carver.take<T>(BLOCK_Q * P_STRIDE);
      tiles.ds = carver.take<T>(BLOCK_Q * P_STRIDE);
      tiles.dk_t = carver.take<float>(E * STRIDE);
      tiles.dv_t = carver.take<float>(E * STRIDE);
      return carver.bytes;
    };
    const int64_t bytes = lay_out(Carver{nullptr});
    lay_out(Carver{static_cast<char*>(scratch(SCRATCH_TILE, static_cast<size_t>(bytes)))});
    return tiles;
  }

  void key_block(Range block, int64_t kv) const {
    const int64_t k0 = block.begin, depth = std::min<int64_t>(block.end - k0, BLOCK_K);
    const Tiles tiles = take_tiles();
    const T *keys = k + k0 * k_stride + kv * E, *values = v + k0 * v_stride + kv * E;
    pack_nt(tiles.k_nt, keys, k_stride, E, depth);
    pack_nt(tiles.v_nt, values, v_stride, E, depth);
    pack_nn(tiles.k_nn, keys, k_stride, depth, E);
    memset(tiles.dk_t, 0, static_cast<size_t>(E * STRIDE) * sizeof(float));
    memset(tiles.dv_t, 0, static_cast<size_t>(E * STRIDE) * sizeof(float));
    for (int64_t h = kv * (H / K); h < (kv + 1) * (H / K); h++)
      for (int64_t r0 = k0; r0 < block.end; r0 += BLOCK_Q) pair(tiles, block, depth, r0, h);
    transpose_to(dk + k0 * dk_stride + kv * E, dk_stride, tiles.dk_t, STRIDE, E, depth, scale);
    transpose_to(dv + k0 * dv_stride + kv * E, dv_stride, tiles.dv_t, STRIDE, E, depth, 1.0f);
  }

  // The queries from row r0 on with the block of keys.
  void pair(const Tiles& tiles, Range block, int64_t depth, int64_t r0, int64_t h) const {
    const int64_t k0 = block.begin, height = std::min<int64_t>(block.end - r0, BLOCK_Q), n = std::min(depth, r0 + height - k0);
    for (int64_t s0 = 0; s0 < height; s0 += STRIP) {
      const int64_t rows = std::min(height - s0, STRIP);
      block_matmul(tiles.scores, STRIDE, q + (r0 + s0) * q_stride + h * E, q_stride, tiles.k_nt, rows, n, E, false);
      block_matmul(tiles.dscores, STRIDE, dout + (r0 + s0) * dout_stride + h * E, dout_stride, tiles.v_nt, rows, n, E, false);
      for (int64_t i = 0; i < rows; i++) {
        const int64_t r = r0 + s0 + i;
        differentiate(tiles.p + (s0 + i) * P_STRIDE, tiles.ds + (s0 + i) * P_STRIDE, tiles.scores + i * STRIDE, tiles.dscores + i * STRIDE, n,
                      std::min(n, r + 1 - k0), lse[h * N + r], delta[h * N + r]);
      }
    }
    const T *p = tiles.p, *ds = tiles.ds;
    pack_nn(tiles.p_nn, p, P_STRIDE, height, n);
    pack_nn(tiles.ds_nn, ds, P_STRIDE, height, n);
    block_matmul(tiles.dv_t, STRIDE, dout_transposed + (h * N + r0) * E, height, tiles.p_nn, E, n, height, true);
    block_matmul(tiles.dk_t, STRIDE, q_transposed + (h * N + r0) * E, height, tiles.ds_nn, E, n, height, true);

    std::atomic<int32_t>& next = turn[h * N + r0];
    const int32_t own = static_cast<int32_t>((k0 - block.start) / BLOCK_K);
    while (next.load(std::memory_order_acquire) != own) sched_yield();
    float* sums = dq_sums + (h * N + r0) * E;
    multiply_first(sums, E, ds, P_STRIDE, tiles.k_nn, depth, height, E, n, own > 0);
    if (r0 + height <= k0 + depth)  // no later key is seen
      store_dq(sums, r0, height, h);
    else
      next.store(own + 1, std::memory_order_release);
  }

  // Scores to p, and d loss / d p to ds, in place, as T; from `seen` to n both are 0.
  void differentiate(T* p, T* ds, const float* scores, const float* dscores, int64_t n, int64_t seen, float lse_row, float delta_row) const {
    const vf factor = splat(scale * LOG2E), base = splat(lse_row * LOG2E), mean = splat(delta_row);
    int64_t j = 0;
    for (; j + W <= seen; j += W) {
      const vf weight = exp2_below(load(scores + j) * factor - base);
      const vf slope = weight * (load(dscores + j) - mean);
      store(p + j, weight);
      store(ds + j, slope);
    }
    for (; j < n; j += W) {
      const vi visible = lanes() < static_cast<int32_t>(std::max<int64_t>(seen - j, 0));
      const vf weight = visible ? exp2_below(load(scores + j) * factor - base) : vf{};
      const vf slope = visible ? weight * (load(dscores + j) - mean) : vf{};
      store(p + j, weight);
      store(ds + j, slope);
    }
  }

  void store_dq(const float* sums, int64_t r0, int64_t height, int64_t h) const {
    for (int64_t i = 0; i < height; i++)
      each_vector(E, [&](int64_t e, auto n) { store(dq + (r0 + i) * dq_stride + h * E + e, load(sums + i * E + e, n) * scale, n); });
  }

  void run() const {
    Range* ranges = static_cast<Range*>(scratch(SCRATCH_ROW, static_cast<size_t>(N) * sizeof(Range)));
    int64_t count = cut_segments(ranges, starts, N, BLOCK_Q);
    run_in_order(count * H, [&](int64_t task) { prepare(ranges[task / H], task % H); });
    count = cut_segments(ranges, starts, N, BLOCK_K);
    std::sort(ranges, ranges + count, [](Range a, Range b) {  // the most queries first; a segment's blocks stay in order
      const int32_t queries_a = a.end - a.begin, queries_b = b.end - b.begin;
      return queries_a != queries_b ? queries_a > queries_b : a.begin < b.begin;
    });
    run_in_order(count * K, [&](int64_t task) { key_block(ranges[task / K], task % K); });
  }
};

}  // namespace
}  // namespace msm

int64_t msm_attention_backward_workspace(int dtype, int64_t N, int64_t H, int64_t K, int64_t E) {
  using namespace msm;
  int64_t bytes = 0;
  dispatch(dtype, [&](auto zero) {
    Backward<decltype(zero)> sizes{};
    sizes.N = N, sizes.H = H, sizes.K = K, sizes.E = E;
    bytes = sizes.carve(nullptr);
  });
  return bytes;
}

void msm_attention_backward(msm_context* context, int dtype, void* dq, int64_t dq_stride, void* dk, int64_t dk_stride, void* dv,
                            int64_t dv_stride, const void* dout, int64_t dout_stride, const void* out, int64_t out_stride, const float* lse,
                            const void* q, int64_t q_stride, const void* k, int64_t k_stride, const void* v, int64_t v_stride,
                            const int32_t* starts, float scale, int64_t N, int64_t H, int64_t K, int64_t E, void* workspace, int64_t) {
  using namespace msm;
  enqueue(context, "attention_backward", [=] {
    dispatch(dtype, [&](auto zero) {
      using T = decltype(zero);
      const auto in = [](const void* p) { return static_cast<const T*>(p); };
      const auto to = [](void* p) { return static_cast<T*>(p); };
      Backward<T> backward{to(dq),    to(dk),      to(dv),     in(dout), in(out),  in(q), in(k),  in(v), dq_stride, dk_stride, dv_stride, dout_stride,
                           out_stride, q_stride, k_stride, v_stride,   lse,      starts,   scale, N,      H,     K,         E,         {},        {},
                           {},        {},          {}};
      backward.carve(static_cast<char*>(workspace));
      backward.run();
    });
  });
}
