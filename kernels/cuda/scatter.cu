// defines: msm_scatter
#include "copy.cuh"

void msm_scatter(msm_context* context, int dtype, void* dst, int64_t dst_stride, const void* src, int64_t src_stride,
                 const int32_t* index, int64_t rows, int64_t cols) {
  using namespace msm;
  const auto copy = dtype == MSM_F32 ? copy_rows<float> : copy_rows<bf16>;
  copy(context, "scatter", dst, dst_stride, index, src, src_stride, nullptr, rows, cols);
}
