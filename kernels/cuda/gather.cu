// defines: msm_gather
#include "copy.cuh"

void msm_gather(msm_context* context, int dtype, void* out, int64_t out_stride, const void* table, int64_t table_stride,
                const int32_t* index, int64_t rows, int64_t cols) {
  using namespace msm;
  const auto copy = dtype == MSM_F32 ? copy_rows<float> : copy_rows<bf16>;
  copy(context, "gather", out, out_stride, nullptr, table, table_stride, index, rows, cols);
}
