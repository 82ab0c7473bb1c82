// defines: msm_scatter
#include "context.h"
#include "rows.h"
#include "vec.h"

void msm_scatter(msm_context* context, int dtype, void* dst, int64_t dst_stride, const void* src, int64_t src_stride,
                 const int32_t* index, int64_t rows, int64_t cols) {
  using namespace msm;
  enqueue(context, "scatter", [=] {
    dispatch(dtype, [&](auto zero) {
      using T = decltype(zero);
      each_row(rows, cols, [&](int64_t i) {
        if (index[i] < 0) return;
        memcpy(static_cast<T*>(dst) + index[i] * dst_stride, static_cast<const T*>(src) + i * src_stride,
               static_cast<size_t>(cols) * sizeof(T));
      });
    });
  });
}
