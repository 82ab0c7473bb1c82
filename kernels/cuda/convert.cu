// defines: msm_convert
#include "rows.cuh"

namespace msm {

// The 16 bits of an IEEE half. Below the exponent that means infinity or NaN its bits, moved up, are the value times
// 2^-112.
struct f16 {
  uint16_t bits;
};
__device__ __forceinline__ float to_float(f16 x) {
  const uint32_t magnitude = static_cast<uint32_t>(x.bits & 0x7fff) << 13, sign = static_cast<uint32_t>(x.bits & 0x8000)
                                                                                  << 16;
  const uint32_t bits =
      magnitude >= 0x0f800000u ? magnitude | 0x7f800000u : __float_as_uint(__uint_as_float(magnitude) * 0x1p112f);
  return __uint_as_float(bits | sign);
}

namespace {

constexpr int UNIT = 8;  // elements a thread converts: 16 bytes of bf16, 32 of f32

template <class T, int n>
__device__ __forceinline__ void copy_unit(T* to, const T* from) {
  constexpr int width = n < VEC<T> ? n : VEC<T>;
#pragma unroll
  for (int i = 0; i < n; i += width)
    *reinterpret_cast<Vec<T, width>*>(to + i) = *reinterpret_cast<const Vec<T, width>*>(from + i);
}

// A thread converts n elements of each of its rows. n 8: rows begin at multiples of 16 bytes; the last unit of a row
// may be shorter.
template <class To, class From, int n>
__global__ void __launch_bounds__(256) convert_kernel(To* dst, int64_t dst_stride, const From* src, int64_t src_stride,
                                                      int64_t rows, int64_t cols, float scale) {
  each_row(rows, (cols + n - 1) / n, [=](int64_t row, int64_t unit) {
    const From* const from = src + row * src_stride + unit * n;
    To* const to = dst + row * dst_stride + unit * n;
    const int64_t left = cols - unit * n;
    if (left >= n) {
      From in[n];
      To out[n];
      copy_unit<From, n>(in, from);
#pragma unroll
      for (int i = 0; i < n; i++) out[i] = from_float<To>(to_float(in[i]) * scale);
      copy_unit<To, n>(to, out);
    } else {
      for (int64_t i = 0; i < left; i++) to[i] = from_float<To>(to_float(from[i]) * scale);
    }
  });
}

template <class To, class From>
void convert(msm_context* context, void* dst, int64_t dst_stride, const void* src, int64_t src_stride, int64_t rows,
             int64_t cols, float scale) {
  if (dst_stride == cols && src_stride == cols) {
    cols *= rows;
    rows = 1;
  }
  const bool aligned = aligned16<To>(dst, rows > 1 ? dst_stride : 0) && aligned16<From>(src, rows > 1 ? src_stride : 0);
  const RowGrid at = row_grid(rows, aligned ? ceil_div(cols, UNIT) : cols);
  launch(context, "convert", aligned ? convert_kernel<To, From, UNIT> : convert_kernel<To, From, 1>, at.grid, at.block,
         0, static_cast<To*>(dst), dst_stride, static_cast<const From*>(src), src_stride, rows, cols, scale);
}

template <class To>
void convert_to(msm_context* context, void* dst, int64_t dst_stride, const void* src, int src_dtype, int64_t src_stride,
                int64_t rows, int64_t cols, float scale) {
  const auto from = src_dtype == MSM_F32    ? convert<To, float>
                    : src_dtype == MSM_BF16 ? convert<To, bf16>
                                            : convert<To, f16>;
  from(context, dst, dst_stride, src, src_stride, rows, cols, scale);
}

}  // namespace
}  // namespace msm

void msm_convert(msm_context* context, void* dst, int dst_dtype, int64_t dst_stride, const void* src, int src_dtype,
                 int64_t src_stride, int64_t rows, int64_t cols, float scale) {
  using namespace msm;
  const auto to = dst_dtype == MSM_F32 ? convert_to<float> : convert_to<bf16>;
  to(context, dst, dst_stride, src, src_dtype, src_stride, rows, cols, scale);
}
