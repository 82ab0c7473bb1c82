// dK and dV of a tile of keys. A block takes the tile and one kv head, and passes over the queries of each segment that
// has keys in the tile, of all query heads of the kv head: sums over them are complete and in a fixed order. Products
// are those of S^T, so that P^T and dS^T stay in registers: S^T = K Q^T, dP^T = V dO^T, dV += P^T dO, dK += dS^T Q. Q
// and dO have one buffer each: one loads while the other is multiplied.
// defines: KeyTile, attention_dkdv_kernel
#pragma once
#include "attention_backward.cuh"

namespace msm {

// 16 FRAGS keys a warp. Heads of 256: registers hold the sums of half their columns, of which a block does one (and all
// scores again).
template <class T, int WIDTH>
struct KeyTile {
  static constexpr bool HALF = sizeof(T) == 2;
  static constexpr int FRAGS = HALF && WIDTH == 64 ? 2 : 1, WARPS = !HALF && WIDTH > 128 ? 2 : 4,
                       THREADS = WARP * WARPS;
  static constexpr int WARP_ROWS = 16 * FRAGS, ROWS = WARP_ROWS * WARPS, OUT = WIDTH > 128 ? 128 : WIDTH;
  static constexpr int STEP = HALF ? (FRAGS == 2 ? 32 / NARROWER : WIDTH > 128 ? 32 : 64) : 16;  // queries at a time
  static constexpr size_t SHARED_BYTES = 2 * (ROWS + STEP) * WIDTH * sizeof(T) + 2 * STEP * sizeof(float);
  static constexpr int HALVES = WIDTH / OUT;
  static_assert(STEP <= THREADS, "a thread for each query");

  T *k, *v, *q, *dout;
  float *base, *delta;  // of the queries: lse * log2 e, infinite (weight 0) beyond the last; dout . out
  __device__ explicit KeyTile(unsigned char* shared)
      : k(reinterpret_cast<T*>(shared)),
        v(k + ROWS * WIDTH),
        q(v + ROWS * WIDTH),
        dout(q + STEP * WIDTH),
        base(reinterpret_cast<float*>(dout + STEP * WIDTH)),
        delta(base + STEP) {}
};

// A row that is a segment of its own: its p is 1, whatever q and k are.
template <class T>
__device__ __forceinline__ void differentiate_single(const Backward<T>& args, int kv, int row) {
  for (int e = lane_id(); e < args.E; e += WARP) {
    float sum = 0;
    for (int i = 0; i < args.group; i++) sum += to_float(*args.dout.row(row, (kv * args.group + i) * args.E + e));
    *args.dk.row(row, kv * args.E + e) = from_float<T>(0.0f);
    *args.dv.row(row, kv * args.E + e) = from_float<T>(sum);
  }
}

template <class T, int WIDTH>
__global__ void __launch_bounds__(KeyTile<T, WIDTH>::THREADS, 2) attention_dkdv_kernel(const Backward<T> args) {
  using Tile = KeyTile<T, WIDTH>;
  constexpr int FRAGS = Tile::FRAGS, STEP = Tile::STEP, COLS = STEP / 8, OUT = Tile::OUT / 8;
  const Tile tile(dynamic_shared());
  const int kv = static_cast<int>(blockIdx.x) / Tile::HALVES, half = static_cast<int>(blockIdx.x) % Tile::HALVES;
  const int first = static_cast<int>(blockIdx.y) * Tile::ROWS, last = min(first + Tile::ROWS, args.N),
            warp_row = first + warp_id() * Tile::WARP_ROWS;
  const auto begins = [&args](int row) { return args.starts[row] == row; };
  if (half == 0)
    each_single(warp_row, min(warp_row + Tile::WARP_ROWS, last), args.N, begins,
                [&](int row) { differentiate_single(args, kv, row); });
  load_rows<Tile::ROWS, WIDTH, Tile::THREADS>(tile.k, args.k, first, kv * args.E, last - first, args.E, args.aligned);
  load_rows<Tile::ROWS, WIDTH, Tile::THREADS>(tile.v, args.v, first, kv * args.E, last - first, args.E, args.aligned);
  cp_async_commit();

  for (int row = first, row_end; row < last; row = row_end) {
    row_end = singles_end(row, last, args.N, begins);
    if (row_end > row) continue;
    row_end = run_end(row, last, begins);
    const int start = args.starts[row], end = args.ends[start];
    const int first_query =
        start +
        (row - start) / STEP * STEP;  // steps are counted from the segment's first row: no bit depends on where it lies
    const int first_key = max(row, warp_row);  // of the warp's
    const bool any = first_key < min(row_end, warp_row + Tile::WARP_ROWS);
    float dk[FRAGS][OUT][4] = {}, dv[FRAGS][OUT][4] = {};
    for (int head = kv * args.group; head < (kv + 1) * args.group; head++) {
      const int64_t head_row = static_cast<int64_t>(head) * args.N;
      const auto load = [&](T* to, const Matrix<const T>& from, int query) {
        load_rows<STEP, WIDTH, Tile::THREADS>(to, from, query, head * args.E, end - query, args.E, args.aligned);
        cp_async_commit();
      };
      load(tile.q, args.q, first_query);
      for (int query = first_query; query < end; query += STEP) {
        const bool active = any && query + STEP > first_key;
        cp_async_wait<0>();
        __syncthreads();  // q is there; dout, base and delta are free
        load(tile.dout, args.dout, query);
        if (const int i = static_cast<int>(threadIdx.x); i < STEP) {
          const bool inside = query + i < end;
          tile.base[i] = inside ? args.lse[head_row + query + i] * LOG2E : INFINITY;
          tile.delta[i] = inside ? args.delta[head_row + query + i] : 0.0f;
        }
        float p[FRAGS][COLS][4], ds[FRAGS][COLS][4];
        if (active) multiply_rows<WIDTH>(p, tile.k + (warp_row - first) * WIDTH, tile.q);
        cp_async_wait<0>();
        __syncthreads();  // dout, base and delta are there
        if (active) {
          multiply_rows<WIDTH>(ds, tile.v + (warp_row - first) * WIDTH, tile.dout);
#pragma unroll
          for (int j = 0; j < COLS; j++)
#pragma unroll
            for (int c = 0; c < 2; c++) {
              const float base = tile.base[col_of(j, c)], delta = tile.delta[col_of(j, c)];
#pragma unroll
              for (int f = 0; f < FRAGS; f++)
#pragma unroll
                for (int i = 0; i < 2; i++) {
                  float& weight = p[f][j][2 * i + c];
                  weight = exp2_approx(__fmaf_rn(weight, args.scale * LOG2E, -base));
                  if (query < first_key + Tile::WARP_ROWS && query + col_of(j, c) < warp_row + row_of(f, i)) weight = 0;
                  ds[f][j][2 * i + c] = weight * (ds[f][j][2 * i + c] - delta);
                }
            }
          add_product<WIDTH>(dk, Weights<T, FRAGS, COLS>(ds), tile.q + half * Tile::OUT);
        }
        __syncthreads();  // q is free
        if (query + STEP < end) load(tile.q, args.q, query + STEP);
        if (active) add_product<WIDTH>(dv, Weights<T, FRAGS, COLS>(p), tile.dout + half * Tile::OUT);
      }
    }
    const auto store = [&](const Matrix<T>& to, const float (&sums)[FRAGS][OUT][4], float scale) {
      float factor[FRAGS][2];
#pragma unroll
      for (int f = 0; f < FRAGS; f++)
#pragma unroll
        for (int i = 0; i < 2; i++) factor[f][i] = scale;
      store_rows(to.row(row, kv * args.E), to.stride, sums, factor, warp_row - row, row_end - row, args.E, args.aligned,
                 half * (OUT / 2));
    };
    store(args.dk, dk, args.scale);
    store(args.dv, dv, 1.0f);
  }
}

}  // namespace msm
