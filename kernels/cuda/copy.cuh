// Rows that are copied as they are, by an index: gather and scatter.
// defines: copy_rows
#pragma once
#include "rows.cuh"

namespace msm {

// dst[dst_index ? dst_index[i] : i] = src[src_index ? src_index[i] : i] for rows of `units` of T; strides in units. A
// negative index skips the row.
template <class T>
__global__ void __launch_bounds__(256)
    copy_rows_kernel(T* dst, int64_t dst_stride, const int32_t* dst_index, const T* src, int64_t src_stride,
                     const int32_t* src_index, int64_t rows, int64_t units) {
  each_row(rows, units, [=](int64_t row, int64_t unit) {
    const int64_t to = dst_index ? dst_index[row] : row, from = src_index ? src_index[row] : row;
    if (to >= 0 && from >= 0) dst[to * dst_stride + unit] = src[from * src_stride + unit];
  });
}

template <class T, int n>
void copy_units(msm_context* context, const char* op, void* dst, int64_t dst_stride, const int32_t* dst_index,
                const void* src, int64_t src_stride, const int32_t* src_index, int64_t rows, int64_t cols) {
  using Unit = Vec<T, n>;
  const RowGrid at = row_grid(rows, cols / n);
  launch(context, op, copy_rows_kernel<Unit>, at.grid, at.block, 0, static_cast<Unit*>(dst), dst_stride / n, dst_index,
         static_cast<const Unit*>(src), src_stride / n, src_index, rows, cols / n);
}

// Strides and cols in elements of T. 16 bytes a thread where all rows of both matrices allow it.
template <class T>
void copy_rows(msm_context* context, const char* op, void* dst, int64_t dst_stride, const int32_t* dst_index,
               const void* src, int64_t src_stride, const int32_t* src_index, int64_t rows, int64_t cols) {
  const bool vectors = aligned16<T>(dst, dst_stride) && aligned16<T>(src, src_stride) && cols % VEC<T> == 0;
  (vectors ? copy_units<T, VEC<T>> : copy_units<T, 1>)(context, op, dst, dst_stride, dst_index, src, src_stride,
                                                       src_index, rows, cols);
}

}  // namespace msm
