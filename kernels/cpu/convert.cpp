// defines: msm_convert
#include "context.h"
#include "rows.h"
#include "vec.h"

namespace msm {
namespace {

template <class To, class From>
void convert(To* dst, int64_t dst_stride, const From* src, int64_t src_stride, int64_t rows, int64_t cols,
             float scale) {
  if (dst_stride == cols && src_stride == cols) {
    cols *= rows;
    rows = 1;
  }
  const int64_t chunks = (cols + CHUNK - 1) / CHUNK;
  each_row(rows * chunks, cols < CHUNK ? cols : CHUNK, [=](int64_t i) {
    const int64_t row = i / chunks, begin = i % chunks * CHUNK;
    To* to = dst + row * dst_stride + begin;
    const From* from = src + row * src_stride + begin;
    const int64_t count = cols - begin < CHUNK ? cols - begin : CHUNK;
    int64_t j = 0;
    for (; j + W <= count; j += W) store_exact(to + j, load(from + j) * scale);
    if (j == count) return;
    To rest[W];
    store_exact(rest, load_partial(from + j, count - j) * scale);
    memcpy(to + j, rest, static_cast<size_t>(count - j) * sizeof(To));
  });
}

template <class To>
void convert_to(To* dst, int64_t dst_stride, const void* src, int src_dtype, int64_t src_stride, int64_t rows,
                int64_t cols, float scale) {
  if (src_dtype == MSM_F16)
    return convert(dst, dst_stride, static_cast<const f16*>(src), src_stride, rows, cols, scale);
  dispatch(src_dtype, [&](auto zero) {
    convert(dst, dst_stride, static_cast<const decltype(zero)*>(src), src_stride, rows, cols, scale);
  });
}

}  // namespace
}  // namespace msm

void msm_convert(msm_context* context, void* dst, int dst_dtype, int64_t dst_stride, const void* src, int src_dtype,
                 int64_t src_stride, int64_t rows, int64_t cols, float scale) {
  using namespace msm;
  enqueue(context, "convert", [=] {
    dispatch(dst_dtype, [&](auto zero) {
      convert_to(static_cast<decltype(zero)*>(dst), dst_stride, src, src_dtype, src_stride, rows, cols, scale);
    });
  });
}
