// defines: msm_gather
#include "context.h"
#include "rows.h"
#include "vec.h"

void msm_gather(msm_context* context, int dtype, void* out, int64_t out_stride, const void* table, int64_t table_stride,
                const int32_t* index, int64_t rows, int64_t cols) {
  using namespace msm;
  enqueue(context, "gather", [=] {
    dispatch(dtype, [&](auto zero) {
      using T = decltype(zero);
      each_row(rows, cols, [&](int64_t i) {
        memcpy(static_cast<T*>(out) + i * out_stride, static_cast<const T*>(table) + index[i] * table_stride,
               static_cast<size_t>(cols) * sizeof(T));
      });
    });
  });
}
