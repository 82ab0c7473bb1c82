// The loops of the ops that pass over memory once, in parallel.
// defines: each_row, each_chunk
#pragma once
#include <stdint.h>

namespace msm {

constexpr int64_t PARALLEL_MIN = 1 << 14;  // elements; below, waking the threads costs more than they save
constexpr int64_t CHUNK = 1 << 14;         // elements of a flat buffer that one thread takes at a time

// body(row) for each row of `cols` elements.
template <class F>
void each_row(int64_t rows, int64_t cols, F body) {
#pragma omp parallel for schedule(static) if (rows * cols >= PARALLEL_MIN && rows > 1)
  for (int64_t row = 0; row < rows; row++) body(row);
}

// body(begin, end) for ranges of a flat buffer. The ranges depend on `count` alone.
template <class F>
void each_chunk(int64_t count, F body) {
  each_row((count + CHUNK - 1) / CHUNK, CHUNK, [&](int64_t chunk) {
    const int64_t begin = chunk * CHUNK;
    body(begin, begin + CHUNK < count ? begin + CHUNK : count);
  });
}

}  // namespace msm
