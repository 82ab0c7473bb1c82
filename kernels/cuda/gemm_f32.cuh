// Products of f32 by fused multiply-adds, for operands of any alignment: what parity is measured in, not what speed is
// about. A block of 256 threads computes a 64 x 64 tile of out, each thread 4 x 4 of it, DEPTH columns of k at a time
// from shared memory.
// defines: gemm_f32_kernel, F32_TILE, F32_THREADS
#pragma once
#include "gemm.cuh"

namespace msm {

constexpr int F32_TILE = 64, F32_THREADS = 256;

// Fills buffer[k][outer] from a matrix whose rows are m or n (k_contiguous) or k; neighbouring threads read
// neighbouring elements.
template <int depth, bool k_contiguous>
__device__ __forceinline__ void load_f32(float (&buffer)[depth][F32_TILE + 4], const float* source, int64_t stride,
                                         int64_t outer0, int64_t outer_end, int64_t k0, int64_t k_end) {
#pragma unroll
  for (int begin = 0; begin < depth * F32_TILE; begin += F32_THREADS) {
    const int i = begin + static_cast<int>(threadIdx.x);
    const int k = k_contiguous ? i % depth : i / F32_TILE, outer = k_contiguous ? i / depth : i % F32_TILE;
    const bool inside = outer0 + outer < outer_end && k0 + k < k_end;
    const int64_t at = k_contiguous ? (outer0 + outer) * stride + k0 + k : (k0 + k) * stride + outer0 + outer;
    buffer[k][outer] = inside ? source[at] : 0.0f;
  }
}

template <bool trans_a, bool trans_b>
__global__ void __launch_bounds__(F32_THREADS, 2) gemm_f32_kernel(const Operands<float> in, const Output to) {
  constexpr int DEPTH = 16, SPAN = F32_TILE / 4;  // a thread's rows and columns: 4 neighbours
  __shared__ __align__(16) float a[DEPTH][F32_TILE + 4];
  __shared__ __align__(16) float b[DEPTH][F32_TILE + 4];
  const int row = static_cast<int>(threadIdx.x) / SPAN * 4, col = static_cast<int>(threadIdx.x) % SPAN * 4;
  const int64_t m0 = static_cast<int64_t>(blockIdx.x) * F32_TILE, n0 = static_cast<int64_t>(blockIdx.y) * F32_TILE;
  const int64_t k_end = last_k(in, to);
  float total[4][4] = {};
  for (int64_t slice = first_k(in, to); slice < k_end; slice += in.slice) {
    const int64_t slice_end = slice + in.slice < k_end ? slice + in.slice : k_end;
    float sum[4][4] = {};
    for (int64_t k = slice; k < slice_end; k += DEPTH) {
      __syncthreads();  // the previous step's values have been read
      load_f32<DEPTH, !trans_a>(a, in.a, in.a_stride, m0, in.M, k, slice_end);
      load_f32<DEPTH, trans_b>(b, in.b, in.b_stride, n0, in.N, k, slice_end);
      __syncthreads();
#pragma unroll
      for (int d = 0; d < DEPTH; d++) {
        const Vec<float, 4> x = *reinterpret_cast<const Vec<float, 4>*>(&a[d][row]),
                            y = *reinterpret_cast<const Vec<float, 4>*>(&b[d][col]);
#pragma unroll
        for (int i = 0; i < 4; i++)
#pragma unroll
          for (int j = 0; j < 4; j++) sum[i][j] = __fmaf_rn(x.at[i], y.at[j], sum[i][j]);
      }
    }
#pragma unroll
    for (int i = 0; i < 4; i++)
#pragma unroll
      for (int j = 0; j < 4; j++) total[i][j] += sum[i][j];
  }
#pragma unroll
  for (int i = 0; i < 4; i++)
#pragma unroll
    for (int j = 0; j < 4; j++) finish_sum(in, to, m0 + row + i, n0 + col + j, total[i][j]);
  finish_tile<float, F32_TILE, F32_TILE, F32_THREADS>(in, to);
}

}  // namespace msm
