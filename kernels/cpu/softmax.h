// Online softmax over blocks of keys: attention of rows that share a kv head, for any number of runs of keys.
// defines: Attend, task_rows
#pragma once
#include "attention.h"

namespace msm {

// Rows of a task: many, so that a packed block of keys serves them all, but enough tasks for the threads. No result
// depends on it.
inline int64_t task_rows(int64_t N, int64_t K) {
  int64_t rows = 256;
  while (rows > 64 && N / rows * K < 8 * threads()) rows /= 2;
  return rows;
}

// Attention of `rows` consecutive tokens x `heads` query heads of one kv head. Begin, add runs of keys in order,
// finish. The result of a row depends on its own query and keys alone: keys come in blocks counted from the run's
// first.
template <class T>
struct Attend {
  static constexpr int64_t BLOCK_Q = 32, BLOCK_K = 512;
  static constexpr int64_t AHEAD = 128;  // keys between a prefetch and its use
  static constexpr int64_t STRIDE =
      BLOCK_K + 16;  // of the scores: no power of two, which would crowd few sets of the L1 cache

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
      for (int64_t r = 0; r < rows; r++)
        memcpy(queries + (h * rows + r) * E, q + r * q_stride + h * E, static_cast<size_t>(E) * sizeof(T));
  }

  // The keys k[0], k[1] ...: row r sees the first visible + r * growth of them, at most `count`.
  void add(const T* k, int64_t k_stride, const T* v, int64_t v_stride, int64_t count, int64_t visible, int64_t growth) {
    count = std::min(count, visible + (rows - 1) * growth);
    for (int64_t k0 = 0; k0 < count; k0 += BLOCK_K) {
      const int64_t depth = std::min(count - k0, BLOCK_K);
      for (int64_t n = 0; n < depth; n += PANEL<T>) {
        const int64_t wide = std::min(depth - n, PANEL<T>);
        prefetch(k + (k0 + n + AHEAD) * k_stride, k_stride, std::min(count - (k0 + n + AHEAD), PANEL<T>));
        prefetch(v + (k0 + n) * v_stride, v_stride, wide);
        pack_nt(keys + n / PANEL<T> * packed_size<T>(E, 1), k + (k0 + n) * k_stride, k_stride, E, wide);
      }
      pack_nn(values, v + k0 * v_stride, v_stride, depth, E);
      for (int64_t r0 = 0; r0 < rows; r0 += BLOCK_Q) {
        const int64_t height = std::min(rows - r0, BLOCK_Q), seen = visible + r0 * growth - k0;
        const int64_t n = std::min(depth, seen + (height - 1) * growth);
        if (n <= 0) continue;
        for (int64_t h = 0; h < heads; h++) add_block(h, r0, height, depth, n, seen, growth);
      }
    }
  }

  // The rows of one head lie apart, which the hardware does not see coming.
  void prefetch(const T* rows_of_head, int64_t stride, int64_t count) const {
    for (int64_t i = 0; i < count; i++)
      for (int64_t e = 0; e < E; e += 64 / static_cast<int64_t>(sizeof(T)))
        __builtin_prefetch(rows_of_head + i * stride + e, 0, 2);
  }

  void add_block(int64_t h, int64_t r0, int64_t height, int64_t depth, int64_t n, int64_t seen, int64_t growth) {
    block_matmul(scores, STRIDE, queries + (h * rows + r0) * E, E, keys, height, n, E, false);
    // Two loops, so that the long latency of one row's maximum is covered by the next row's.
    const int64_t first = h * rows + r0;
    for (int64_t i = 0; i < height; i++)
      raise_top(scores + i * STRIDE, std::min(n, seen + i * growth), top[first + i], mass[first + i],
                sums + (first + i) * E);
    for (int64_t i = 0; i < height; i++)
      weigh(scores + i * STRIDE, n, std::min(n, seen + i * growth), top[first + i], mass[first + i]);
    constexpr int64_t T_PER_FLOAT = sizeof(float) / sizeof(T);
    multiply_first(sums + first * E, E, reinterpret_cast<const T*>(scores), STRIDE * T_PER_FLOAT, values, depth, height,
                   E, n, true);
  }

  // The largest score becomes the row's top; what has been summed is scaled to the new one.
  void raise_top(const float* row, int64_t seen, float& top_row, vf& mass_row, float* sums_row) {
    vf largest = splat(-INFINITY);
    int64_t j = 0;
    for (; j + W <= seen; j += W) largest = max(largest, load(row + j));
    if (j < seen) largest = max(largest, lanes() < static_cast<int32_t>(seen - j) ? load(row + j) : largest);
    const float peak = max(largest) * scale2;
    if (!(peak > top_row)) return;
    if (top_row > -INFINITY) {
      const vf shrink = exp2_below(splat(top_row - peak));
      mass_row *= shrink;
      each_vector(E, [&](int64_t e, auto n) { store(sums_row + e, load(sums_row + e, n) * shrink, n); });
    }
    top_row = peak;
  }

  // Scores to weights p = 2^(scale2 * score - top), in place, as T; those from `seen` to n are 0.
  void weigh(float* row, int64_t n, int64_t seen, float top_row, vf& mass_row) {
    T* p = reinterpret_cast<T*>(row);
    const vf base = splat(top_row), factor = splat(scale2);
    vf total = {};
    int64_t j = 0;
    for (; j + W <= seen; j += W) {
      const vf weight = exp2_below(load(row + j) * factor - base);
      total += weight;
      store(p + j, weight);
    }
    for (; j < n; j += W) {
      const vi visible = lanes() < static_cast<int32_t>(std::max<int64_t>(seen - j, 0));
      const vf weight = visible ? exp2_below(load(row + j) * factor - base) : vf{};
      total += weight;
      store(p + j, weight);
    }
    mass_row += total;
  }

  // Row r's head h goes to out + r * out_stride + h * E, its log-sum-exp to lse[h * lse_stride + r].
  void finish(T* out, int64_t out_stride, float* lse, int64_t lse_stride) {
    for (int64_t h = 0; h < heads; h++)
      for (int64_t r = 0; r < rows; r++) {
        const int64_t row = h * rows + r;
        const float total = sum(mass[row]);
        const vf inverse = splat(1.0f / total);
        each_vector(E, [&](int64_t e, auto n) {
          store(out + r * out_stride + h * E + e, load(sums + row * E + e, n) * inverse, n);
        });
        if (lse) lse[h * lse_stride + r] = top[row] * LN2 + logf(total);
      }
  }
};

}  // namespace msm
