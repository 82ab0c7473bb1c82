// Online softmax over blocks of keys: attention of rows that share a kv head, for any number of runs of keys.
// defines: Attend, task_rows
#pragma once
#include "attention.h"

namespace msm {

// Rows of a task: many, so that a packed block of keys serves them all, but enough tasks for the threads. No result depends on it.
inline int64_t task_rows(int64_t N, int64_t K) {
  int64_t rows = 256;
  while (rows > 64 && N / rows * K < 8 * threads()) rows /= 2;
  return rows;
}

// Attention of `rows` consecutive tokens x `heads` query heads of one kv head. Begin, add runs of keys in order, finish.
// The result of a row depends on its own query and keys alone: keys come in blocks counted from the run's first.
template <class T>
struct Attend {
  static constexpr int64_t BLOCK_Q = 64, BLOCK_K = 256;
  static constexpr int64_t STRIDE = BLOCK_K + 16;  // of the scores: no power of two, which would crowd few sets of the L1 cache

  const T* q;  // first row, first head
  int64_t q_stride, rows, heads, E;
  float scale2;  // scale * log2 e: powers of 2 are cheaper

  // Row (head, row): out = sums / mass, where mass (in W parts) and sums are relative to 2^top.
  float *sums, *top, *scores;
  vf* mass;
  T* queries;        // [heads, rows, E]: a copy, as the rows of q may be powers of two apart
  T *keys, *values;  // packed

  // Takes scratch of the calling thread.
  void begin() {
    const auto lay_out = [&](Carver carver) {
      sums = carver.take<float>(heads * rows * E);
      top = carver.take<float>(heads * rows);
      mass = carver.take<vf>(heads * rows);
      scores = carver.take<float>(BLOCK_Q * STRIDE);
      queries = carver.take<T>(heads * rows * E);
      keys = carver.take<T>(packed_size<T>(E, BLOCK_K));
      values = carver.take<T>(packed_size<T>(BLOCK_K, E));
      return carver.bytes;
    };
    const int64_t bytes = lay_out(Carver{nullptr});
    lay_out(Carver{static_cast<char*>(scratch(SCRATCH_TILE, static_cast<size_t>(bytes)))});
    memset(sums, 0, static_cast<size_t>(heads * rows * E) * sizeof(float));
    for (int64_t i = 0; i < heads * rows; i++) top[i] = -INFINITY, mass[i] = vf{};
    for (int64_t h = 0; h < heads; h++)
      for (int64_t r = 0; r < rows; r++) memcpy(queries + (h * rows + r) * E, q + r * q_stride + h * E, static_cast<size_t>(E) * sizeof(T));
  }

  // The keys k[0], k[1] ...: row r sees the first visible + r * growth of them, at most `count`.
  void add(const T* k, int64_t k_stride, const T* v, int64_t v_stride, int64_t count, int64_t visible, int64_t growth) {
    count = std::min(count, visible + (rows - 1) * growth);
    for (int64_t k0 = 0; k0 < count; k0 += BLOCK_K) {
      const int64_t depth = std::min(count - k0, BLOCK_K);
      pack_nt(keys, k + k0 * k_stride, k_stride, E, depth);
      pack_nn(values, v + k0 * v_stride, v_stride, depth, E);
      for (int64_t r0 = 0; r0 < rows; r0 += BLOCK_Q) {
        const int64_t height = std::min(rows - r0, BLOCK_Q), seen = visible + r0 * growth - k0;
        const int64_t n = std::min(depth, seen + (height - 1) * growth);
        if (n <= 0) continue;
        for (int64_t h = 0; h < heads; h++) add_block(h, r0, height, depth, n, seen, growth);
      }
    }
  }

  void add_block(int64_t h, int64_t r0, int64_t height, int64_t depth, int64_t n, int64_t seen, int64_t growth) {
    block_matmul(scores, STRIDE, queries + (h * rows + r0) * E, E, keys, height, n, E, false);
    for (int64_t i = 0; i < height; i++) {
      const int64_t row = h * rows + r0 + i;
      weigh(scores + i * STRIDE, n, std::min(n, seen + i * growth), top[row], mass[row], sums + row * E);
    }
    constexpr int64_t T_PER_FLOAT = sizeof(float) / sizeof(T);
    multiply_first(sums + (h * rows + r0) * E, E, reinterpret_cast<const T*>(scores), STRIDE * T_PER_FLOAT, values, depth, height, E, n, true);
  }

  // Scores to weights p = 2^(scale2 * score - top), in place, as T; those from `seen` to n are 0.
  void weigh(float* row, int64_t n, int64_t seen, float& top_row, vf& mass_row, float* sums_row) {
    T* p = reinterpret_cast<T*>(row);
    const int64_t whole = seen > 0 ? seen / W : 0, rest = seen > 0 ? seen % W : 0;
    const vf infinity = splat(INFINITY);
    const auto last = [&] { return lanes() < static_cast<int32_t>(rest) ? load(row + whole * W) : -infinity; };
    int64_t j = 0;
    if (seen > 0) {
      vf largest = -infinity;
      for (j = 0; j < whole; j++) largest = max(largest, load(row + j * W));
      if (rest) largest = max(largest, last());
      const float peak = max(largest) * scale2;
      if (peak > top_row) {
        const vf shrink = exp2_below(splat(top_row - peak));
        if (top_row > -INFINITY) {
          mass_row *= shrink;
          each_vector(E, [&](int64_t e, auto count) { store(sums_row + e, load(sums_row + e, count) * shrink, count); });
        }
        top_row = peak;
      }
      const vf base = splat(top_row), factor = splat(scale2);
      vf total = {};
      for (j = 0; j < whole; j++) {
        const vf weight = exp2_below(load(row + j * W) * factor - base);
        total += weight;
        store(p + j * W, weight);
      }
      if (rest) {
        vf weight = exp2_below(last() * factor - base);
        weight = lanes() < static_cast<int32_t>(rest) ? weight : vf{};
        total += weight;
        store(p + j++ * W, weight);
      }
      mass_row += total;
    }
    for (; j * W < n; j++) store(p + j * W, vf{});
  }

  // Row r's head h goes to out + r * out_stride + h * E, its log-sum-exp to lse[h * lse_stride + r].
  void finish(T* out, int64_t out_stride, float* lse, int64_t lse_stride) {
    for (int64_t h = 0; h < heads; h++)
      for (int64_t r = 0; r < rows; r++) {
        const int64_t row = h * rows + r;
        const float total = sum(mass[row]);
        const vf inverse = splat(1.0f / total);
        each_vector(E, [&](int64_t e, auto n) { store(out + r * out_stride + h * E + e, load(sums + row * E + e, n) * inverse, n); });
        if (lse) lse[h * lse_stride + r] = top[row] * LN2 + logf(total);
      }
  }
};

}  // namespace msm
