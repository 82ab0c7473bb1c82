// Large built-in products of the emulated build: a plain loop, whose sums are rounded in the order of the kernels'
// (gemm.cuh) with mma_bf16 as ptx.h computes it. So the bits are the same, and a test that multiplies more than
// PLAIN_GEMM pairs does not take minutes.
// defines: PLAIN_GEMM, multiply_plainly
#pragma once
#include <memory>

#include "../gemm.cuh"

namespace msm {

constexpr int64_t PLAIN_GEMM = 20'000'000;  // M N K above which the loop runs: the op cases stay below

// Memory of a block: more than a GPU's would have, so it is no shared memory.
struct PlainTile {
  static constexpr int64_t ROWS = 64, COLS = 128, DEPTH = 256;
  float b[DEPTH][COLS], sum[ROWS][COLS], total[ROWS][COLS];
};

// A block of one thread: ROWS x COLS of out.
template <class T, bool trans_a, bool trans_b>
void plain_gemm_kernel(Operands<T> in, Output to) {
  constexpr int64_t ROWS = PlainTile::ROWS, COLS = PlainTile::COLS, DEPTH = PlainTile::DEPTH;
  constexpr int64_t GROUP = sizeof(T) == 2 ? 16 : 1;  // products that an mma sums before it adds them
  const int64_t m0 = static_cast<int64_t>(blockIdx.y) * ROWS, n0 = static_cast<int64_t>(blockIdx.x) * COLS;
  const int64_t rows = min(ROWS, in.M - m0), cols = min(COLS, in.N - n0);
  const auto tile = std::make_unique<PlainTile>();  // zeros
  auto& [b, sum, total] = *tile;
  for (int64_t slice = 0; slice < in.K; slice += in.slice) {
    const int64_t slice_end = min(slice + in.slice, in.K);
    memset(sum, 0, sizeof sum);
    for (int64_t k0 = slice; k0 < slice_end; k0 += DEPTH) {
      const int64_t depth = min(DEPTH, slice_end - k0);
      for (int64_t k = 0; k < depth; k++)
        for (int64_t n = 0; n < cols; n++)
          b[k][n] = to_float(trans_b ? in.b[(n0 + n) * in.b_stride + k0 + k] : in.b[(k0 + k) * in.b_stride + n0 + n]);
      for (int64_t m = 0; m < rows; m++)
        for (int64_t k = 0; k < depth; k += GROUP) {
          float group[COLS] = {};
          for (int64_t i = k; i < min(k + GROUP, depth); i++) {
            const float a =
                to_float(trans_a ? in.a[(k0 + i) * in.a_stride + m0 + m] : in.a[(m0 + m) * in.a_stride + k0 + i]);
            for (int64_t n = 0; n < COLS; n++)
              if (GROUP > 1) group[n] += a * b[i][n];
              else sum[m][n] = fmaf(a, b[i][n], sum[m][n]);
          }
          if (GROUP > 1)
            for (int64_t n = 0; n < COLS; n++) sum[m][n] += group[n];
        }
    }
    for (int64_t m = 0; m < rows; m++)
      for (int64_t n = 0; n < cols; n++) total[m][n] += sum[m][n];
  }
  for (int64_t m = 0; m < rows; m++)
    for (int64_t n = 0; n < cols; n++) store_sum<T>(to, m0 + m, n0 + n, total[m][n]);
}

template <class T>
void multiply_plainly_as(msm_context* context, const char* op, const Product& p, const Output& to) {
  const auto kernel = p.trans_a   ? plain_gemm_kernel<T, true, false>
                      : p.trans_b ? plain_gemm_kernel<T, false, true>
                                  : plain_gemm_kernel<T, false, false>;
  const Operands<T> in = {
      static_cast<const T*>(p.a), static_cast<const T*>(p.b), p.a_stride, p.b_stride, p.M, p.N, p.K, slice_of(p.K)};
  launch(context, op, kernel,
         dim3(static_cast<unsigned>(ceil_div(p.N, PlainTile::COLS)),
              static_cast<unsigned>(ceil_div(p.M, PlainTile::ROWS))),
         1, 0, in, to);
}

inline void multiply_plainly(msm_context* context, const char* op, const Product& p, const Output& to) {
  (p.dtype == MSM_F32 ? multiply_plainly_as<float> : multiply_plainly_as<bf16>)(context, op, p, to);
}

}  // namespace msm
