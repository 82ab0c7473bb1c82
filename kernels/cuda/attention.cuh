// What the attention kernels share: tiles of rows in shared memory, products of a warp, and where rows begin.
//
// A warp holds products as mma leaves them, float[FRAGS][COLS][4]: element [f][j][2 i + c] of lane l is row 16 f + 8 i
// + l / 4, column 8 j + 2 (l % 4) + c. f32 products keep that layout and are summed with FMA: one algorithm, two
// arithmetics. WIDTH is E rounded up to a width that kernels are built for; the columns beyond E hold zeros, which
// change no sum.
// defines: LOG2E, LN2, Matrix, for_width, whole_chunks, lane_id, warp_id, run_end, is_single, singles_end, each_single,
// load_rows, row_of, col_of, multiply_rows, Weights, add_product, store_rows
#pragma once
#include <type_traits>

#include "context.h"
#include "fragments.cuh"
#include "tile.cuh"

namespace msm {

constexpr float LOG2E = 1.44269504f, LN2 = 0.69314718f;
constexpr int MAX_HEAD = 256;

// What registers allow, of which ptxas takes more since Blackwell. READ_AHEAD: steps of a product that are unrolled;
// NARROWER: by how much fewer rows are multiplied at a time (the host, which asks for shared memory, counts with 1
// everywhere). The sanitized emulator takes Blackwell's.
#if __CUDA_ARCH__ >= 1000 || defined(MSM_EMULATED_BLACKWELL)
template <class T, int WIDTH>
constexpr int READ_AHEAD = sizeof(T) == 4 ? 1 : 2;
constexpr int NARROWER = 2;
#else
template <class T, int WIDTH>
constexpr int READ_AHEAD = sizeof(T) == 4 ? 2
                           : WIDTH == 128 ? 4
                                          : WIDTH / 16;
constexpr int NARROWER = 1;
#endif

template <class T>
struct Matrix {
  T* at;
  int64_t stride;
  __device__ __forceinline__ T* row(int64_t n, int64_t col) const { return at + n * stride + col; }
};

// body(std::integral_constant<int, WIDTH>) with the narrowest width for E. 80 and 96 pad to no more than they must for
// models that have them.
template <class T, class F>
void for_width(msm_context* context, const char* op, int64_t E, F body) {
  if (E > MAX_HEAD) return fail(context, op, "heads of more than 256 elements are not supported");
  if (E > 128) return body(std::integral_constant<int, 256>());
  if (E <= 64) return body(std::integral_constant<int, 64>());
  if constexpr (std::is_same_v<T, bf16>) {
    if (E <= 80) return body(std::integral_constant<int, 80>());
    if (E <= 96) return body(std::integral_constant<int, 96>());
  }
  return body(std::integral_constant<int, 128>());
}

// Whether rows of heads can be loaded and stored by 16 bytes.
template <class T, class... M>
bool whole_chunks(int64_t E, const M&... matrices) {
  return E % VEC<T> == 0 && (... && aligned16<T>(matrices.at, matrices.stride));
}

__device__ __forceinline__ int lane_id() { return static_cast<int>(threadIdx.x % WARP); }
__device__ __forceinline__ int warp_id() { return static_cast<int>(threadIdx.x / WARP); }

// ---------------------------------------------------------------------------------------------------------------- runs
// Runs of consecutive rows: a segment's tokens, a sequence's query rows. begins(row) says whether a run begins there.
// All lanes of a warp call these together and receive the same.

// The first row of begin .. end for which is(row), or end.
template <class F>
__device__ __forceinline__ int find_row(int begin, int end, F is) {
  for (; begin < end; begin += WARP) {
    const int row = begin + lane_id();
    const unsigned found = __ballot_sync(ALL_LANES, row < end && is(row));
    if (found) return begin + __ffs(static_cast<int>(found)) - 1;
  }
  return end;
}
// The end of row's run, or `end` where that comes first.
template <class F>
__device__ __forceinline__ int run_end(int row, int end, F begins) {
  return find_row(row + 1, end, begins);
}
// Whether row is a run of its own, of N rows in all.
template <class F>
__device__ __forceinline__ bool is_single(int row, int N, F begins) {
  return begins(row) && (row + 1 == N || begins(row + 1));
}
// The first row of begin .. end that is none, or end.
template <class F>
__device__ __forceinline__ int singles_end(int begin, int end, int N, F begins) {
  return find_row(begin, end, [=](int row) { return !is_single(row, N, begins); });
}
// body(row) for the rows of begin .. end (at most 32) that are.
template <class F, class B>
__device__ __forceinline__ void each_single(int begin, int end, int N, F begins, B body) {
  const int own = begin + lane_id();
  for (unsigned left = __ballot_sync(ALL_LANES, own < end && is_single(own, N, begins)); left; left &= left - 1)
    body(begin + __ffs(static_cast<int>(left)) - 1);
}

// --------------------------------------------------------------------------------------------------------------- tiles

// Begins to fill a tile with rows row, row + 1 ... of a matrix, columns col .. col + E: `count` of them (no more than
// ROWS), zeros beyond them and beyond E. To be followed by cp_async_commit. A thread loads one column of chunks.
// `aligned`: see whole_chunks.
template <int ROWS, int WIDTH, int THREADS, class T>
__device__ __forceinline__ void load_rows(T* tile, const Matrix<const T>& from, int64_t row, int col, int count, int E,
                                          bool aligned) {
  constexpr unsigned CHUNKS = WIDTH / VEC<T>,
                     LANES = CHUNKS <= 8    ? 8
                             : CHUNKS <= 16 ? 16
                             : CHUNKS <= 32 ? 32
                                            : 64,
                     STEP = THREADS / LANES;
  static_assert(ROWS % STEP == 0, "whole passes");
  const unsigned chunk = threadIdx.x % LANES, first = threadIdx.x / LANES;
  const int left = E - static_cast<int>(chunk * VEC<T>),
            rows = left > 0 ? count - static_cast<int>(first) : 0;  // of the thread's own
  const T* at = from.row(row + first, col) + chunk * VEC<T>;
  const auto to = [=](unsigned pass) {
    return tile + chunk_at<CHUNKS, T>(first + pass % 8, chunk) + (pass - pass % 8) * WIDTH;
  };  // few addresses
  if (CHUNKS < LANES && chunk >= CHUNKS) return;
  if (aligned) {
#pragma unroll
    for (unsigned pass = 0; pass < ROWS; pass += STEP, at += STEP * from.stride)
      cp_async16(to(pass), at, static_cast<int>(pass) < rows);
  } else {
#pragma unroll 1
    for (unsigned pass = 0; pass < ROWS; pass += STEP, at += STEP * from.stride)
      *reinterpret_cast<Packed*>(to(pass)) = load_vector<false>(at, static_cast<int>(pass) < rows ? left : 0);
  }
}

// ------------------------------------------------------------------------------------------------------------ products

// Where element [f][.][2 i + .] and [.][j][. + c] of the calling lane lie.
__device__ __forceinline__ int row_of(int f, int i) { return 16 * f + 8 * i + lane_id() / 4; }
__device__ __forceinline__ int col_of(int j, int c) { return 8 * j + lane_id() % 4 * 2 + c; }

// out = a b^T: the first 16 FRAGS rows of a tile by the first 8 COLS rows of another.
template <int WIDTH, int FRAGS, int COLS>
__device__ __forceinline__ void multiply_rows(float (&out)[FRAGS][COLS][4], const bf16* a, const bf16* b) {
  static_assert(COLS % 2 == 0, "b is read in pairs of 8 rows");
  const ReadA<WIDTH / VEC<bf16>> a_blocks(a);
  const ReadB<WIDTH / VEC<bf16>, false> b_blocks(b);
#pragma unroll
  for (int f = 0; f < FRAGS; f++)
#pragma unroll
    for (int j = 0; j < COLS; j++)
#pragma unroll
      for (int x = 0; x < 4; x++) out[f][j][x] = 0;
#pragma unroll(READ_AHEAD<bf16, WIDTH>)
  for (int e = 0; e < WIDTH; e += 16) {
    uint32_t in_a[FRAGS][4];
#pragma unroll
    for (int f = 0; f < FRAGS; f++) a_blocks.load(in_a[f], 16 * f, e);
#pragma unroll
    for (int j = 0; j < COLS; j += 2) {
      uint32_t in_b[4];
      b_blocks.load(in_b, e, 8 * j);
#pragma unroll
      for (int f = 0; f < FRAGS; f++) {
        mma_bf16(out[f][j], in_a[f], in_b[0], in_b[1]);
        mma_bf16(out[f][j + 1], in_a[f], in_b[2], in_b[3]);
      }
    }
  }
}

template <int WIDTH, int FRAGS, int COLS>
__device__ __forceinline__ void multiply_rows(float (&out)[FRAGS][COLS][4], const float* a, const float* b) {
  constexpr int CHUNKS = WIDTH / VEC<float>;
  using Chunk = Vec<float, 4>;
  const auto chunk = [](const float* tile, int row, int at) {
    return *reinterpret_cast<const Chunk*>(tile + chunk_at<CHUNKS, float>(row, at));
  };
#pragma unroll
  for (int f = 0; f < FRAGS; f++)
#pragma unroll
    for (int j = 0; j < COLS; j++)
#pragma unroll
      for (int x = 0; x < 4; x++) out[f][j][x] = 0;
#pragma unroll(READ_AHEAD<float, WIDTH>)
  for (int at = 0; at < CHUNKS; at++) {
    Chunk in_a[FRAGS][2];
#pragma unroll
    for (int f = 0; f < FRAGS; f++)
#pragma unroll
      for (int i = 0; i < 2; i++) in_a[f][i] = chunk(a, row_of(f, i), at);
#pragma unroll
    for (int j = 0; j < COLS; j++)
#pragma unroll
      for (int c = 0; c < 2; c++) {
        const Chunk in_b = chunk(b, col_of(j, c), at);
#pragma unroll
        for (int f = 0; f < FRAGS; f++)
#pragma unroll
          for (int i = 0; i < 2; i++)
#pragma unroll
            for (int e = 0; e < 4; e++)
              out[f][j][2 * i + c] = __fmaf_rn(in_a[f][i].at[e], in_b.at[e], out[f][j][2 * i + c]);
      }
  }
}

// A product as the left operand of the next, rounded to T.
template <class T, int FRAGS, int COLS>
struct Weights;

template <int FRAGS, int COLS>
struct Weights<bf16, FRAGS, COLS> {
  uint32_t at[FRAGS][COLS / 2][4];
  __device__ __forceinline__ explicit Weights(const float (&from)[FRAGS][COLS][4]) {
#pragma unroll
    for (int f = 0; f < FRAGS; f++)
#pragma unroll
      for (int j = 0; j < COLS; j++)
#pragma unroll
        for (int i = 0; i < 2; i++) at[f][j / 2][j % 2 * 2 + i] = pack_bf16(from[f][j][2 * i], from[f][j][2 * i + 1]);
  }
};

template <int FRAGS, int COLS>
struct Weights<float, FRAGS, COLS> {
  float at[FRAGS][COLS][4];
  __device__ __forceinline__ explicit Weights(const float (&from)[FRAGS][COLS][4]) {
#pragma unroll
    for (int f = 0; f < FRAGS; f++)
#pragma unroll
      for (int j = 0; j < COLS; j++)
#pragma unroll
        for (int x = 0; x < 4; x++) at[f][j][x] = from[f][j][x];
  }
};

// sums += weights b: the first 8 COLS rows of a tile, its columns in groups of 16: first, first + STEP, ...
template <int WIDTH, int STEP = 1, int FRAGS, int COLS, int OUT>
__device__ __forceinline__ void add_product(float (&sums)[FRAGS][OUT][4], const Weights<bf16, FRAGS, COLS>& weights,
                                            const bf16* b, int first = 0) {
  const ReadB<WIDTH / VEC<bf16>, true> blocks(b);
#pragma unroll
  for (int j = 0; j < OUT; j += 2)
#pragma unroll
    for (int k = 0; k < COLS / 2; k++) {
      uint32_t in_b[4];
      blocks.load(in_b, 16 * k, 16 * (first + j / 2 * STEP));
#pragma unroll
      for (int f = 0; f < FRAGS; f++) {
        mma_bf16(sums[f][j], weights.at[f][k], in_b[0], in_b[1]);
        mma_bf16(sums[f][j + 1], weights.at[f][k], in_b[2], in_b[3]);
      }
    }
}

template <int WIDTH, int STEP = 1, int FRAGS, int COLS, int OUT>
__device__ __forceinline__ void add_product(float (&sums)[FRAGS][OUT][4], const Weights<float, FRAGS, COLS>& weights,
                                            const float* b, int first = 0) {
  static_assert(TURN<WIDTH / VEC<float>> == 8,
                "what chunk_at makes of an element is written out here, the lane's part apart");
  const int quad = lane_id() % 4,
            own[2] = {quad / 2 * VEC<float> + quad % 2 * 2, (quad / 2 ^ 1) * VEC<float> + quad % 2 * 2};
#pragma unroll
  for (int k = 0; k < COLS; k++)
#pragma unroll
    for (int within = 0; within < 8; within++) {
      float weight[FRAGS][2];  // of the row's lane that holds this column
#pragma unroll
      for (int f = 0; f < FRAGS; f++)
#pragma unroll
        for (int i = 0; i < 2; i++)
          weight[f][i] = __shfl_sync(ALL_LANES, weights.at[f][k][2 * i + within % 2], within / 2, 4);
#pragma unroll
      for (int j = 0; j < OUT; j++) {
        const int chunk = (4 * (first + j / 2 * STEP) + j % 2 * 2) ^ (within & 6);
        const auto in_b = *reinterpret_cast<const Vec<float, 2>*>(b + own[within % 2] + (8 * k + within) * WIDTH +
                                                                  chunk * VEC<float>);
#pragma unroll
        for (int f = 0; f < FRAGS; f++)
#pragma unroll
          for (int x = 0; x < 4; x++) sums[f][j][x] = __fmaf_rn(weight[f][x / 2], in_b.at[x % 2], sums[f][j][x]);
      }
    }
}

// ------------------------------------------------------------------------------------------------------------- results

// low and high, rounded, as they lie in memory.
__device__ __forceinline__ void round_pair(uint32_t (&to)[1], float low, float high) { to[0] = pack_bf16(low, high); }
__device__ __forceinline__ void round_pair(uint32_t (&to)[2], float low, float high) {
  to[0] = __float_as_uint(low), to[1] = __float_as_uint(high);
}

// Rows of sums, times factor[f][i], to out + row * stride where 0 <= row < count, `first` being the row of the warp's
// first; columns in groups of 16 as in add_product, up to E. The two lanes that hold four consecutive columns of two
// groups of 8 exchange one of them, so that each stores four together (`aligned`: at once).
template <int STEP = 1, class T, int FRAGS, int COLS>
__device__ __forceinline__ void store_rows(T* out, int64_t stride, const float (&sums)[FRAGS][COLS][4],
                                           const float (&factor)[FRAGS][2], int first, int count, int E, bool aligned,
                                           int first_group = 0) {
  constexpr int WORDS = sizeof(T) / 2, GROUP = 16 * STEP;  // words of two elements
  const int odd = lane_id() % 2, own_col = 16 * first_group + 8 * odd + lane_id() % 4 / 2 * 4;
#pragma unroll
  for (int f = 0; f < FRAGS; f++)
#pragma unroll
    for (int i = 0; i < 2; i++) {
      const int row = first + row_of(f, i), left = row >= 0 && row < count ? E - own_col : 0;
      T* const to = out + row * stride + own_col;
#pragma unroll
      for (int j = 0; j < COLS; j += 2) {
        uint32_t low[WORDS], high[WORDS];  // of the group's first and second 8 columns
        round_pair(low, sums[f][j][2 * i] * factor[f][i], sums[f][j][2 * i + 1] * factor[f][i]);
        round_pair(high, sums[f][j + 1][2 * i] * factor[f][i], sums[f][j + 1][2 * i + 1] * factor[f][i]);
        Vec<uint32_t, 2 * WORDS> four;
#pragma unroll
        for (int w = 0; w < WORDS; w++) {
          const uint32_t received = __shfl_xor_sync(ALL_LANES, odd ? low[w] : high[w], 1);
          four.at[w] = odd ? received : low[w];
          four.at[WORDS + w] = odd ? high[w] : received;
        }
        if (aligned && j / 2 * GROUP < left) *reinterpret_cast<Vec<uint32_t, 2 * WORDS>*>(to + j / 2 * GROUP) = four;
        if (aligned) continue;
#pragma unroll
        for (int c = 0; c < 4; c++)
          if (j / 2 * GROUP + c < left)
            set_bits(to[j / 2 * GROUP + c], four.at[c * WORDS / 2] >> (WORDS == 1 ? 16 * (c % 2) : 0));
      }
    }
}

}  // namespace msm
