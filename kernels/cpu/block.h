// Products of blocks that fit the caches: the building stones of matmul, attention and the loss, one place for the
// instruction set (portable vectors, AVX2, AVX-512, AVX-512 BF16, AMX).
// defines: packed_size, pack_nn, pack_nt, block_matmul
//
// B is packed first: panels of PANEL columns; f32 as [k][PANEL], bf16 as pairs [k / 2][PANEL][2] (what vdpbf16ps and AMX read), padded
// with zeros in k and n. A is read as it lies, row-major.
#pragma once
#include "vec.h"

namespace msm {

// Elements of T that a packed B [K, N] takes (64-byte aligned memory).
template <class T>
int64_t packed_size(int64_t K, int64_t N);

// Packs B stored [K, N], rows b_stride apart.
template <class T>
void pack_nn(T* packed, const T* b, int64_t b_stride, int64_t K, int64_t N);

// Packs B stored transposed, [N, K], rows b_stride apart (weights; keys).
template <class T>
void pack_nt(T* packed, const T* b, int64_t b_stride, int64_t K, int64_t N);

// c[m, n] = (accumulate ? c[m, n] : 0) + sum_k a[m, k] B[k, n], f32 sums whose order depends on K alone. c is [M, c_stride] with
// exactly N columns written; a is [M, K], rows a_stride apart, nothing is read beyond a row's K elements.
template <class T>
void block_matmul(float* c, int64_t c_stride, const T* a, int64_t a_stride, const T* packed, int64_t M, int64_t N, int64_t K,
                  bool accumulate);

}  // namespace msm
