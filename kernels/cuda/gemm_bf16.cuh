// Products of bf16 by mma.sync. A block computes a BM x BN tile of out; BK columns of its operands at a time pass
// through STAGES buffers in shared memory, filled by cp.async while earlier ones are multiplied. An operand lies in
// shared memory as it does in memory (rows of k where k is contiguous, else rows of m or n), its 16-byte chunks
// permuted so that ldmatrix meets no bank twice; ldmatrix transposes where needed.
// defines: GemmTile, gemm_bf16_kernel
#pragma once
#include "gemm.cuh"
#include "ptx.cuh"

namespace msm {

constexpr int BK = 64;
constexpr int CHUNK = 8;  // elements of 16 bytes

// BLOCKS: of a multiprocessor, which bounds the registers.
template <int BM_, int BN_, int WARPS_M, int WARPS_N, int STAGES_, int BLOCKS_>
struct GemmTile {
  static constexpr int BM = BM_, BN = BN_, STAGES = STAGES_, BLOCKS = BLOCKS_, THREADS = WARP * WARPS_M * WARPS_N;
  static constexpr int WM = BM / WARPS_M, WN = BN / WARPS_N;  // of one warp
  static constexpr int STAGE = (BM + BN) * BK;                // elements
  static constexpr size_t SHARED_BYTES = STAGES * STAGE * sizeof(bf16);
  static_assert(WM % 16 == 0 && WN % 16 == 0 && SLICE_STEP % BK == 0, "whole fragments, whole steps");
};

// Element offset of a chunk in a buffer whose rows have `chunks` of them.
template <int chunks>
__device__ __forceinline__ int chunk_at(int row, int chunk) {
  constexpr int turn = chunks < 8 ? chunks : 8;  // rows of less than 128 bytes share the banks' width
  return (row * chunks + (chunk ^ (row / (8 / turn) % turn))) * CHUNK;
}

// Fills one operand's buffer: `extent` (BM or BN) of m or n from `outer` on, BK of k from `k` on; zeros beyond the
// matrix.
template <int extent, int threads, bool k_contiguous, bool aligned>
__device__ __forceinline__ void load_operand(bf16* buffer, const bf16* source, int64_t stride, int64_t outer,
                                             int64_t outer_end, int64_t k, int64_t k_end) {
  constexpr int rows = k_contiguous ? extent : BK, chunks = (k_contiguous ? BK : extent) / CHUNK;
  const int64_t row0 = k_contiguous ? outer : k, row_end = k_contiguous ? outer_end : k_end;
  const int64_t col0 = k_contiguous ? k : outer, col_end = k_contiguous ? k_end : outer_end;
#pragma unroll(aligned ? rows * chunks / threads : 1)
  for (int begin = 0; begin < rows * chunks; begin += threads) {
    const int i = begin + static_cast<int>(threadIdx.x);
    if (rows * chunks % threads != 0 && i >= rows * chunks) break;
    const int64_t row = row0 + i / chunks, col = col0 + i % chunks * CHUNK;
    const bf16* const from = source + row * stride + col;
    bf16* const to = buffer + chunk_at<chunks>(i / chunks, i % chunks);
    if (aligned) {  // col_end is a multiple of CHUNK: a chunk is inside or outside
      const bool inside = row < row_end && col < col_end;
      cp_async16(to, inside ? from : source, inside);
    } else {
      Vec<bf16, CHUNK> values;
#pragma unroll
      for (int e = 0; e < CHUNK; e++) values.at[e] = row < row_end && col + e < col_end ? from[e] : bf16{0};
      *reinterpret_cast<Vec<bf16, CHUNK>*>(to) = values;
    }
  }
}

// a fragments of the 16 x 16 block at (m, k) of the tile: see mma_bf16.
template <int BM, bool k_contiguous>
__device__ __forceinline__ void load_a(uint32_t (&fragment)[4], const bf16* buffer, int m, int k, int lane) {
  if (k_contiguous) ldmatrix_x4(fragment, buffer + chunk_at<BK / CHUNK>(m + lane % 16, k / CHUNK + lane / 16));
  else
    ldmatrix_x4_trans(fragment, buffer + chunk_at<BM / CHUNK>(k + lane / 16 * 8 + lane % 8, m / CHUNK + lane / 8 % 2));
}

// b fragments of the two 16 x 8 blocks at (k, n) and (k, n + 8).
template <int BN, bool k_contiguous>
__device__ __forceinline__ void load_b(uint32_t (&fragment)[4], const bf16* buffer, int k, int n, int lane) {
  if (k_contiguous)
    ldmatrix_x4(fragment, buffer + chunk_at<BK / CHUNK>(n + lane / 16 * 8 + lane % 8, k / CHUNK + lane / 8 % 2));
  else ldmatrix_x4_trans(fragment, buffer + chunk_at<BN / CHUNK>(k + lane % 16, n / CHUNK + lane / 16));
}

template <class T, bool trans_a, bool trans_b, bool aligned>
__global__ void __launch_bounds__(T::THREADS, T::BLOCKS) gemm_bf16_kernel(const Operands<bf16> in, const Output to) {
  constexpr int MF = T::WM / 16, NF = T::WN / 8, WARPS_N = T::BN / T::WN;
  bf16* const shared = reinterpret_cast<bf16*>(dynamic_shared());
  const int lane = static_cast<int>(threadIdx.x) % WARP, warp = static_cast<int>(threadIdx.x) / WARP;
  const int warp_m = warp / WARPS_N * T::WM, warp_n = warp % WARPS_N * T::WN;
  const int64_t m0 = static_cast<int64_t>(blockIdx.x) * T::BM, n0 = static_cast<int64_t>(blockIdx.y) * T::BN;
  const int64_t k0 = first_k(in, to), k_end = last_k(in, to);
  const int steps = static_cast<int>((k_end - k0 + BK - 1) / BK), slice_steps = static_cast<int>(in.slice / BK);

  const auto load = [&](int step, int stage) {
    bf16* const buffer = shared + stage * T::STAGE;
    const int64_t k = k0 + static_cast<int64_t>(step) * BK;
    load_operand<T::BM, T::THREADS, !trans_a, aligned>(buffer, in.a, in.a_stride, m0, in.M, k, k_end);
    load_operand<T::BN, T::THREADS, trans_b, aligned>(buffer + T::BM * BK, in.b, in.b_stride, n0, in.N, k, k_end);
  };

  float total[MF][NF][4] = {}, sum[MF][NF][4] = {};
#pragma unroll
  for (int step = 0; step < T::STAGES - 1; step++) {
    if (step < steps) load(step, step);
    cp_async_commit();
  }
  int stage = 0, last = T::STAGES - 1;  // the buffer of this step, and of the step before it
  int slice_left = slice_steps;
  for (int step = 0; step < steps; step++) {
    cp_async_wait<T::STAGES - 2>();
    __syncthreads();  // this step's buffer is filled, and the previous step's is free
    if (step + T::STAGES - 1 < steps) load(step + T::STAGES - 1, last);
    cp_async_commit();
    const bf16* const a = shared + stage * T::STAGE;
    const bf16* const b = a + T::BM * BK;
#pragma unroll
    for (int k = 0; k < BK; k += 16) {
      uint32_t a_fragment[MF][4], b_fragment[NF / 2][4];
#pragma unroll
      for (int i = 0; i < MF; i++) load_a<T::BM, !trans_a>(a_fragment[i], a, warp_m + i * 16, k, lane);
#pragma unroll
      for (int j = 0; j < NF / 2; j++) load_b<T::BN, trans_b>(b_fragment[j], b, k, warp_n + j * 16, lane);
#pragma unroll
      for (int i = 0; i < MF; i++)
#pragma unroll
        for (int j = 0; j < NF; j++)
          mma_bf16(sum[i][j], a_fragment[i], b_fragment[j / 2][j % 2 * 2], b_fragment[j / 2][j % 2 * 2 + 1]);
    }
    last = stage;
    stage = stage + 1 == T::STAGES ? 0 : stage + 1;
    if (--slice_left > 0 && step + 1 < steps) continue;
    slice_left = slice_steps;
#pragma unroll
    for (int i = 0; i < MF; i++)
#pragma unroll
      for (int j = 0; j < NF; j++)
#pragma unroll
        for (int e = 0; e < 4; e++) {
          total[i][j][e] += sum[i][j][e];
          sum[i][j][e] = 0;
        }
  }
#pragma unroll
  for (int i = 0; i < MF; i++)
#pragma unroll
    for (int j = 0; j < NF; j++)
#pragma unroll
      for (int e = 0; e < 4; e++)
        finish_sum(in, to, m0 + warp_m + i * 16 + lane / 4 + e / 2 * 8, n0 + warp_n + j * 8 + lane % 4 * 2 + e % 2,
                   total[i][j][e]);
  finish_tile<bf16, T::BM, T::BN, T::THREADS>(in, to);
}

}  // namespace msm
