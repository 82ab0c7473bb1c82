// CUDA C++ for g++: the qualifiers, types, built-in variables and device functions that kernels use, with their
// documented meaning (CUDA C++ Programming Guide, "C++ Language Extensions"). Included in front of every .cu file of
// the emulated build.
#pragma once
#include <limits.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <initializer_list>
#include <tuple>
#include <type_traits>
#include <utility>

#include "block.h"

// ---------------------------------------------------------------------------------------------------------- qualifiers

#define __global__
#define __device__
#define __host__
#define __constant__
#define __grid_constant__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __align__(bytes) __attribute__((aligned(bytes)))
// Dynamic shared memory is dynamic_shared() of ptx.cuh alone.
#define __shared__ static thread_local

// --------------------------------------------------------------------------------------------------------------- types

using cudaStream_t = void*;

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

#define MSM_VECTORS(type, name)                                                               \
  struct alignas(2 * sizeof(type)) name##2 { type x, y; };                                    \
  struct name##3 { type x, y, z; };                                                           \
  struct alignas(4 * sizeof(type) < 16 ? 4 * sizeof(type) : 16) name##4 { type x, y, z, w; }; \
  constexpr name##2 make_##name##2(type x, type y) { return {x, y}; }                         \
  constexpr name##3 make_##name##3(type x, type y, type z) { return {x, y, z}; }              \
  constexpr name##4 make_##name##4(type x, type y, type z, type w) { return {x, y, z, w}; }
MSM_VECTORS(unsigned char, uchar)
MSM_VECTORS(short, short)
MSM_VECTORS(unsigned short, ushort)
MSM_VECTORS(int, int)
MSM_VECTORS(unsigned, uint)
MSM_VECTORS(long long, longlong)
MSM_VECTORS(unsigned long long, ulonglong)
MSM_VECTORS(float, float)
MSM_VECTORS(double, double)
#undef MSM_VECTORS

#define threadIdx (::msm::emulator::block->current->index)
#define blockIdx (::msm::emulator::block->index)
#define blockDim (::msm::emulator::block->dim)
#define gridDim (::msm::emulator::block->grid)
constexpr int warpSize = 32;

// ---------------------------------------------------------------------------------------------------------- arithmetic

#define MSM_MIN_MAX(type)                                      \
  constexpr type min(type a, type b) { return b < a ? b : a; } \
  constexpr type max(type a, type b) { return a < b ? b : a; }
MSM_MIN_MAX(int)
MSM_MIN_MAX(unsigned)
MSM_MIN_MAX(long)
MSM_MIN_MAX(unsigned long)
MSM_MIN_MAX(long long)
MSM_MIN_MAX(unsigned long long)
#undef MSM_MIN_MAX
inline float min(float a, float b) { return fminf(a, b); }
inline float max(float a, float b) { return fmaxf(a, b); }
inline double min(double a, double b) { return fmin(a, b); }
inline double max(double a, double b) { return fmax(a, b); }

inline float rsqrtf(float x) { return 1 / sqrtf(x); }
inline double rsqrt(double x) { return 1 / sqrt(x); }
inline float __expf(float x) { return expf(x); }
inline float __exp10f(float x) { return exp10f(x); }
inline float __logf(float x) { return logf(x); }
inline float __log2f(float x) { return log2f(x); }
inline float __sinf(float x) { return sinf(x); }
inline float __cosf(float x) { return cosf(x); }
inline float __powf(float x, float y) { return powf(x, y); }
inline float __fdividef(float x, float y) { return x / y; }
inline float __fdiv_rn(float x, float y) { return x / y; }
inline float __frcp_rn(float x) { return 1 / x; }
inline float __fsqrt_rn(float x) { return sqrtf(x); }
inline float __frsqrt_rn(float x) { return 1 / sqrtf(x); }
inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
inline double __fma_rn(double a, double b, double c) { return fma(a, b, c); }
inline float __saturatef(float x) { return x > 0 ? (x < 1 ? x : 1.0f) : 0.0f; }
// Never contracted to a fused multiply-add.
#define MSM_ROUNDED(name, type, operation) \
  __attribute__((noinline)) inline type name(type a, type b) { return a operation b; }
MSM_ROUNDED(__fadd_rn, float, +)
MSM_ROUNDED(__fsub_rn, float, -)
MSM_ROUNDED(__fmul_rn, float, *)
MSM_ROUNDED(__dadd_rn, double, +)
MSM_ROUNDED(__dsub_rn, double, -)
MSM_ROUNDED(__dmul_rn, double, *)
#undef MSM_ROUNDED

template <class To, class From>
To msm_bits(From from) {
  static_assert(sizeof(To) == sizeof(From), "the same number of bits");
  To to;
  memcpy(&to, &from, sizeof to);
  return to;
}
inline float __uint_as_float(unsigned x) { return msm_bits<float>(x); }
inline float __int_as_float(int x) { return msm_bits<float>(x); }
inline unsigned __float_as_uint(float x) { return msm_bits<unsigned>(x); }
inline int __float_as_int(float x) { return msm_bits<int>(x); }
inline double __longlong_as_double(long long x) { return msm_bits<double>(x); }
inline long long __double_as_longlong(double x) { return msm_bits<long long>(x); }
inline int __float2int_rn(float x) { return static_cast<int>(nearbyintf(x)); }
inline int __float2int_rz(float x) { return static_cast<int>(x); }
inline int __float2int_rd(float x) { return static_cast<int>(floorf(x)); }

inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __clz(int x) { return x ? __builtin_clz(static_cast<unsigned>(x)) : 32; }
inline int __clzll(long long x) { return x ? __builtin_clzll(static_cast<unsigned long long>(x)) : 64; }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __ffsll(long long x) { return __builtin_ffsll(x); }

// -------------------------------------------------------------------------------------------------------------- memory

template <class T>
T __ldg(const T* pointer) {
  return *pointer;
}
template <class T>
T __ldcs(const T* pointer) {
  return *pointer;
}
template <class T>
T __ldcg(const T* pointer) {
  return *pointer;
}
template <class T>
T __ldca(const T* pointer) {
  return *pointer;
}
template <class T>
void __stcs(T* pointer, T value) {
  *pointer = value;
}
template <class T>
void __stcg(T* pointer, T value) {
  *pointer = value;
}
template <class T>
void __stwt(T* pointer, T value) {
  *pointer = value;
}

inline void __threadfence() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
inline void __threadfence_block() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }

// Integers only: a sum of floats by atomics has no fixed order.
#define MSM_ATOMICS(type)                                                                                             \
  inline type atomicAdd(type* at, type value) { return __atomic_fetch_add(at, value, __ATOMIC_SEQ_CST); }             \
  inline type atomicSub(type* at, type value) { return __atomic_fetch_sub(at, value, __ATOMIC_SEQ_CST); }             \
  inline type atomicAnd(type* at, type value) { return __atomic_fetch_and(at, value, __ATOMIC_SEQ_CST); }             \
  inline type atomicOr(type* at, type value) { return __atomic_fetch_or(at, value, __ATOMIC_SEQ_CST); }               \
  inline type atomicExch(type* at, type value) { return __atomic_exchange_n(at, value, __ATOMIC_SEQ_CST); }           \
  inline type atomicCAS(type* at, type compare, type value) {                                                         \
    __atomic_compare_exchange_n(at, &compare, value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);                      \
    return compare;                                                                                                   \
  }                                                                                                                   \
  inline type atomicMax(type* at, type value) {                                                                       \
    type old = __atomic_load_n(at, __ATOMIC_SEQ_CST);                                                                 \
    while (old < value && !__atomic_compare_exchange_n(at, &old, value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) { \
    }                                                                                                                 \
    return old;                                                                                                       \
  }                                                                                                                   \
  inline type atomicMin(type* at, type value) {                                                                       \
    type old = __atomic_load_n(at, __ATOMIC_SEQ_CST);                                                                 \
    while (value < old && !__atomic_compare_exchange_n(at, &old, value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) { \
    }                                                                                                                 \
    return old;                                                                                                       \
  }
MSM_ATOMICS(int)
MSM_ATOMICS(unsigned)
MSM_ATOMICS(unsigned long long)
#undef MSM_ATOMICS

// ------------------------------------------------------------------------------------------------------------ barriers

inline void __syncthreads() { msm::emulator::barrier("__syncthreads", 0, msm::emulator::block->threads); }
inline int __syncthreads_or(int predicate) {
  return (msm::emulator::barrier("__syncthreads_or", 0, msm::emulator::block->threads, predicate != 0) & 1) != 0;
}
inline int __syncthreads_and(int predicate) {
  return (msm::emulator::barrier("__syncthreads_and", 0, msm::emulator::block->threads, predicate != 0) & 2) != 0;
}
inline void __syncwarp(unsigned mask = 0xffffffffu) {
  msm::emulator::collective("__syncwarp", mask, nullptr, [](void* const*, unsigned) {});
}

// ----------------------------------------------------------------------------------------------------- across the warp

// What lane `source` brings. A lane outside of `mask` has nothing to give.
template <class T>
T msm_shuffle(const char* name, unsigned mask, T value, int source) {
  struct Arguments {
    T value, out;
    int source;
  } own{value, value, source};
  msm::emulator::collective(name, mask, &own, [](void* const* lanes, unsigned mask) {
    for (unsigned rest = mask; rest; rest &= rest - 1) {
      Arguments& one = *static_cast<Arguments*>(lanes[__builtin_ctz(rest)]);
      if (!(mask >> one.source & 1)) msm::emulator::stop("reads a lane outside of the mask by a shuffle");
      one.out = static_cast<Arguments*>(lanes[one.source])->value;
    }
  });
  return own.out;
}
template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32) {
  const int lane = msm::emulator::block->current->lane;
  return msm_shuffle("__shfl_sync", mask, value, (lane & -width) | (source & (width - 1)));
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int lane_mask, int width = 32) {
  const int lane = msm::emulator::block->current->lane, source = lane ^ lane_mask;
  return msm_shuffle("__shfl_xor_sync", mask, value, (source & -width) <= (lane & -width) ? source : lane);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, int delta, int width = 32) {
  const int lane = msm::emulator::block->current->lane, source = lane + delta;
  return msm_shuffle("__shfl_down_sync", mask, value, (lane & (width - 1)) + delta < width ? source : lane);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, int delta, int width = 32) {
  const int lane = msm::emulator::block->current->lane, source = lane - delta;
  return msm_shuffle("__shfl_up_sync", mask, value, (lane & (width - 1)) >= delta ? source : lane);
}

inline unsigned msm_ballot(const char* name, unsigned mask, int predicate) {
  struct Arguments {
    bool predicate;
    unsigned out;
  } own{predicate != 0, 0};
  msm::emulator::collective(name, mask, &own, [](void* const* lanes, unsigned mask) {
    unsigned ballot = 0;
    for (unsigned rest = mask; rest; rest &= rest - 1)
      if (static_cast<Arguments*>(lanes[__builtin_ctz(rest)])->predicate) ballot |= rest & -rest;
    for (unsigned rest = mask; rest; rest &= rest - 1)
      static_cast<Arguments*>(lanes[__builtin_ctz(rest)])->out = ballot;
  });
  return own.out;
}
inline unsigned __ballot_sync(unsigned mask, int predicate) { return msm_ballot("__ballot_sync", mask, predicate); }
inline int __any_sync(unsigned mask, int predicate) { return msm_ballot("__any_sync", mask, predicate) != 0; }
inline int __all_sync(unsigned mask, int predicate) { return msm_ballot("__all_sync", mask, predicate) == mask; }
