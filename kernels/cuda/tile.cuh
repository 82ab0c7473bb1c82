// One thread's share of a row, held in registers, and reductions over the threads that share the row.
// A thread owns the same elements whether rows are aligned or not: sums have the same order wherever a row lies.
// defines: Packed, unpack, pack, load_vector, store_vector, Tile, reduce_x
#pragma once
#include "context.h"

namespace msm {

// 16 bytes in four registers: VEC<T> elements that stay packed until they are used.
struct alignas(16) Packed {
  uint32_t word[4];
};

__device__ __forceinline__ void unpack(float (&out)[4], const Packed& in) {
#pragma unroll
  for (int i = 0; i < 4; i++) out[i] = __uint_as_float(in.word[i]);
}
__device__ __forceinline__ void unpack(float (&out)[8], const Packed& in) {
#pragma unroll
  for (int i = 0; i < 4; i++) {
    out[2 * i] = __uint_as_float(in.word[i] << 16);
    out[2 * i + 1] = __uint_as_float(in.word[i] & 0xffff0000u);
  }
}

// Rounds to f32 or to bf16: what the number of elements says.
__device__ __forceinline__ Packed pack(const float (&in)[4]) {
  Packed out;
#pragma unroll
  for (int i = 0; i < 4; i++) out.word[i] = __float_as_uint(in[i]);
  return out;
}
__device__ __forceinline__ Packed pack(const float (&in)[8]) {
  Packed out;
#pragma unroll
  for (int i = 0; i < 4; i++) out.word[i] = pack_bf16(in[2 * i], in[2 * i + 1]);
  return out;
}

__device__ __forceinline__ uint32_t bits_of(float x) { return __float_as_uint(x); }
__device__ __forceinline__ uint32_t bits_of(bf16 x) { return x.bits; }
__device__ __forceinline__ void set_bits(float& x, uint32_t bits) { x = __uint_as_float(bits); }
__device__ __forceinline__ void set_bits(bf16& x, uint32_t bits) { x.bits = static_cast<uint16_t>(bits); }

// The first `left` of VEC<T> elements; the others are `pad`, four bytes. aligned: `from` is at a multiple of 16 bytes,
// and left >= VEC<T> or <= 0.
template <bool aligned, class T>
__device__ __forceinline__ Packed load_vector(const T* from, int left, uint32_t pad = 0) {
  Packed out{{pad, pad, pad, pad}};
  if constexpr (aligned) {
    if (left > 0) out = *reinterpret_cast<const Packed*>(from);
  } else {
    constexpr int each = 4 / sizeof(T), width = 32 / each;  // elements of a word, their bits
#pragma unroll
    for (int i = 0; i < VEC<T>; i++) {
      if (i >= left) continue;
      constexpr uint32_t mask = ~0u >> (32 - width);
      const int at = i % each * width;
      out.word[i / each] = (out.word[i / each] & ~(mask << at)) | bits_of(from[i]) << at;
    }
  }
  return out;
}
template <bool aligned, class T>
__device__ __forceinline__ void store_vector(T* to, const Packed& in, int left) {
  if constexpr (aligned) {
    if (left > 0) *reinterpret_cast<Packed*>(to) = in;
  } else {
    constexpr int each = 4 / sizeof(T), width = 32 / each;
#pragma unroll
    for (int i = 0; i < VEC<T>; i++)
      if (i < left) set_bits(to[i], in.word[i / each] >> i % each * width);
  }
}

// Elements begin .. begin + span() of a row of `end`, shared out vector by vector among the blockDim.x threads.
template <class T, int vectors, bool aligned>
struct Tile {
  Packed at[vectors];

  static __device__ __forceinline__ int span() { return static_cast<int>(blockDim.x) * vectors * VEC<T>; }
  // Where vector v of the calling thread begins, from the tile's begin.
  static __device__ __forceinline__ int place(int v) {
    return (v * static_cast<int>(blockDim.x) + static_cast<int>(threadIdx.x)) * VEC<T>;
  }

  __device__ __forceinline__ void load(const T* row, int64_t begin, int64_t end, uint32_t pad = 0) {
    const int inside = static_cast<int>(end - begin < span() ? end - begin : span());
    row += begin + place(0);
#pragma unroll
    for (int v = 0; v < vectors; v++)
      at[v] = load_vector<aligned>(row + v * (span() / vectors), inside - place(v), pad);
  }
  __device__ __forceinline__ void store(T* row, int64_t begin, int64_t end) const {
    const int inside = static_cast<int>(end - begin < span() ? end - begin : span());
    row += begin + place(0);
#pragma unroll
    for (int v = 0; v < vectors; v++) store_vector<aligned>(row + v * (span() / vectors), at[v], inside - place(v));
  }
};

// f over the blockDim.x threads of the same threadIdx.y, a power of two or whole warps, in a fixed order. Every thread
// of the block (whole warps, at most 1024 threads) must take part, and receives its row's result. May be called several
// times in a row.
template <class T, class F>
__device__ __forceinline__ T reduce_x(T value, F f) {
  for (unsigned offset = (blockDim.x < WARP ? blockDim.x : WARP) / 2; offset > 0; offset /= 2)
    value = f(value, __shfl_xor_sync(ALL_LANES, value, static_cast<int>(offset)));
  if (blockDim.x <= WARP) return value;
  __shared__ T partial[WARP];
  const unsigned warps = blockDim.x / WARP, first = threadIdx.y * warps;
  __syncthreads();  // the previous call's values have been read
  if (threadIdx.x % WARP == 0) partial[first + threadIdx.x / WARP] = value;
  __syncthreads();
  value = partial[first];
#pragma unroll 4
  for (unsigned i = 1; i < warps; i++) value = f(value, partial[first + i]);
  return value;
}

}  // namespace msm
