// Online softmax of a warp's rows over tiles of keys, and a block's tile of query rows that attends to runs of keys.
// A row's result depends on its own query and keys alone: keys are counted from the first of a run, whatever else the
// block does.
// defines: Attend, KEY_STEP, Keys, QueryTile
#pragma once
#include "attention.cuh"

namespace msm {

// Rows of a warp (layout: attention.cuh): out = sums / mass, where both are relative to 2^(scale2 * top), scale2 =
// scale * log2 e.
template <int FRAGS, int COLS>
struct Attend {
  // top follows the largest score only when that exceeds it by this much (in powers of 2): weights stay below 2^8,
  // which no f32 sum minds, and sums are seldom scaled. Rows decide for themselves.
  static constexpr float RAISE = 8;

  float sums[FRAGS][COLS][4], top[FRAGS][2], mass[FRAGS][2];

  __device__ __forceinline__ void begin() {
#pragma unroll
    for (int f = 0; f < FRAGS; f++) {
#pragma unroll
      for (int j = 0; j < COLS; j++)
#pragma unroll
        for (int x = 0; x < 4; x++) sums[f][j][x] = 0;
#pragma unroll
      for (int i = 0; i < 2; i++) top[f][i] = -INFINITY, mass[f][i] = 0;
    }
  }

  // Scores become weights 2^(scale2 * (score - top)); those of hidden keys are -inf. mass is this lane's part of it
  // until finish.
  template <int KEYS>
  __device__ __forceinline__ void weigh(float (&scores)[FRAGS][KEYS][4], float scale2) {
    float shrink[FRAGS][2];
    bool raised = false;
#pragma unroll
    for (int f = 0; f < FRAGS; f++)
#pragma unroll
      for (int i = 0; i < 2; i++) {
        float largest = -INFINITY;
#pragma unroll
        for (int j = 0; j < KEYS; j++) largest = fmaxf(largest, fmaxf(scores[f][j][2 * i], scores[f][j][2 * i + 1]));
        largest = fmaxf(largest, __shfl_xor_sync(ALL_LANES, largest, 1));
        largest = fmaxf(largest, __shfl_xor_sync(ALL_LANES, largest, 2));
        const bool raise = (largest - top[f][i]) * scale2 > RAISE;  // not where both are -inf
        shrink[f][i] = raise ? exp2_approx((top[f][i] - largest) * scale2) : 1.0f;
        top[f][i] = raise ? largest : top[f][i];
        raised |= raise;
      }
    if (__any_sync(ALL_LANES, raised)) {
#pragma unroll
      for (int f = 0; f < FRAGS; f++) {
#pragma unroll
        for (int j = 0; j < COLS; j++)
#pragma unroll
          for (int x = 0; x < 4; x++) sums[f][j][x] *= shrink[f][x / 2];
#pragma unroll
        for (int i = 0; i < 2; i++) mass[f][i] *= shrink[f][i];
      }
    }
#pragma unroll
    for (int f = 0; f < FRAGS; f++)
#pragma unroll
      for (int i = 0; i < 2; i++) {
        const float base = top[f][i] == -INFINITY ? 0.0f : top[f][i] * scale2;
        float total = 0;
#pragma unroll
        for (int j = 0; j < KEYS; j++)
#pragma unroll
          for (int c = 0; c < 2; c++) {
            float& score = scores[f][j][2 * i + c];
            score = exp2_approx(__fmaf_rn(score, scale2, -base));
            total += score;
          }
        mass[f][i] += total;
      }
  }

  // Joins the four lanes' parts of mass.
  __device__ __forceinline__ void finish() {
#pragma unroll
    for (int f = 0; f < FRAGS; f++)
#pragma unroll
      for (int i = 0; i < 2; i++) {
        mass[f][i] += __shfl_xor_sync(ALL_LANES, mass[f][i], 1);
        mass[f][i] += __shfl_xor_sync(ALL_LANES, mass[f][i], 2);
      }
  }

  // sums / mass to rows of out: see store_rows.
  template <int STEP = 1, class T>
  __device__ __forceinline__ void store(T* out, int64_t stride, int first, int count, int E, bool aligned,
                                        int first_group = 0) const {
    float factor[FRAGS][2];
#pragma unroll
    for (int f = 0; f < FRAGS; f++)
#pragma unroll
      for (int i = 0; i < 2; i++) factor[f][i] = 1.0f / mass[f][i];
    store_rows<STEP>(out, stride, sums, factor, first, count, E, aligned, first_group);
  }
};

// Keys that a softmax takes at once: every row's are cut alike, counted from the first of a run of keys, in prefill and
// decode.
constexpr int KEY_STEP = 32 / NARROWER;

// The keys and values of one kv head: columns col .. col + E of two matrices.
template <class T>
struct Keys {
  Matrix<const T> k, v;
  int col, E;
  bool aligned;
};

// The shared memory of a block and how its warps share the rows: 16 FRAGS each. 32 rows a warp halve what the products
// read from shared memory; heads of 256 leave registers for 16. While one tile of keys and values is multiplied, the
// next loads (f32: no room).
template <class T, int WIDTH>
struct QueryTile {
  static constexpr bool HALF = sizeof(T) == 2;
  static constexpr int FRAGS = HALF && WIDTH <= 128 ? 2 : 1, WARPS = !HALF && WIDTH > 128 ? 2 : 4,
                       STAGES = HALF ? 2 : 1;
  static constexpr int WARP_ROWS = 16 * FRAGS, ROWS = WARP_ROWS * WARPS, THREADS = WARP * WARPS,
                       STAGE = 2 * KEY_STEP * WIDTH;
  static constexpr size_t SHARED_BYTES = (ROWS * WIDTH + STAGES * STAGE) * sizeof(T);
  using State = Attend<FRAGS, WIDTH / 8>;

  T *q, *stages;
  __device__ explicit QueryTile(unsigned char* shared) : q(reinterpret_cast<T*>(shared)), stages(q + ROWS * WIDTH) {}

  // Adds `count` keys from row `first` on to the rows begin .. end of the tile; row r sees the first visible + r *
  // growth of them (growth 0 or 1), the last all.
  __device__ __forceinline__ void add(State& state, const Keys<T>& keys, int first, int count, int visible, int growth,
                                      int begin, int end, float scale2) {
    const int warp_row = warp_id() * WARP_ROWS, first_row = max(begin, warp_row),
              last_row = min(end, warp_row + WARP_ROWS) - 1;
    const int seen_by_first = visible + first_row * growth,
              seen_by_last = first_row <= last_row ? visible + last_row * growth : 0;
    const T* const own = q + warp_row * WIDTH;
    const auto load = [&](T* stage, int at) {
      load_rows<KEY_STEP, WIDTH, THREADS>(stage, keys.k, first + at, keys.col, count - at, keys.E, keys.aligned);
      load_rows<KEY_STEP, WIDTH, THREADS>(stage + KEY_STEP * WIDTH, keys.v, first + at, keys.col, count - at, keys.E,
                                          keys.aligned);
      cp_async_commit();
    };
    int stage = 0;
    __syncthreads();  // the stages of the call before are free
    if (STAGES == 2) load(stages, 0);
    for (int at = 0; at < count; at += KEY_STEP) {
      if (STAGES == 1) {
        __syncthreads();
        load(stages, at);
      }
      cp_async_wait<0>();
      __syncthreads();  // this stage is there, the other is free
      if (STAGES == 2 && at + KEY_STEP < count) load(stages + (1 - stage) * STAGE, at + KEY_STEP);
      if (at < seen_by_last) {
        const T* const k = stages + stage * STAGE;
        float scores[FRAGS][KEY_STEP / 8][4];
        multiply_rows<WIDTH>(scores, own, k);
        if (seen_by_first < at + KEY_STEP) {
#pragma unroll
          for (int f = 0; f < FRAGS; f++)
#pragma unroll
            for (int i = 0; i < 2; i++) {
              const int seen = visible + (warp_row + row_of(f, i)) * growth - at;
#pragma unroll
              for (int j = 0; j < KEY_STEP / 8; j++)
#pragma unroll
                for (int c = 0; c < 2; c++)
                  if (col_of(j, c) >= seen) scores[f][j][2 * i + c] = -INFINITY;
            }
        }
        state.weigh(scores, scale2);
        add_product<WIDTH>(state.sums, Weights<T, FRAGS, KEY_STEP / 8>(scores), k + KEY_STEP * WIDTH);
      }
      stage = STAGES - 1 - stage;
    }
  }
};

}  // namespace msm
