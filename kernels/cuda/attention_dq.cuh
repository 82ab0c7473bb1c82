// dQ of a tile of query rows. A block takes the tile and one query head, and passes over the keys of each segment that
// has rows in the tile:
// S = Q K^T, dP = dO V^T, dQ += dS K. K and V alternate between two buffers: the next keys load where the values have
// been used.
// defines: GradientTile, attention_dq_kernel
#pragma once
#include "attention_backward.cuh"

namespace msm {

template <class T, int WIDTH>
struct GradientTile {
  static constexpr bool HALF = sizeof(T) == 2;
  static constexpr int FRAGS = HALF && WIDTH <= 128 ? 2 : 1, WARPS = !HALF && WIDTH > 128 ? 2 : 4,
                       THREADS = WARP * WARPS;
  static constexpr int WARP_ROWS = 16 * FRAGS, ROWS = WARP_ROWS * WARPS,
                       STEP = (!HALF && WIDTH > 128 ? 16 : 32) / NARROWER;  // keys at a time
  static constexpr size_t SHARED_BYTES = 2 * (ROWS + STEP) * WIDTH * sizeof(T);

  T *q, *dout, *keys;
  __device__ explicit GradientTile(unsigned char* shared)
      : q(reinterpret_cast<T*>(shared)), dout(q + ROWS * WIDTH), keys(dout + ROWS * WIDTH) {}
};

template <class T, int WIDTH>
__global__ void __launch_bounds__(GradientTile<T, WIDTH>::THREADS, 2) attention_dq_kernel(const Backward<T> args) {
  using Tile = GradientTile<T, WIDTH>;
  constexpr int FRAGS = Tile::FRAGS, STEP = Tile::STEP, COLS = STEP / 8;
  const Tile tile(dynamic_shared());
  const int kv = static_cast<int>(blockIdx.y), head = kv * args.group + static_cast<int>(blockIdx.x);
  const int first =
      static_cast<int>(gridDim.z - 1 - blockIdx.z) * Tile::ROWS;  // the last tiles see the most keys: they begin first
  const int last = min(first + Tile::ROWS, args.N), warp_row = first + warp_id() * Tile::WARP_ROWS;
  const auto begins = [&args](int row) { return args.starts[row] == row; };
  load_rows<Tile::ROWS, WIDTH, Tile::THREADS>(tile.q, args.q, first, head * args.E, last - first, args.E, args.aligned);
  load_rows<Tile::ROWS, WIDTH, Tile::THREADS>(tile.dout, args.dout, first, head * args.E, last - first, args.E,
                                              args.aligned);
  cp_async_commit();
  each_single(warp_row, min(warp_row + Tile::WARP_ROWS, last), args.N, begins, [&](int row) {
    for (int e = lane_id(); e < args.E; e += WARP) *args.dq.row(row, head * args.E + e) = from_float<T>(0.0f);
  });

  for (int row = first, row_end; row < last; row = row_end) {
    row_end = singles_end(row, last, args.N, begins);
    if (row_end > row) continue;
    row_end = run_end(row, last, begins);
    const int start = args.starts[row], first_row = max(row, warp_row),
              own_end = min(row_end, warp_row + Tile::WARP_ROWS);
    const int key_end = first_row < own_end ? own_end : start;  // of the keys that the warp's rows see
    float dq[FRAGS][WIDTH / 8][4] = {}, base[FRAGS][2], delta[FRAGS][2];
    const int64_t head_row = static_cast<int64_t>(head) * args.N;
#pragma unroll
    for (int f = 0; f < FRAGS; f++)
#pragma unroll
      for (int i = 0; i < 2; i++) {
        const int own = min(warp_row + row_of(f, i), last - 1);
        base[f][i] = args.lse[head_row + own] * LOG2E;
        delta[f][i] = args.delta[head_row + own];
      }
    const auto load = [&](T* to, const Matrix<const T>& from, int key) {
      load_rows<STEP, WIDTH, Tile::THREADS>(to, from, key, kv * args.E, row_end - key, args.E, args.aligned);
      cp_async_commit();
    };
    int in_second = 0;  // where k is
    __syncthreads();    // both are free
    load(tile.keys, args.k, start);
    for (int key = start; key < row_end; key += STEP) {
      T *const k = tile.keys + in_second * STEP * WIDTH, *const v = tile.keys + (1 - in_second) * STEP * WIDTH;
      const bool active = key < key_end;
      cp_async_wait<0>();
      __syncthreads();  // k is there, v is free
      load(v, args.v, key);
      float p[FRAGS][COLS][4], ds[FRAGS][COLS][4];
      if (active) multiply_rows<WIDTH>(p, tile.q + (warp_row - first) * WIDTH, k);
      cp_async_wait<0>();
      __syncthreads();  // v is there
      if (active) multiply_rows<WIDTH>(ds, tile.dout + (warp_row - first) * WIDTH, v);
      __syncthreads();  // v is free
      if (key + STEP < row_end) load(v, args.k, key + STEP);
      if (active) {
#pragma unroll
        for (int f = 0; f < FRAGS; f++)
#pragma unroll
          for (int i = 0; i < 2; i++) {
            const int seen = warp_row + row_of(f, i) - key;  // the last key that the row sees
#pragma unroll
            for (int j = 0; j < COLS; j++)
#pragma unroll
              for (int c = 0; c < 2; c++) {
                float weight = exp2_approx(__fmaf_rn(p[f][j][2 * i + c], args.scale * LOG2E, -base[f][i]));
                if (key + STEP > first_row && col_of(j, c) > seen) weight = 0;
                ds[f][j][2 * i + c] = weight * (ds[f][j][2 * i + c] - delta[f][i]);
              }
          }
        add_product<WIDTH>(dq, Weights<T, FRAGS, COLS>(ds), k);
      }
      in_second = 1 - in_second;
    }
    float factor[FRAGS][2];
#pragma unroll
    for (int f = 0; f < FRAGS; f++)
#pragma unroll
      for (int i = 0; i < 2; i++) factor[f][i] = args.scale;
    store_rows(args.dq.row(row, head * args.E), args.dq.stride, dq, factor, warp_row - row, row_end - row, args.E,
               args.aligned);
  }
}

}  // namespace msm
