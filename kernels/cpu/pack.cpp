// defines: packed_size, pack_nn, pack_nt, transpose_rows
#include <utility>

#include "block.h"

namespace msm {
namespace {

inline void store_words(uint32_t* p, vu v) { memcpy(p, &v, sizeof v); }

// W columns of two rows of B as pairs (bf16), or of one row.
vu pairs(const bf16* even, const bf16* odd) {
  return __builtin_bit_cast(vu, load(even)) >> 16 | __builtin_bit_cast(vu, load(odd));
}
vu words_nn(const float* b, int64_t) { return __builtin_bit_cast(vu, load(b)); }
vu words_nn(const bf16* b, int64_t b_stride) {
  return PAIRS<bf16> ? pairs(b, b + b_stride) : __builtin_bit_cast(vu, load(b));
}
template <class T>
vu words_nn_partial(const T* b, int64_t b_stride, int64_t rows, int64_t n) {
  T padded[2][W] = {};
  const size_t bytes = static_cast<size_t>(n < W ? n : W) * sizeof(T);
  memcpy(padded[0], b, bytes);
  if (PAIRS<T> && rows > 1) memcpy(padded[1], b + b_stride, bytes);
  return words_nn(padded[0], W);
}

// W words of a row of B stored [N, K]: from k on.
vu words_nt(const float* b) { return __builtin_bit_cast(vu, load(b)); }
vu words_nt(const bf16* b) {
  if (!PAIRS<bf16>) return __builtin_bit_cast(vu, load(b));
  vu v;
  memcpy(&v, b, sizeof v);
  return v;
}
template <class T>
vu words_nt_partial(const T* b, int64_t n) {
  T padded[2 * W] = {};
  memcpy(padded, b, static_cast<size_t>(n) * sizeof(T));
  return words_nt(padded);
}

// One step of a transposition: swaps the off-diagonal blocks of H x H words in every 2H x 2H block of rows r and r + H.
template <int H, size_t... I>
void swap_blocks(vu& low, vu& high, std::index_sequence<I...>) {
  const vu a = low, b = high;
  low = __builtin_shufflevector(a, b, (I & H ? static_cast<int>(I) - H + W : static_cast<int>(I))...);
  high = __builtin_shufflevector(a, b, (I & H ? static_cast<int>(I) + W : static_cast<int>(I) + H)...);
}
template <int H>
void transpose_step(vu (&rows)[W]) {
#pragma GCC unroll 16
  for (int r = 0; r < W; r++)
    if (!(r & H)) swap_blocks<H>(rows[r], rows[r + H], std::make_index_sequence<W>());
}
inline void transpose(vu (&rows)[W]) {
  if constexpr (W > 8) transpose_step<8>(rows);
  if constexpr (W > 4) transpose_step<4>(rows);
  transpose_step<2>(rows);
  transpose_step<1>(rows);
}

}  // namespace

template <class T>
int64_t packed_size(int64_t K, int64_t N) {
  return round_up(N, PANEL<T>) / PANEL<T> * panel_words<T>(K) * static_cast<int64_t>(sizeof(uint32_t) / sizeof(T));
}

template <class T>
void pack_nn(T* packed, const T* b, int64_t b_stride, int64_t K, int64_t N) {
  constexpr int64_t P = PANEL<T>, STEP = PAIRS<T> ? 2 : 1;
  const int64_t K_padded = round_up(K, K_STEP<T>);
  uint32_t* out = reinterpret_cast<uint32_t*>(packed);
  for (int64_t n0 = 0; n0 < N; n0 += P, out += panel_words<T>(K)) {
    const int64_t columns = N - n0 < P ? N - n0 : P;
    for (int64_t k = 0; k < K_padded; k += STEP) {
      const T* row = b + k * b_stride + n0;
      uint32_t* target = out + k / STEP * P;
      for (int64_t n = 0; n < P; n += W) {
        vu words = {};
        if (k + STEP <= K && n + W <= columns) words = words_nn(row + n, b_stride);
        else if (k < K && n < columns) words = words_nn_partial(row + n, b_stride, K - k, columns - n);
        store_words(target + n, words);
      }
    }
  }
}

template <class T>
void pack_nt(T* packed, const T* b, int64_t b_stride, int64_t K, int64_t N) {
  constexpr int64_t P = PANEL<T>, STEP = PAIRS<T> ? 2 : 1;
  const int64_t words = round_up(K, K_STEP<T>) / STEP;
  uint32_t* out = reinterpret_cast<uint32_t*>(packed);
  for (int64_t n0 = 0; n0 < N; n0 += P, out += panel_words<T>(K)) {
    for (int64_t n = 0; n < P; n += W) {
      const int64_t columns = N - n0 - n;  // may be more than W, or none
      const T* corner = b + (n0 + n) * b_stride;
      for (int64_t w = 0; w < words; w += W) {
        const int64_t k = w * STEP, k_left = K - k;
        vu block[W];
        if (columns >= W && k_left >= W * STEP) {
#pragma GCC unroll 16
          for (int i = 0; i < W; i++) block[i] = words_nt(corner + i * b_stride + k);
        } else {
          for (int i = 0; i < W; i++)
            block[i] = i < columns && k_left > 0
                           ? words_nt_partial(corner + i * b_stride + k, k_left < W * STEP ? k_left : W * STEP)
                           : vu{};
        }
        transpose(block);
        uint32_t* target = out + w * P + n;
        if (words - w >= W) {
#pragma GCC unroll 16
          for (int i = 0; i < W; i++) store_words(target + i * P, block[i]);
        } else {
          for (int64_t i = 0; i < words - w; i++) store_words(target + i * P, block[i]);
        }
      }
    }
  }
}

namespace {

// Row m of a transposed A is W words from column m of W rows (f32) or row pairs (bf16) of a.
inline vu column_words(const float* a, int64_t) { return __builtin_bit_cast(vu, load(a)); }
inline vu column_words(const bf16* a, int64_t a_stride) { return pairs(a, a + a_stride); }

}  // namespace

template <class T>
void transpose_rows(T* out, int64_t out_stride, const T* a, int64_t a_stride, int64_t M, int64_t K) {
  constexpr int64_t STEP = sizeof(uint32_t) / sizeof(T);
  int64_t k = 0;
  for (; k + W * STEP <= K; k += W * STEP) {
    int64_t m = 0;
    for (; m + W <= M; m += W) {
      vu block[W];
#pragma GCC unroll 16
      for (int i = 0; i < W; i++) block[i] = column_words(a + (k + i * STEP) * a_stride + m, a_stride);
      transpose(block);
#pragma GCC unroll 16
      for (int i = 0; i < W; i++) memcpy(out + (m + i) * out_stride + k, &block[i], sizeof block[i]);
    }
    for (; m < M; m++)
      for (int64_t i = k; i < k + W * STEP; i++) out[m * out_stride + i] = a[i * a_stride + m];
  }
  for (; k < K; k++)
    for (int64_t m = 0; m < M; m++) out[m * out_stride + k] = a[k * a_stride + m];
}

template int64_t packed_size<float>(int64_t, int64_t);
template int64_t packed_size<bf16>(int64_t, int64_t);
template void pack_nn<float>(float*, const float*, int64_t, int64_t, int64_t);
template void pack_nn<bf16>(bf16*, const bf16*, int64_t, int64_t, int64_t);
template void pack_nt<float>(float*, const float*, int64_t, int64_t, int64_t);
template void pack_nt<bf16>(bf16*, const bf16*, int64_t, int64_t, int64_t);
template void transpose_rows<float>(float*, int64_t, const float*, int64_t, int64_t, int64_t);
template void transpose_rows<bf16>(bf16*, int64_t, const bf16*, int64_t, int64_t, int64_t);

}  // namespace msm
