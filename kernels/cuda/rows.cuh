// The grid of the ops that pass over rows once: `units` of a row along x, rows along y; no thread divides.
// defines: RowGrid, row_grid, each_row
#pragma once
#include "context.h"

namespace msm {

struct RowGrid {
  dim3 grid, block;
};

// One thread a unit; blocks are as wide as the row, up to 256 threads, and hold more rows where it is shorter. 0 blocks
// for an empty matrix.
inline RowGrid row_grid(int64_t rows, int64_t units) {
  constexpr unsigned THREADS = 256, MAX_GRID_Y = 65535;
  unsigned width = THREADS;
  while (width > 1 && width / 2 >= units) width /= 2;
  const unsigned height = THREADS / width;
  const int64_t blocks = ceil_div(rows, height);
  return {dim3(static_cast<unsigned>(ceil_div(units, width)),
               static_cast<unsigned>(blocks < MAX_GRID_Y ? blocks : MAX_GRID_Y)),
          dim3(width, height)};
}

// body(row, unit) for each of the calling thread's rows.
template <class F>
__device__ __forceinline__ void each_row(int64_t rows, int64_t units, F body) {
  const int64_t unit = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (unit >= units) return;
  const int64_t step = static_cast<int64_t>(gridDim.y) * blockDim.y;
  for (int64_t row = static_cast<int64_t>(blockIdx.y) * blockDim.y + threadIdx.y; row < rows; row += step)
    body(row, unit);
}

}  // namespace msm
