// What the built-in products share: the order of their sums, how a sum becomes an element of out.
// defines: slice_of, Operands, Output, first_k, last_k, finish_sum, finish_tile
//
// K is cut into at most eight slices. A slice is summed in order from 0, and the slices are added in order: so the bits
// do not depend on whether one block does all slices or each slice has a block of its own (few tiles, deep K: LoRA's
// products, decoding). Those blocks leave their sums in the workspace, and the last to finish of a tile adds them.
// Blocks: tiles of M along x, of N along y (neighbours read the same weights), slices along z.
#pragma once
#include "product.h"

namespace msm {

constexpr int64_t MAX_SLICES = 8, MIN_SLICE = 256, SLICE_STEP = 64;

// Depends on K alone.
inline int64_t slice_of(int64_t K) {
  const int64_t slice = ceil_div(ceil_div(K, MAX_SLICES), SLICE_STEP) * SLICE_STEP;
  return slice > MIN_SLICE ? slice : MIN_SLICE;
}

template <class T>
struct Operands {
  const T *a, *b;
  int64_t a_stride, b_stride, M, N, K, slice;
};

// Where sums go: to out, or (partial not null) by way of partial[slice][m][n], with a counter of 0 for every tile.
struct Output {
  void* out;
  int64_t stride;
  const void* bias;  // of the operands' dtype
  float alpha, beta;
  bool is_f32;
  float* partial;
  unsigned* counters;
};

// Rounded steps are written out, so that every kernel rounds alike.
template <class T>
__device__ __forceinline__ void store_sum(const Output& to, int64_t m, int64_t n, float sum) {
  const float x = __fmaf_rn(to.alpha, sum, to.bias ? to_float(static_cast<const T*>(to.bias)[n]) : 0.0f);
  const int64_t at = m * to.stride + n;
  if (to.is_f32) {
    float* const out = static_cast<float*>(to.out) + at;
    *out = to.beta == 0 ? x : __fmaf_rn(to.beta, *out, x);
  } else {
    bf16* const out = static_cast<bf16*>(to.out) + at;
    *out = from_float<bf16>(to.beta == 0 ? x : __fmaf_rn(to.beta, to_float(*out), x));
  }
}

// The part of K that the block sums: its slice, or all of them.
template <class T>
__device__ __forceinline__ int64_t first_k(const Operands<T>& in, const Output& to) {
  return to.partial ? static_cast<int64_t>(blockIdx.z) * in.slice : 0;
}
template <class T>
__device__ __forceinline__ int64_t last_k(const Operands<T>& in, const Output& to) {
  const int64_t end = first_k(in, to) + in.slice;
  return to.partial && end < in.K ? end : in.K;
}

// The block's sum of the element (m, n), if there is such an element.
template <class T>
__device__ __forceinline__ void finish_sum(const Operands<T>& in, const Output& to, int64_t m, int64_t n, float sum) {
  if (m >= in.M || n >= in.N) return;
  if (to.partial) to.partial[(blockIdx.z * in.M + m) * in.N + n] = sum;
  else store_sum<T>(to, m, n, sum);
}

// After finish_sum for all of a BM x BN tile: where its slices were in several blocks, the last of them adds those.
template <class T, int BM, int BN, int threads>
__device__ __forceinline__ void finish_tile(const Operands<T>& in, const Output& to) {
  if (!to.partial) return;
  __shared__ bool is_last;
  __threadfence();  // what the block's threads have written is seen before the count
  __syncthreads();
  if (threadIdx.x == 0) {
    unsigned* const counter = to.counters + blockIdx.y * gridDim.x + blockIdx.x;
    is_last = atomicAdd(counter, 1u) == gridDim.z - 1;
    if (is_last) *counter = 0;
    __threadfence();
  }
  __syncthreads();
  if (!is_last) return;
  for (int i = static_cast<int>(threadIdx.x); i < BM * BN; i += threads) {
    const int64_t m = static_cast<int64_t>(blockIdx.x) * BM + i / BN,
                  n = static_cast<int64_t>(blockIdx.y) * BN + i % BN;
    if (m >= in.M || n >= in.N) continue;
    const float* const partial = to.partial + m * in.N + n;
    float parts[MAX_SLICES];
#pragma unroll
    for (int slice = 0; slice < MAX_SLICES; slice++)
      parts[slice] = slice < static_cast<int>(gridDim.z) ? __ldcg(partial + slice * in.M * in.N) : 0.0f;
    float sum = 0;
#pragma unroll
    for (int slice = 0; slice < MAX_SLICES; slice++)
      if (slice < static_cast<int>(gridDim.z)) sum += parts[slice];
    store_sum<T>(to, m, n, sum);
  }
}

}  // namespace msm
