// defines: packed_size, pack_nn, pack_nt, transpose_rows, block_matmul
#include "block.h"

#include <utility>

#include "amx.h"

namespace msm {
namespace {

// How a panel stores B: pairs of bf16 for the dot products of pairs, or f32.
#if defined(__AVX512BF16__) || defined(MSM_AMX)
template <class T>
constexpr bool PAIRS = std::is_same<T, bf16>::value;
#else
template <class T>
constexpr bool PAIRS = false;
#endif

// K is padded to what one step of the inner product reads.
template <class T>
constexpr int64_t K_STEP = 1;
#if defined(MSM_AMX)
template <>
constexpr int64_t K_STEP<bf16> = 32;
#elif defined(__AVX512BF16__)
template <>
constexpr int64_t K_STEP<bf16> = 2;
#endif

int64_t round_up(int64_t x, int64_t step) { return (x + step - 1) / step * step; }

// 32-bit words of one panel: a word is an f32 or a pair of bf16.
template <class T>
int64_t panel_words(int64_t K) {
  return round_up(K, K_STEP<T>) / (PAIRS<T> ? 2 : 1) * PANEL<T>;
}

// ------------------------------------------------------------------------------------------------------------- packing

inline void store_words(uint32_t* p, vu v) { memcpy(p, &v, sizeof v); }

// W columns of two rows of B as pairs (bf16), or of one row.
vu pairs(const bf16* even, const bf16* odd) {
  return __builtin_bit_cast(vu, load(even)) >> 16 | __builtin_bit_cast(vu, load(odd));
}
vu words_nn(const float* b, int64_t) { return __builtin_bit_cast(vu, load(b)); }
vu words_nn(const bf16* b, int64_t b_stride) { return PAIRS<bf16> ? pairs(b, b + b_stride) : __builtin_bit_cast(vu, load(b)); }
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
        if (k + STEP <= K && n + W <= columns)
          words = words_nn(row + n, b_stride);
        else if (k < K && n < columns)
          words = words_nn_partial(row + n, b_stride, K - k, columns - n);
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
            block[i] = i < columns && k_left > 0 ? words_nt_partial(corner + i * b_stride + k, k_left < W * STEP ? k_left : W * STEP) : vu{};
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

// ------------------------------------------------------------------------------------------------------------ products

namespace {

// Rows and vectors of the register tile: all accumulators, the vectors of a panel's row and a broadcast fit the registers.
#if defined(__AVX512F__)
constexpr int MR = 14, NV = 2;
#else
constexpr int MR = 6, NV = 2;
#endif

// c += a * b for one word of A: an f32, or the dot product of a pair.
inline vf multiply_add(vf c, float a, const float* b) { return c + splat(a) * load(b); }
#if defined(__AVX512BF16__)
inline vf multiply_add(vf c, uint32_t a, const uint32_t* b) {
  __m512i words;
  memcpy(&words, b, sizeof words);
  return __builtin_bit_cast(vf, _mm512_dpbf16_ps(__builtin_bit_cast(__m512, c), (__m512bh)_mm512_set1_epi32(static_cast<int>(a)), (__m512bh)words));
}
inline uint32_t word(const bf16* a, int64_t k) {
  uint32_t pair;
  memcpy(&pair, a + 2 * k, sizeof pair);
  return pair;
}
#endif
inline float word(const float* a, int64_t k) { return a[k]; }

// One register tile: ROWS x VECTORS * W sums over all of K.
template <class T, class Word, int ROWS, int VECTORS>
void tile(float* c, int64_t c_stride, const T* a, int64_t a_stride, const Word* panel, int64_t K, bool accumulate) {
  constexpr int64_t STEP = sizeof(Word) / sizeof(T);
  constexpr int64_t P = NV * W;
  vf acc[ROWS][VECTORS];
#pragma GCC unroll 16
  for (int i = 0; i < ROWS; i++)
#pragma GCC unroll 4
    for (int j = 0; j < VECTORS; j++) acc[i][j] = accumulate ? load(c + i * c_stride + j * W) : vf{};
  const int64_t steps = K / STEP;
  for (int64_t k = 0; k < steps; k++) {
#pragma GCC unroll 16
    for (int i = 0; i < ROWS; i++) {
      const Word x = word(a + i * a_stride, k);
#pragma GCC unroll 4
      for (int j = 0; j < VECTORS; j++) acc[i][j] = multiply_add(acc[i][j], x, panel + k * P + j * W);
    }
  }
  if (K % STEP) {  // the last of an odd number: its partner is 0
#pragma GCC unroll 16
    for (int i = 0; i < ROWS; i++) {
      Word x = 0;
      memcpy(&x, a + i * a_stride + K - 1, sizeof(T));
#pragma GCC unroll 4
      for (int j = 0; j < VECTORS; j++) acc[i][j] = multiply_add(acc[i][j], x, panel + steps * P + j * W);
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < ROWS; i++)
#pragma GCC unroll 4
    for (int j = 0; j < VECTORS; j++) store(c + i * c_stride + j * W, acc[i][j]);
}

template <class T, class Word, int ROWS>
void tile_rows(int64_t rows, float* c, int64_t c_stride, const T* a, int64_t a_stride, const Word* panel, int64_t columns, int64_t K,
               bool accumulate) {
  if (rows == ROWS) {
    if (columns > W)
      tile<T, Word, ROWS, NV>(c, c_stride, a, a_stride, panel, K, accumulate);
    else
      tile<T, Word, ROWS, 1>(c, c_stride, a, a_stride, panel, K, accumulate);
  } else if constexpr (ROWS > 1) {
    tile_rows<T, Word, ROWS - 1>(rows, c, c_stride, a, a_stride, panel, columns, K, accumulate);
  }
}

// Strips of nearly equal height, so that none is too short to hide the latency of its sums.
template <class T, class Word>
void product(float* c, int64_t c_stride, const T* a, int64_t a_stride, const Word* packed, int64_t panel_words, int64_t M, int64_t N, int64_t K,
             bool accumulate) {
  constexpr int64_t P = NV * W;
  const int64_t strips = (M + MR - 1) / MR;
  for (int64_t s = 0; s < strips; s++) {
    const int64_t m = M * s / strips, rows = M * (s + 1) / strips - m;
    for (int64_t n = 0; n < N; n += P) {
      const int64_t columns = N - n < P ? N - n : P;
      const Word* panel = packed + n / P * panel_words;
      float* corner = c + m * c_stride + n;
      if (columns % W == 0) {
        tile_rows<T, Word, MR>(rows, corner, c_stride, a + m * a_stride, a_stride, panel, columns, K, accumulate);
        continue;
      }
      alignas(64) float edge[MR * P] = {};  // whole vectors for the columns at the edge
      if (accumulate)
        for (int64_t i = 0; i < rows; i++) memcpy(edge + i * P, corner + i * c_stride, static_cast<size_t>(columns) * sizeof(float));
      tile_rows<T, Word, MR>(rows, edge, P, a + m * a_stride, a_stride, panel, columns, K, accumulate);
      for (int64_t i = 0; i < rows; i++) memcpy(corner + i * c_stride, edge + i * P, static_cast<size_t>(columns) * sizeof(float));
    }
  }
}

void multiply(float* c, int64_t c_stride, const float* a, int64_t a_stride, const float* packed, int64_t M, int64_t N, int64_t K, bool accumulate) {
  product<float, float>(c, c_stride, a, a_stride, packed, panel_words<float>(K), M, N, K, accumulate);
}

#if defined(MSM_AMX)
void multiply(float* c, int64_t c_stride, const bf16* a, int64_t a_stride, const bf16* packed, int64_t M, int64_t N, int64_t K, bool accumulate) {
  amx_matmul(c, c_stride, a, a_stride, packed, panel_words<bf16>(K) * 2, M, N, K, accumulate);
}
#elif defined(__AVX512BF16__)
void multiply(float* c, int64_t c_stride, const bf16* a, int64_t a_stride, const bf16* packed, int64_t M, int64_t N, int64_t K, bool accumulate) {
  product<bf16, uint32_t>(c, c_stride, a, a_stride, reinterpret_cast<const uint32_t*>(packed), panel_words<bf16>(K), M, N, K, accumulate);
}
#else
// Widens the rows of A a strip at a time.
void multiply(float* c, int64_t c_stride, const bf16* a, int64_t a_stride, const bf16* packed, int64_t M, int64_t N, int64_t K, bool accumulate) {
  constexpr int64_t KC = 256;
  const int64_t strips = (M + MR - 1) / MR;
  float wide[MR * (KC + W)];
  for (int64_t s = 0; s < strips; s++) {
    const int64_t m = M * s / strips, rows = M * (s + 1) / strips - m;
    int64_t k = 0;
    do {
      const int64_t depth = K - k < KC ? K - k : KC;
      for (int64_t i = 0; i < rows; i++) {
        const bf16* row = a + (m + i) * a_stride + k;
        float* target = wide + i * (KC + W);
        int64_t j = 0;
        for (; j + W <= depth; j += W) store(target + j, load(row + j));
        if (j < depth) store(target + j, load_partial(row + j, depth - j));
      }
      product<float, float>(c + m * c_stride, c_stride, wide, KC + W, reinterpret_cast<const float*>(packed) + k * PANEL<bf16>,
                            panel_words<bf16>(K), rows, N, depth, accumulate || k > 0);
      k += depth;
    } while (k < K);
  }
}
#endif

}  // namespace

template <class T>
void block_matmul(float* c, int64_t c_stride, const T* a, int64_t a_stride, const T* packed, int64_t M, int64_t N, int64_t K, bool accumulate) {
  multiply(c, c_stride, a, a_stride, packed, M, N, K, accumulate);
}

template int64_t packed_size<float>(int64_t, int64_t);
template int64_t packed_size<bf16>(int64_t, int64_t);
template void pack_nn<float>(float*, const float*, int64_t, int64_t, int64_t);
template void pack_nn<bf16>(bf16*, const bf16*, int64_t, int64_t, int64_t);
template void pack_nt<float>(float*, const float*, int64_t, int64_t, int64_t);
template void pack_nt<bf16>(bf16*, const bf16*, int64_t, int64_t, int64_t);
template void transpose_rows<float>(float*, int64_t, const float*, int64_t, int64_t, int64_t);
template void transpose_rows<bf16>(bf16*, int64_t, const bf16*, int64_t, int64_t, int64_t);
template void block_matmul<float>(float*, int64_t, const float*, int64_t, const float*, int64_t, int64_t, int64_t, bool);
template void block_matmul<bf16>(float*, int64_t, const bf16*, int64_t, const bf16*, int64_t, int64_t, int64_t, bool);

}  // namespace msm
