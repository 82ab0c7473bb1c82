// AMX: products of tiles of 16 rows x 64 bytes, bf16 in, f32 sums. One header for the instructions and, under
// MSM_AMX_EMULATED, for code with their documented meaning, so that the path is tested on machines without AMX.
// defines: amx_configure, amx_matmul
#pragma once
#include "block.h"

#if defined(MSM_AMX)
namespace msm {

// Tiles 0..3 are the sums (row tile, column tile) = (0,0) (0,1) (1,0) (1,1); 4 and 5 rows of A; 6 and 7 columns of B.
enum { TILE_C = 0, TILE_A = 4, TILE_B = 6 };

// The configuration of palette 1 as LDTILECFG reads it.
struct TileConfig {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};
};

#if !defined(__AMX_BF16__)
struct EmulatedTile {
  uint32_t words[16][16];
};
inline thread_local EmulatedTile emulated_tiles[8];
inline thread_local TileConfig emulated_config;
#endif

// Configures the calling thread's tiles for rows0 and rows1 rows of A (and of the sums), unless they already are.
inline void amx_configure(int rows0, int rows1) {
  static thread_local int configured0 = 0, configured1 = 0;
  if (configured0 == rows0 && configured1 == rows1) return;
  configured0 = rows0;
  configured1 = rows1;
  TileConfig config;
  for (int t = 0; t < 8; t++) {
    const int rows = t >= TILE_B ? 16 : (t == 2 || t == 3 || t == 5) ? rows1 : rows0;
    config.rows[t] = static_cast<uint8_t>(rows);
    config.row_bytes[t] = rows ? 64 : 0;
  }
#if defined(__AMX_BF16__)
  asm volatile("ldtilecfg %0" ::"m"(config));
#else
  emulated_config = config;
#endif
}

#if defined(__AMX_BF16__)

// As assembler: GCC's intrinsics are macros that take a tile's number as written, not a template's parameter.
template <int T>
inline void amx_zero() {
  asm volatile("tilezero %%tmm%c0" ::"i"(T));
}
template <int T>
inline void amx_load(const void* p, int64_t row_bytes) {
  asm volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(p), "r"(row_bytes), "i"(T) : "memory");
}
template <int T>
inline void amx_store(void* p, int64_t row_bytes) {
  asm volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(p), "r"(row_bytes), "i"(T) : "memory");
}
template <int C, int A, int B>
inline void amx_multiply_add() {
  asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(C), "i"(A), "i"(B));
}

#else

template <int T>
inline void amx_zero() {
  memset(&emulated_tiles[T], 0, sizeof(EmulatedTile));
}
template <int T>
inline void amx_load(const void* p, int64_t row_bytes) {
  amx_zero<T>();
  for (int r = 0; r < emulated_config.rows[T]; r++)
    memcpy(emulated_tiles[T].words[r], static_cast<const char*>(p) + r * row_bytes, emulated_config.row_bytes[T]);
}
template <int T>
inline void amx_store(void* p, int64_t row_bytes) {
  for (int r = 0; r < emulated_config.rows[T]; r++)
    memcpy(static_cast<char*>(p) + r * row_bytes, emulated_tiles[T].words[r], emulated_config.row_bytes[T]);
}
// TDPBF16PS: even and odd products (exact in f32) are summed apart over the tile's 16 pairs, then added to each other
// and to the sum.
template <int C, int A, int B>
inline void amx_multiply_add() {
  const auto half = [](uint32_t word, bool odd) {
    const uint32_t bits = odd ? word & 0xffff0000u : word << 16;
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
  };
  for (int m = 0; m < emulated_config.rows[C]; m++)
    for (int n = 0; n < 16; n++) {
      float even = 0, odd = 0, c;
      for (int k = 0; k < 16; k++) {
        const uint32_t a = emulated_tiles[A].words[m][k], b = emulated_tiles[B].words[k][n];
        even += half(a, false) * half(b, false);
        odd += half(a, true) * half(b, true);
      }
      memcpy(&c, &emulated_tiles[C].words[m][n], sizeof c);
      c += even + odd;
      memcpy(&emulated_tiles[C].words[m][n], &c, sizeof c);
    }
}

#endif

// The sums (I, J) of a tile pair from and to c; a tile of fewer than 16 columns goes through `edge`.
template <int T>
inline void amx_load_sums(const float* c, int64_t c_stride, int rows, int64_t columns, float (&edge)[16][16]) {
  if (columns >= 16) return amx_load<T>(c, c_stride * 4);
  for (int m = 0; m < rows; m++) memcpy(edge[m], c + m * c_stride, static_cast<size_t>(columns) * sizeof(float));
  amx_load<T>(edge, 64);
}
template <int T>
inline void amx_store_sums(float* c, int64_t c_stride, int rows, int64_t columns, float (&edge)[16][16]) {
  if (columns >= 16) return amx_store<T>(c, c_stride * 4);
  amx_store<T>(edge, 64);
  for (int m = 0; m < rows; m++) memcpy(c + m * c_stride, edge[m], static_cast<size_t>(columns) * sizeof(float));
}

// One tile of sums (TALL: two row tiles, WIDE: two column tiles) over all of K. `tail` holds the last, incomplete 32 of
// K.
template <bool TALL, bool WIDE>
inline void amx_tile(float* c, int64_t c_stride, const bf16* a, int64_t a_stride, const bf16 (&tail)[32][32],
                     const bf16* panel, int rows0, int rows1, int64_t columns, int64_t K, bool accumulate) {
  alignas(64) float edge[16][16] = {};
  float* lower = c + 16 * c_stride;
  if (accumulate) {
    amx_load_sums<0>(c, c_stride, rows0, columns, edge);
    if constexpr (WIDE) amx_load_sums<1>(c + 16, c_stride, rows0, columns - 16, edge);
    if constexpr (TALL) amx_load_sums<2>(lower, c_stride, rows1, columns, edge);
    if constexpr (TALL && WIDE) amx_load_sums<3>(lower + 16, c_stride, rows1, columns - 16, edge);
  } else {
    amx_zero<0>();
    if constexpr (WIDE) amx_zero<1>();
    if constexpr (TALL) amx_zero<2>();
    if constexpr (TALL && WIDE) amx_zero<3>();
  }
  for (int64_t k = 0; k < K; k += 32) {
    const bool whole = k + 32 <= K;
    const bf16* rows = whole ? a + k : tail[0];
    const int64_t stride = whole ? a_stride : 32;
    amx_load<TILE_B>(panel + k * PANEL<bf16>, PANEL<bf16> * 4);
    amx_load<TILE_A>(rows, stride * 2);
    amx_multiply_add<0, TILE_A, TILE_B>();
    if constexpr (WIDE) {
      amx_load<TILE_B + 1>(panel + k * PANEL<bf16> + 32, PANEL<bf16> * 4);
      amx_multiply_add<1, TILE_A, TILE_B + 1>();
    }
    if constexpr (TALL) {
      amx_load<TILE_A + 1>(rows + 16 * stride, stride * 2);
      amx_multiply_add<2, TILE_A + 1, TILE_B>();
      if constexpr (WIDE) amx_multiply_add<3, TILE_A + 1, TILE_B + 1>();
    }
  }
  amx_store_sums<0>(c, c_stride, rows0, columns, edge);
  if constexpr (WIDE) amx_store_sums<1>(c + 16, c_stride, rows0, columns - 16, edge);
  if constexpr (TALL) amx_store_sums<2>(lower, c_stride, rows1, columns, edge);
  if constexpr (TALL && WIDE) amx_store_sums<3>(lower + 16, c_stride, rows1, columns - 16, edge);
}

// block_matmul for bf16 on AMX; panels are panel_elements apart.
inline void amx_matmul(float* c, int64_t c_stride, const bf16* a, int64_t a_stride, const bf16* packed,
                       int64_t panel_elements, int64_t M, int64_t N, int64_t K, bool accumulate) {
  bf16 tail[32][32];
  const int64_t k_tail = K / 32 * 32;
  for (int64_t m = 0; m < M; m += 32) {
    const int rows0 = static_cast<int>(M - m < 16 ? M - m : 16), rows1 = static_cast<int>(M - m < 16   ? 0
                                                                                          : M - m < 32 ? M - m - 16
                                                                                                       : 16);
    amx_configure(rows0, rows1);
    const bf16* rows = a + m * a_stride;
    if (k_tail < K) {
      memset(tail, 0, sizeof tail);
      for (int i = 0; i < rows0 + rows1; i++)
        memcpy(tail[i], rows + i * a_stride + k_tail, static_cast<size_t>(K - k_tail) * sizeof(bf16));
    }
    for (int64_t n = 0; n < N; n += PANEL<bf16>) {
      const auto tile = rows1 ? (N - n > 16 ? amx_tile<true, true> : amx_tile<true, false>)
                              : (N - n > 16 ? amx_tile<false, true> : amx_tile<false, false>);
      tile(c + m * c_stride + n, c_stride, rows, a_stride, tail, packed + n / PANEL<bf16> * panel_elements, rows0,
           rows1, N - n, K, accumulate);
    }
  }
}

}  // namespace msm
#endif
