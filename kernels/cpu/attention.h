// What the attention ops share: cutting segments into tasks, transposition, products over part of a packed block.
// defines: LOG2E, LN2, Range, cut_segments, run_in_order, transpose_to, multiply_first
#pragma once
#include <algorithm>
#include <atomic>

#include "block.h"
#include "context.h"

namespace msm {

constexpr float LOG2E = 1.44269504f, LN2 = 0.69314718f;

// Rows begin .. begin + step (or end) of the segment start .. end.
struct Range {
  int32_t start, end, begin;
};

// Cuts the segments of N rows into ranges of at most `step` rows. Returns how many.
inline int64_t cut_segments(Range* ranges, const int32_t* starts, int64_t N, int64_t step) {
  int64_t count = 0;
  for (int64_t start = 0, end; start < N; start = end) {
    for (end = start + 1; end < N && starts[end] == start;) end++;
    for (int64_t begin = start; begin < end; begin += step)
      ranges[count++] = {static_cast<int32_t>(start), static_cast<int32_t>(end), static_cast<int32_t>(begin)};
  }
  return count;
}

// body(task) for all tasks in parallel, each begun only after those before it have been begun: the long ones go first,
// and a task may wait for one before it.
template <class F>
void run_in_order(int64_t tasks, F body) {
  std::atomic<int64_t> next{0};
#pragma omp parallel if (tasks > 1)
  for (int64_t task; (task = next.fetch_add(1)) < tasks;) body(task);
}

// out[j, i] = scale * in[i, j]
template <class To, class From>
void transpose_to(To* out, int64_t out_stride, const From* in, int64_t in_stride, int64_t rows, int64_t cols,
                  float scale) {
  for (int64_t i = 0; i < rows; i += W)
    for (int64_t j = 0; j < cols; j += W) {
      const int64_t height = std::min<int64_t>(rows - i, W), width = std::min<int64_t>(cols - j, W);
      const From* corner = in + i * in_stride + j;
      To* target = out + j * out_stride + i;
      vf block[W];
      if (height == W && width == W) {
#pragma GCC unroll 16
        for (int r = 0; r < W; r++) block[r] = load(corner + r * in_stride) * scale;
        transpose(block);
#pragma GCC unroll 16
        for (int r = 0; r < W; r++) store(target + r * out_stride, block[r]);
      } else {
        for (int r = 0; r < W; r++) block[r] = r < height ? load_partial(corner + r * in_stride, width) * scale : vf{};
        transpose(block);
        for (int r = 0; r < width; r++) store_partial(target + r * out_stride, block[r], height);
      }
    }
}

// c (+)= a B for the first K rows of a packed B of `depth` rows.
template <class T>
void multiply_first(float* c, int64_t c_stride, const T* a, int64_t a_stride, const T* packed, int64_t depth, int64_t M,
                    int64_t N, int64_t K, bool accumulate) {
  const int64_t panel = packed_size<T>(depth, 1);
  for (int64_t n = 0; n < N; n += PANEL<T>, packed += panel)
    block_matmul(c + n, c_stride, a, a_stride, packed, M, std::min(N - n, PANEL<T>), K, accumulate);
}

// Parts of one piece of memory, each aligned to 64 bytes.
struct Carver {
  char* memory;
  int64_t bytes = 0;
  template <class T>
  T* take(int64_t count) {
    char* part = memory + bytes;
    bytes += (count * static_cast<int64_t>(sizeof(T)) + 63) / 64 * 64;
    return reinterpret_cast<T*>(part);
  }
};

}  // namespace msm
