// defines: msm_attention_backward, msm_attention_backward_workspace
#include <sched.h>

#include "attention.h"

namespace msm {
namespace {

constexpr int64_t BLOCK_Q = 128;
constexpr int64_t STRIP = 32;  // rows of scores at a time, to stay near the L1 cache

// Keys of a block, a multiple of BLOCK_Q: many, so that the sums of dq are seldom loaded and stored, but enough blocks
// for the threads and a task that fits the L2 cache. No result depends on it.
int64_t key_step(int64_t N, int64_t K, int64_t E) {
  int64_t step = 512;
  while (step > 128 && (step * E > 65536 || N / step * K < 6 * threads())) step /= 2;
  return step;
}

// A task holds a block of keys of one kv head and passes over the blocks of queries that see it, for all query heads of
// the kv head: dk and dv are complete when it ends. dq is added up in the workspace; a block of queries takes its
// blocks of keys in order (`turn`), so that the bits do not depend on the threads.
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
  float *delta, *dq_sums;             // dout . out [H, N]; sum of ds k [H, N, E]
  std::atomic<int32_t>* turn;         // [H, N], at a block's first row: the block of keys that may add to its dq
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
    if (block.end - block.start == 1) return;
    const int64_t begin = block.begin, height = std::min<int64_t>(block.end - begin, BLOCK_Q);
    const T* dout_rows = dout + begin * dout_stride + h * E;
    transpose_rows(q_transposed + (h * N + begin) * E, height, q + begin * q_stride + h * E, q_stride, E, height);
    transpose_rows(dout_transposed + (h * N + begin) * E, height, dout_rows, dout_stride, E, height);
    for (int64_t r = 0; r < height; r++) {
      vf products = {};
      each_vector(E, [&](int64_t e, auto n) {
        products += load(dout_rows + r * dout_stride + e, n) * load(out + (begin + r) * out_stride + h * E + e, n);
      });
      delta[h * N + begin + r] = sum(products);
    }
    turn[h * N + begin].store(0, std::memory_order_relaxed);
  }

  // A task's keys and its scratch.
  struct Keys {
    int64_t start, end, begin, depth;  // of the segment; the first key; how many
    int32_t index;                     // of the block in the segment
    int64_t stride;                    // no power of two, which would crowd few sets of the L1 cache
    T *k_nt, *v_nt, *k_nn;             // packed
    T* packed;                         // p or ds
    T *p, *ds;                         // [BLOCK_Q, stride]
    float *scores, *dscores;           // [STRIP, stride]
    float *dk_t, *dv_t;                // [E, stride]
  };

  Keys take_keys(Range block, int64_t step) const {
    Keys keys;
    keys.start = block.start, keys.end = block.end, keys.begin = block.begin;
    const int64_t depth = keys.depth = std::min<int64_t>(block.end - block.begin, step);
    const int64_t stride = keys.stride = (depth + 31) / 32 * 32 + 16;
    keys.index = static_cast<int32_t>((block.begin - block.start) / step);
    const auto lay_out = [&](Carver carver) {
      keys.k_nt = carver.take<T>(packed_size<T>(E, depth));
      keys.v_nt = carver.take<T>(packed_size<T>(E, depth));
      keys.k_nn = carver.take<T>(packed_size<T>(depth, E));
      keys.packed = carver.take<T>(packed_size<T>(BLOCK_Q, depth));
      keys.p = carver.take<T>(BLOCK_Q * stride);
      keys.ds = carver.take<T>(BLOCK_Q * stride);
      keys.scores = carver.take<float>(STRIP * stride);
      keys.dscores = carver.take<float>(STRIP * stride);
      keys.dk_t = carver.take<float>(E * stride);
      keys.dv_t = carver.take<float>(E * stride);
      return carver.bytes;
    };
    const int64_t bytes = lay_out(Carver{nullptr});
    lay_out(Carver{static_cast<char*>(scratch(SCRATCH_TILE, static_cast<size_t>(bytes)))});
    return keys;
  }

  // A segment of one token (padding): its p is 1, whatever q and k are.
  void single(int64_t row, int64_t kv) const {
    const int64_t group = H / K;
    memset(dq + row * dq_stride + kv * group * E, 0, static_cast<size_t>(group * E) * sizeof(T));
    memset(dk + row * dk_stride + kv * E, 0, static_cast<size_t>(E) * sizeof(T));
    each_vector(E, [&](int64_t e, auto n) {
      vf total = {};
      for (int64_t i = 0; i < group; i++) total += load(dout + row * dout_stride + (kv * group + i) * E + e, n);
      store(dv + row * dv_stride + kv * E + e, total, n);
    });
  }

  void key_block(Range block, int64_t step, int64_t kv) const {
    if (block.end - block.start == 1) return single(block.start, kv);
    const Keys keys = take_keys(block, step);
    const T *k_rows = k + keys.begin * k_stride + kv * E, *v_rows = v + keys.begin * v_stride + kv * E;
    pack_nt(keys.k_nt, k_rows, k_stride, E, keys.depth);
    pack_nt(keys.v_nt, v_rows, v_stride, E, keys.depth);
    pack_nn(keys.k_nn, k_rows, k_stride, keys.depth, E);
    memset(keys.dk_t, 0, static_cast<size_t>(E * keys.stride) * sizeof(float));
    memset(keys.dv_t, 0, static_cast<size_t>(E * keys.stride) * sizeof(float));
    for (int64_t h = kv * (H / K); h < (kv + 1) * (H / K); h++)
      for (int64_t r0 = keys.begin; r0 < keys.end; r0 += BLOCK_Q) pair(keys, r0, h);
    transpose_to(dk + keys.begin * dk_stride + kv * E, dk_stride, keys.dk_t, keys.stride, E, keys.depth, scale);
    transpose_to(dv + keys.begin * dv_stride + kv * E, dv_stride, keys.dv_t, keys.stride, E, keys.depth, 1.0f);
  }

  // The block of queries at row r0 with the block of keys. Keys that no row of a strip sees are left out.
  void pair(const Keys& keys, int64_t r0, int64_t h) const {
    const int64_t height = std::min(keys.end - r0, BLOCK_Q), stride = keys.stride, ahead = r0 - keys.begin;
    const auto seen_by = [&](int64_t rows) { return std::min(keys.depth, ahead + rows); };  // by the block's first rows
    for (int64_t s = 0; s < height; s += STRIP) {
      const int64_t row = r0 + s, rows = std::min(height - s, STRIP), n = seen_by(s + rows);
      block_matmul(keys.scores, stride, q + row * q_stride + h * E, q_stride, keys.k_nt, rows, n, E, false);
      block_matmul(keys.dscores, stride, dout + row * dout_stride + h * E, dout_stride, keys.v_nt, rows, n, E, false);
      for (int64_t i = 0; i < rows; i++)
        differentiate(keys.p + (s + i) * stride, keys.ds + (s + i) * stride, keys.scores + i * stride,
                      keys.dscores + i * stride, n, seen_by(s + i + 1), lse[h * N + row + i], delta[h * N + row + i]);
    }
    const int64_t n = seen_by(height);
    for (int64_t j = 0, columns; j < n;
         j += columns) {  // keys that all rows see, then strips of keys that fewer and fewer do
      const int64_t first = std::max<int64_t>(0, j - ahead);
      columns = std::min(n - j, std::max(ahead - j, STRIP));
      const auto add = [&](float* sums, const T* transposed, const T* weights) {
        block_matmul_nn(sums + j, stride, transposed + (h * N + r0) * E + first, height, weights + first * stride + j,
                        stride, E, columns, height - first, true, keys.packed);
      };
      add(keys.dv_t, dout_transposed, keys.p);
      add(keys.dk_t, q_transposed, keys.ds);
    }

    std::atomic<int32_t>& next = turn[h * N + r0];
    while (next.load(std::memory_order_acquire) != keys.index) sched_yield();
    float* sums = dq_sums + (h * N + r0) * E;
    const int64_t step = ahead < keys.depth ? STRIP : height;
    for (int64_t s = 0; s < height; s += step) {
      const int64_t rows = std::min(height - s, step);
      multiply_first(sums + s * E, E, keys.ds + s * stride, stride, keys.k_nn, keys.depth, rows, E, seen_by(s + rows),
                     keys.index > 0);
    }
    if (r0 + height <= keys.begin + keys.depth)  // no later key is seen
      store_dq(sums, r0, height, h);
    else next.store(keys.index + 1, std::memory_order_release);
  }

  // Scores to p, and d loss / d p to ds; from `seen` to n both are 0.
  void differentiate(T* p, T* ds, const float* scores, const float* dscores, int64_t n, int64_t seen, float lse_row,
                     float delta_row) const {
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
      each_vector(E, [&](int64_t e, auto n) {
        store(dq + (r0 + i) * dq_stride + h * E + e, load(sums + i * E + e, n) * scale, n);
      });
  }

  void run() const {
    Range* ranges = static_cast<Range*>(scratch(SCRATCH_ROW, static_cast<size_t>(N) * sizeof(Range)));
    int64_t count = cut_segments(ranges, starts, N, BLOCK_Q);
    run_in_order(count * H, [&](int64_t task) { prepare(ranges[task / H], task % H); });
    const int64_t step = key_step(N, K, E);
    count = cut_segments(ranges, starts, N, step);
    std::sort(ranges, ranges + count,
              [](Range a, Range b) {  // the most queries first; a segment's blocks stay in order
                const int32_t queries_a = a.end - a.begin, queries_b = b.end - b.begin;
                return queries_a != queries_b ? queries_a > queries_b : a.begin < b.begin;
              });
    run_in_order(count * K, [&](int64_t task) { key_block(ranges[task / K], step, task % K); });
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

void msm_attention_backward(msm_context* context, int dtype, void* dq, int64_t dq_stride, void* dk, int64_t dk_stride,
                            void* dv, int64_t dv_stride, const void* dout, int64_t dout_stride, const void* out,
                            int64_t out_stride, const float* lse, const void* q, int64_t q_stride, const void* k,
                            int64_t k_stride, const void* v, int64_t v_stride, const int32_t* starts, float scale,
                            int64_t N, int64_t H, int64_t K, int64_t E, void* workspace, int64_t) {
  using namespace msm;
  enqueue(context, "attention_backward", [=] {
    dispatch(dtype, [&](auto zero) {
      using T = decltype(zero);
      Backward<T> backward{};
      backward.dq = static_cast<T*>(dq);
      backward.dk = static_cast<T*>(dk);
      backward.dv = static_cast<T*>(dv);
      backward.dout = static_cast<const T*>(dout);
      backward.out = static_cast<const T*>(out);
      backward.q = static_cast<const T*>(q);
      backward.k = static_cast<const T*>(k);
      backward.v = static_cast<const T*>(v);
      backward.dq_stride = dq_stride;
      backward.dk_stride = dk_stride;
      backward.dv_stride = dv_stride;
      backward.dout_stride = dout_stride;
      backward.out_stride = out_stride;
      backward.q_stride = q_stride;
      backward.k_stride = k_stride;
      backward.v_stride = v_stride;
      backward.lse = lse;
      backward.starts = starts;
      backward.scale = scale;
      backward.N = N;
      backward.H = H;
      backward.K = K;
      backward.E = E;
      backward.carve(static_cast<char*>(workspace));
      backward.run();
    });
  });
}
