// defines: block_matmul, block_matmul_nn
#include "block.h"

#include <type_traits>

#include "amx.h"

namespace msm {
namespace {

// Rows and vectors of the register tile: all accumulators, the vectors of a panel's row and a broadcast fit the
// registers.
#if defined(__AVX512F__)
constexpr int MR = 14, NV = 2;
#else
constexpr int MR = 6, NV = 2;
#endif

// A word of A, an f32 or a pair of bf16, and the vectors of a panel's row that go with it.
inline float word(const float* a, int64_t k) { return a[k]; }
inline vf multiply_add(vf c, float a, vf b) { return c + splat(a) * b; }
#if defined(__AVX512BF16__)
inline uint32_t word(const bf16* a, int64_t k) {
  uint32_t pair;
  memcpy(&pair, a + 2 * k, sizeof pair);
  return pair;
}
inline vf multiply_add(vf c, uint32_t a, vu b) {
  return __builtin_bit_cast(vf, _mm512_dpbf16_ps(__builtin_bit_cast(__m512, c),
                                                 (__m512bh)_mm512_set1_epi32(static_cast<int>(a)), (__m512bh)b));
}
#endif

template <class Vector, class Word>
inline Vector load_words(const Word* words) {
  Vector v;
  memcpy(&v, words, sizeof v);
  return v;
}

// What a register tile multiplies with, NV * W columns of B: `row` reads the words of step k, `last` those of an odd
// number's last row. `begin` and `end` bring two vectors of sums into the order of the columns that `row` reads, and
// back.
struct InOrder {
  static void begin(vf&, vf&) {}
  static void end(vf&, vf&) {}
};

template <class T, class Word>
struct PackedPanel : InOrder {
  using Vector = std::conditional_t<std::is_same<Word, float>::value, vf, vu>;
  static constexpr int64_t STEP = sizeof(Word) / sizeof(T);
  const Word* words;
  explicit PackedPanel(const Word* words) : words(words) {}
  template <int VECTORS>
  void row(Vector (&b)[VECTORS], int64_t k) const {
    for (int j = 0; j < VECTORS; j++) b[j] = load_words<Vector>(words + (k * NV + j) * W);
  }
  template <int VECTORS>
  void last(Vector (&b)[VECTORS], int64_t k) const {
    row(b, k);
  }
};

struct RowsOfF32 : InOrder {
  using Vector = vf;
  static constexpr int64_t STEP = 1;
  const float* b;
  int64_t stride;
  RowsOfF32(const float* b, int64_t stride) : b(b), stride(stride) {}
  void row(vf (&out)[NV], int64_t k) const {
    for (int j = 0; j < NV; j++) {
      out[j] = load(b + k * stride + j * W);
      __builtin_prefetch(b + k * stride + (NV + j) * W);
    }
  }
  void last(vf (&out)[NV], int64_t k) const { row(out, k); }
};

#if defined(__AVX512BF16__) && !defined(MSM_AMX)
// Two rows become pairs by interleaving inside quarters of a vector: the first sums are those of columns 0-3, 8-11,
// 16-19, 24-27.
struct RowsOfBf16 {
  using Vector = vu;
  static constexpr int64_t STEP = 2;
  const bf16* b;
  int64_t stride;
  RowsOfBf16(const bf16* b, int64_t stride) : b(b), stride(stride) {}
  static void interleave(vu (&out)[NV], __m512i even, __m512i odd) {
    out[0] = __builtin_bit_cast(vu, _mm512_unpacklo_epi16(even, odd));
    out[1] = __builtin_bit_cast(vu, _mm512_unpackhi_epi16(even, odd));
  }
  __m512i load_row(int64_t k) const { return _mm512_loadu_si512(b + k * stride); }
  void row(vu (&out)[NV], int64_t k) const {
    interleave(out, load_row(2 * k), load_row(2 * k + 1));
    __builtin_prefetch(b + 2 * k * stride + NV * W);
    __builtin_prefetch(b + (2 * k + 1) * stride + NV * W);
  }
  void last(vu (&out)[NV], int64_t k) const { interleave(out, load_row(2 * k), __m512i{}); }
  static void begin(vf& low, vf& high) {
    const vf x = low, y = high;
    low = __builtin_shufflevector(x, y, 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27);
    high = __builtin_shufflevector(x, y, 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31);
  }
  static void end(vf& low, vf& high) {
    const vf x = low, y = high;
    low = __builtin_shufflevector(x, y, 0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23);
    high = __builtin_shufflevector(x, y, 8, 9, 10, 11, 24, 25, 26, 27, 12, 13, 14, 15, 28, 29, 30, 31);
  }
};
#endif

// One register tile: ROWS x VECTORS * W sums over all of K.
template <class T, class B, int ROWS, int VECTORS>
void tile(float* c, int64_t c_stride, const T* a, int64_t a_stride, B b, int64_t K, bool accumulate) {
  vf acc[ROWS][VECTORS];
#pragma GCC unroll 16
  for (int i = 0; i < ROWS; i++) {
#pragma GCC unroll 4
    for (int j = 0; j < VECTORS; j++) acc[i][j] = accumulate ? load(c + i * c_stride + j * W) : vf{};
    if constexpr (VECTORS == 2) B::begin(acc[i][0], acc[i][1]);
  }
  typename B::Vector row[VECTORS];
  const int64_t steps = K / B::STEP;
  for (int64_t k = 0; k < steps; k++) {
    b.row(row, k);
#pragma GCC unroll 16
    for (int i = 0; i < ROWS; i++) {
      const auto x = word(a + i * a_stride, k);
#pragma GCC unroll 4
      for (int j = 0; j < VECTORS; j++) acc[i][j] = multiply_add(acc[i][j], x, row[j]);
    }
  }
  if (K % B::STEP) {  // the last of an odd number: its partner is 0
    b.last(row, steps);
#pragma GCC unroll 16
    for (int i = 0; i < ROWS; i++) {
      decltype(word(a, 0)) x = 0;
      memcpy(&x, a + i * a_stride + K - 1, sizeof(T));
#pragma GCC unroll 4
      for (int j = 0; j < VECTORS; j++) acc[i][j] = multiply_add(acc[i][j], x, row[j]);
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < ROWS; i++) {
    if constexpr (VECTORS == 2) B::end(acc[i][0], acc[i][1]);
#pragma GCC unroll 4
    for (int j = 0; j < VECTORS; j++) store(c + i * c_stride + j * W, acc[i][j]);
  }
}

template <class T, class B, int VECTORS, int ROWS = MR>
void tile_rows(int64_t rows, float* c, int64_t c_stride, const T* a, int64_t a_stride, B b, int64_t K,
               bool accumulate) {
  if (rows == ROWS) tile<T, B, ROWS, VECTORS>(c, c_stride, a, a_stride, b, K, accumulate);
  else if constexpr (ROWS > 1) tile_rows<T, B, VECTORS, ROWS - 1>(rows, c, c_stride, a, a_stride, b, K, accumulate);
}

// Strips of nearly equal height, so that none is too short to hide the latency of its sums.
template <class T, class Word>
void product(float* c, int64_t c_stride, const T* a, int64_t a_stride, const Word* packed, int64_t panel_words,
             int64_t M, int64_t N, int64_t K, bool accumulate) {
  using B = PackedPanel<T, Word>;
  constexpr int64_t P = NV * W;
  const int64_t strips = (M + MR - 1) / MR;
  for (int64_t s = 0; s < strips; s++) {
    const int64_t m = M * s / strips, rows = M * (s + 1) / strips - m;
    const T* strip = a + m * a_stride;
    for (int64_t n = 0; n < N; n += P) {
      const int64_t columns = N - n < P ? N - n : P;
      const B panel(packed + n / P * panel_words);
      float* corner = c + m * c_stride + n;
      if (columns == P) {
        tile_rows<T, B, NV>(rows, corner, c_stride, strip, a_stride, panel, K, accumulate);
      } else if (columns == W) {
        tile_rows<T, B, 1>(rows, corner, c_stride, strip, a_stride, panel, K, accumulate);
      } else {  // whole vectors for the columns at the edge
        alignas(64) float edge[MR * P] = {};
        const size_t bytes = static_cast<size_t>(columns) * sizeof(float);
        for (int64_t i = 0; accumulate && i < rows; i++) memcpy(edge + i * P, corner + i * c_stride, bytes);
        if (columns > W) tile_rows<T, B, NV>(rows, edge, P, strip, a_stride, panel, K, accumulate);
        else tile_rows<T, B, 1>(rows, edge, P, strip, a_stride, panel, K, accumulate);
        for (int64_t i = 0; i < rows; i++) memcpy(corner + i * c_stride, edge + i * P, bytes);
      }
    }
  }
}

// The whole panels of a B as it lies, each for all strips while it is in L1. Returns the columns done.
template <class T, class B>
int64_t product_of_rows(float* c, int64_t c_stride, const T* a, int64_t a_stride, const T* b, int64_t b_stride,
                        int64_t M, int64_t N, int64_t K, bool accumulate) {
  constexpr int64_t P = NV * W;
  const int64_t strips = (M + MR - 1) / MR;
  int64_t n = 0;
  for (; n + P <= N; n += P)
    for (int64_t s = 0; s < strips; s++) {
      const int64_t m = M * s / strips, rows = M * (s + 1) / strips - m;
      tile_rows<T, B, NV>(rows, c + m * c_stride + n, c_stride, a + m * a_stride, a_stride, B(b + n, b_stride), K,
                          accumulate);
    }
  return n;
}

// The columns of a product that need no packed B.
template <class T>
int64_t multiply_rows(float*, int64_t, const T*, int64_t, const T*, int64_t, int64_t, int64_t, int64_t, bool) {
  return 0;
}
int64_t multiply_rows(float* c, int64_t c_stride, const float* a, int64_t a_stride, const float* b, int64_t b_stride,
                      int64_t M, int64_t N, int64_t K, bool accumulate) {
  return product_of_rows<float, RowsOfF32>(c, c_stride, a, a_stride, b, b_stride, M, N, K, accumulate);
}
#if defined(__AVX512BF16__) && !defined(MSM_AMX)
int64_t multiply_rows(float* c, int64_t c_stride, const bf16* a, int64_t a_stride, const bf16* b, int64_t b_stride,
                      int64_t M, int64_t N, int64_t K, bool accumulate) {
  return product_of_rows<bf16, RowsOfBf16>(c, c_stride, a, a_stride, b, b_stride, M, N, K, accumulate);
}
#endif

void multiply(float* c, int64_t c_stride, const float* a, int64_t a_stride, const float* packed, int64_t M, int64_t N,
              int64_t K, bool accumulate) {
  product<float, float>(c, c_stride, a, a_stride, packed, panel_words<float>(K), M, N, K, accumulate);
}

#if defined(MSM_AMX)
void multiply(float* c, int64_t c_stride, const bf16* a, int64_t a_stride, const bf16* packed, int64_t M, int64_t N,
              int64_t K, bool accumulate) {
  amx_matmul(c, c_stride, a, a_stride, packed, panel_words<bf16>(K) * 2, M, N, K, accumulate);
}
#elif defined(__AVX512BF16__)
void multiply(float* c, int64_t c_stride, const bf16* a, int64_t a_stride, const bf16* packed, int64_t M, int64_t N,
              int64_t K, bool accumulate) {
  product<bf16, uint32_t>(c, c_stride, a, a_stride, reinterpret_cast<const uint32_t*>(packed), panel_words<bf16>(K), M,
                          N, K, accumulate);
}
#else
// Widens the rows of A a strip at a time.
void multiply(float* c, int64_t c_stride, const bf16* a, int64_t a_stride, const bf16* packed, int64_t M, int64_t N,
              int64_t K, bool accumulate) {
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
      product<float, float>(c + m * c_stride, c_stride, wide, KC + W,
                            reinterpret_cast<const float*>(packed) + k * PANEL<bf16>, panel_words<bf16>(K), rows, N,
                            depth, accumulate || k > 0);
      k += depth;
    } while (k < K);
  }
}
#endif

}  // namespace

template <class T>
void block_matmul(float* c, int64_t c_stride, const T* a, int64_t a_stride, const T* packed, int64_t M, int64_t N,
                  int64_t K, bool accumulate) {
  multiply(c, c_stride, a, a_stride, packed, M, N, K, accumulate);
}

template <class T>
void block_matmul_nn(float* c, int64_t c_stride, const T* a, int64_t a_stride, const T* b, int64_t b_stride, int64_t M,
                     int64_t N, int64_t K, bool accumulate, T* packed) {
  const int64_t n = multiply_rows(c, c_stride, a, a_stride, b, b_stride, M, N, K, accumulate);
  if (n == N) return;
  pack_nn(packed, b + n, b_stride, K, N - n);
  multiply(c + n, c_stride, a, a_stride, packed, M, N - n, K, accumulate);
}

template void block_matmul<float>(float*, int64_t, const float*, int64_t, const float*, int64_t, int64_t, int64_t,
                                  bool);
template void block_matmul<bf16>(float*, int64_t, const bf16*, int64_t, const bf16*, int64_t, int64_t, int64_t, bool);
template void block_matmul_nn<float>(float*, int64_t, const float*, int64_t, const float*, int64_t, int64_t, int64_t,
                                     int64_t, bool, float*);
template void block_matmul_nn<bf16>(float*, int64_t, const bf16*, int64_t, const bf16*, int64_t, int64_t, int64_t,
                                    int64_t, bool, bf16*);

}  // namespace msm
