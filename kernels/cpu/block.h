// Products of blocks that fit the caches: the building stones of matmul, attention and the loss, one place for the
// instruction set (portable vectors, AVX2, AVX-512, AVX-512 BF16, AMX).
// defines: PANEL, PAIRS, K_STEP, divide_up, round_up, panel_words, packed_size, pack_nn, pack_nt, transpose_rows,
// block_matmul, block_matmul_nn
//
// B is packed first: panels of PANEL columns, each packed_size(K, 1) elements, padded with zeros in k and n. A panel is
// [k][PANEL] in f32; bf16 is kept as pairs [k / 2][PANEL][2] where the processor has a dot product of pairs (vdpbf16ps,
// AMX), widened to f32 where it has not. A is read as it lies, row-major.
#pragma once
#include "vec.h"

namespace msm {

#if defined(__AMX_BF16__) || defined(MSM_AMX_EMULATED)
#define MSM_AMX 1
#endif

// Columns of a packed panel: two vectors, or two AMX tiles.
template <class T>
constexpr int64_t PANEL = 2 * W;
#if defined(MSM_AMX)
template <>
constexpr int64_t PANEL<bf16> = 32;
#endif

// How a panel stores B: pairs of bf16 for the dot products of pairs, or f32. K is padded to what one step of the
// product reads.
template <class T>
constexpr bool PAIRS = false;
template <class T>
constexpr int64_t K_STEP = 1;
#if defined(MSM_AMX)
template <>
constexpr bool PAIRS<bf16> = true;
template <>
constexpr int64_t K_STEP<bf16> = 32;
#elif defined(__AVX512BF16__)
template <>
constexpr bool PAIRS<bf16> = true;
template <>
constexpr int64_t K_STEP<bf16> = 2;
#endif

inline int64_t divide_up(int64_t x, int64_t y) { return (x + y - 1) / y; }
inline int64_t round_up(int64_t x, int64_t step) { return divide_up(x, step) * step; }

// 32-bit words of one panel: a word is an f32 or a pair of bf16.
template <class T>
int64_t panel_words(int64_t K) {
  return round_up(K, K_STEP<T>) / (PAIRS<T> ? 2 : 1) * PANEL<T>;
}

// Elements of T that a packed B [K, N] takes (64-byte aligned memory).
template <class T>
int64_t packed_size(int64_t K, int64_t N);

// Packs B stored [K, N], rows b_stride apart.
template <class T>
void pack_nn(T* packed, const T* b, int64_t b_stride, int64_t K, int64_t N);

// Packs B stored transposed, [N, K], rows b_stride apart (weights; keys).
template <class T>
void pack_nt(T* packed, const T* b, int64_t b_stride, int64_t K, int64_t N);

// out[m, k] = a[k, m], for a stored [K, M], rows a_stride apart: the rows of a transposed A.
template <class T>
void transpose_rows(T* out, int64_t out_stride, const T* a, int64_t a_stride, int64_t M, int64_t K);

// c[m, n] = (accumulate ? c[m, n] : 0) + sum_k a[m, k] B[k, n], f32 sums whose order depends on K alone. c is [M,
// c_stride] with exactly N columns written; a is [M, K], rows a_stride apart, nothing is read beyond a row's K
// elements. A sum continued over blocks of K (multiples of 32) has the bits of the undivided one.
template <class T>
void block_matmul(float* c, int64_t c_stride, const T* a, int64_t a_stride, const T* packed, int64_t M, int64_t N,
                  int64_t K, bool accumulate);

// The same for a B [K, N] as it lies, rows b_stride apart, for few rows of A: read without packing where the
// instruction set allows. `packed`: memory for packed_size(K, N) elements.
template <class T>
void block_matmul_nn(float* c, int64_t c_stride, const T* a, int64_t a_stride, const T* b, int64_t b_stride, int64_t M,
                     int64_t N, int64_t K, bool accumulate, T* packed);

}  // namespace msm
