// What every kernel file includes: bf16, 16-byte vectors, reductions over a warp and a block. CUDA's own names wherever
// it has one. Compiled by nvcc, and by g++ with emulator/cuda.h in front, which gives the same names a meaning on the
// CPU.
// defines: bf16, to_float, from_float, Vec, warp_sum, warp_max, block_sum
#pragma once
#include <math.h>
#include <stdint.h>

#ifndef MSM_EMULATED
#include <cuda_bf16.h>
#include <cuda_runtime.h>
#endif

namespace msm {

constexpr int WARP = 32;
constexpr unsigned ALL_LANES = 0xffffffffu;

// The 16 bits of a bfloat16. A type of our own, so that both compilers convert it alike (round to nearest even, NaN
// stays NaN).
struct bf16 {
  uint16_t bits;
};

__host__ __device__ __forceinline__ float to_float(float x) { return x; }
__host__ __device__ __forceinline__ float to_float(bf16 x) {
  const uint32_t bits = static_cast<uint32_t>(x.bits) << 16;
#ifdef __CUDA_ARCH__
  return __uint_as_float(bits);
#else
  float out;
  __builtin_memcpy(&out, &bits, 4);
  return out;
#endif
}

// from_float<T>: rounds to T.
template <class T>
__host__ __device__ __forceinline__ T from_float(float x);
template <>
__host__ __device__ __forceinline__ float from_float<float>(float x) {
  return x;
}
template <>
__host__ __device__ __forceinline__ bf16 from_float<bf16>(float x) {
#ifdef __CUDA_ARCH__
  return bf16{__bfloat16_as_ushort(__float2bfloat16_rn(x))};
#else
  uint32_t bits;
  __builtin_memcpy(&bits, &x, 4);
  if (x != x) return bf16{static_cast<uint16_t>((bits >> 16) | 0x40)};
  return bf16{static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16)};
#endif
}

// Two floats as one register of bf16, `low` in the lower half: what mma takes.
__device__ __forceinline__ uint32_t pack_bf16(float low, float high) {
#ifdef __CUDA_ARCH__
  uint32_t out;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(out) : "f"(high), "f"(low));
  return out;
#else
  return from_float<bf16>(low).bits | static_cast<uint32_t>(from_float<bf16>(high).bits) << 16;
#endif
}

// n elements that are loaded and stored together: 16 bytes where the address allows it.
template <class T, int n>
struct alignas(sizeof(T) * n) Vec {
  T at[n];
};
template <class T>
constexpr int VEC = 16 / sizeof(T);

// Whether rows of `stride` elements of T from `address` on all begin at a multiple of 16 bytes.
template <class T>
bool aligned16(const void* address, int64_t stride) {
  return reinterpret_cast<uintptr_t>(address) % 16 == 0 && stride * static_cast<int64_t>(sizeof(T)) % 16 == 0;
}

// ---------------------------------------------------------------------------------------------------------- reductions
// Fixed order: the same bits every time. Every thread of the warp (block) must take part, and receives the result.

__device__ __forceinline__ float warp_sum(float x) {
#pragma unroll
  for (int offset = WARP / 2; offset > 0; offset /= 2) x += __shfl_xor_sync(ALL_LANES, x, offset);
  return x;
}

__device__ __forceinline__ float warp_max(float x) {
#pragma unroll
  for (int offset = WARP / 2; offset > 0; offset /= 2) x = fmaxf(x, __shfl_xor_sync(ALL_LANES, x, offset));
  return x;
}

// Over a block of `threads` threads (a multiple of 32). May be called several times in a row.
template <int threads>
__device__ __forceinline__ float block_sum(float x) {
  static_assert(threads % WARP == 0, "whole warps");
  x = warp_sum(x);
  if (threads == WARP) return x;
  __shared__ float partial[threads / WARP];
  __syncthreads();  // the previous call's values have been read
  if (threadIdx.x % WARP == 0) partial[threadIdx.x / WARP] = x;
  __syncthreads();
  float sum = 0;
#pragma unroll
  for (int i = 0; i < threads / WARP; i++) sum += partial[i];
  return sum;
}

}  // namespace msm
