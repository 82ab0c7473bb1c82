// Query rows alone in their sequence (decoding). A block takes a row and up to 16 query heads of a kv head, the rows of
// its products: keys and values are read once for all of them. Its warps share out the keys of a tile for the scores,
// pass these on in shared memory, weigh all of them, and share out the columns of the values. Scores are weighed in the
// steps of a prefill: the same bits. Rows with more than LONG keys are summed in parts, cut by the row's own number of
// keys, and joined in order: by the block that sums them one after the other, or, where rows are few, by another kernel
// after a block for each part.
// Limit: the bytes of the keys and values.
// defines: Cached, MAX_PARTS, DecodeTile, attention_decode_kernel, attention_join_kernel
#pragma once
#include "softmax.cuh"

namespace msm {

template <class T>
struct Cached {
  Matrix<T> out;
  Matrix<const T> q, k, v;
  const int32_t* ranges;
  float scale;
  int N, H, group, E;
  bool aligned;
  float* partial;  // [N, H, MAX_PARTS, E + 2]: sums, top, mass; null: a block sums all parts of a row

  // Whether row is the first of its sequence in the call.
  __device__ __forceinline__ bool begins(int row) const {
    if (row == 0) return true;
    const int32_t *const before = ranges + 4ll * (row - 1), *const own = before + 4;
    return own[0] != before[0] || own[1] != before[1] || own[2] != before[2] || own[3] != before[3] + 1;
  }
};

constexpr int LONG = 1024, MAX_PARTS = 32, MIN_PART = 256;  // keys, parts, keys
constexpr int DECODE_ROWS = 16, DECODE_WARPS = 4, DECODE_THREADS = DECODE_WARPS * WARP;

template <class T, int WIDTH>
struct DecodeTile {
  static constexpr int COLS = sizeof(T) == 2 ? 2 : 1, KEYS = 8 * COLS * DECODE_WARPS;  // a warp's scores: 8 COLS keys
  static constexpr int OUT = WIDTH / 8 / DECODE_WARPS, STAGES = WIDTH <= 128 ? 2 : 1,
                       STAGE = 2 * KEYS * WIDTH;  // a warp's sums: 8 OUT columns
  static constexpr size_t SHARED_BYTES =
      (DECODE_ROWS * WIDTH + STAGES * STAGE) * sizeof(T) + DECODE_ROWS * KEYS * sizeof(float);
  static_assert(KEYS % KEY_STEP == 0 && OUT % 2 == 0, "whole steps, whole groups of 16 columns");
};

// The keys of a row as tiles: those of range a, then those of range b, each counted from its first.
template <int KEYS>
struct KeyTiles {
  int a, a_end, b, b_end, in_a, count, each;  // each: tiles of a part

  __device__ __forceinline__ explicit KeyTiles(const int32_t* ranges)
      : a(ranges[0]), a_end(ranges[1]), b(ranges[2]), b_end(ranges[3]) {
    in_a = (a_end - a + KEYS - 1) / KEYS;
    count = in_a + (b_end - b + KEYS - 1) / KEYS;
    each = a_end - a + b_end - b <= LONG ? count : max((count + MAX_PARTS - 1) / MAX_PARTS, MIN_PART / KEYS);
  }
  __device__ __forceinline__ int parts() const { return (count + each - 1) / each; }
  __device__ __forceinline__ int begin(int tile) const {
    return tile < in_a ? a + tile * KEYS : b + (tile - in_a) * KEYS;
  }
  __device__ __forceinline__ int size(int tile) const { return min(KEYS, (tile < in_a ? a_end : b_end) - begin(tile)); }
};

// How two parts of a sum are joined: total = total * of_total + part * of_part, with both relative to the larger top.
struct Join {
  float top, of_total, of_part;
  __device__ __forceinline__ Join(float total, float part, float scale2)
      : top(fmaxf(total, part)),
        of_total(exp2_approx((total - top) * scale2)),
        of_part(exp2_approx((part - top) * scale2)) {}
  __device__ __forceinline__ void add(float& total, float part) const {
    total = __fmaf_rn(total, of_total, __fmul_rn(part, of_part));
  }
};

// Sums of tiles begin .. end: `shared` as DecodeTile lays it out, with the queries there or under way.
template <class T, int WIDTH, class State>
__device__ __forceinline__ void attend_tiles(State& state, T* q, const Cached<T>& args,
                                             const KeyTiles<DecodeTile<T, WIDTH>::KEYS>& tiles, int kv, int begin,
                                             int end) {
  using Tile = DecodeTile<T, WIDTH>;
  constexpr int STEPS = Tile::KEYS / KEY_STEP, COLS = Tile::COLS;
  T* const stages = q + DECODE_ROWS * WIDTH;
  float4* const scores = reinterpret_cast<float4*>(
      stages + Tile::STAGES * Tile::STAGE);  // of 8 keys after the other, each lane's four as mma leaves them
  const auto load = [&](T* stage, int at) {
    const auto rows = [&](const Matrix<const T>& from, T* to) {
      load_rows<Tile::KEYS, WIDTH, DECODE_THREADS>(to, from, tiles.begin(at), kv * args.E, tiles.size(at), args.E,
                                                   args.aligned);
    };
    rows(args.k, stage);
    rows(args.v, stage + Tile::KEYS * WIDTH);
    cp_async_commit();
  };
  T *k = stages, *next = stages + (Tile::STAGES - 1) * Tile::STAGE;
  __syncthreads();  // the stages are free
  if (Tile::STAGES == 2) load(k, begin);
  for (int at = begin; at < end; at++) {
    if (Tile::STAGES == 1) {
      __syncthreads();
      load(k, at);
    }
    cp_async_wait<0>();
    __syncthreads();  // this stage is there, the other and the scores are free
    if (Tile::STAGES == 2 && at + 1 < end) load(next, at + 1);
    float own[1][COLS][4];
    multiply_rows<WIDTH>(own, q, k + warp_id() * 8 * COLS * WIDTH);
#pragma unroll
    for (int j = 0; j < COLS; j++)
      scores[(warp_id() * COLS + j) * WARP + lane_id()] =
          make_float4(own[0][j][0], own[0][j][1], own[0][j][2], own[0][j][3]);
    __syncthreads();
    const int size = tiles.size(at);
#pragma unroll
    for (int step = 0; step < STEPS; step++) {
      float all[1][KEY_STEP / 8][4];
#pragma unroll
      for (int j = 0; j < KEY_STEP / 8; j++) {
        const float4 four = scores[(step * (KEY_STEP / 8) + j) * WARP + lane_id()];
        const float values[4] = {four.x, four.y, four.z, four.w};
#pragma unroll
        for (int x = 0; x < 4; x++) all[0][j][x] = step * KEY_STEP + col_of(j, x % 2) < size ? values[x] : -INFINITY;
      }
      state.weigh(all, args.scale * LOG2E);
      add_product<WIDTH, DECODE_WARPS>(state.sums, Weights<T, 1, KEY_STEP / 8>(all),
                                       k + (Tile::KEYS + step * KEY_STEP) * WIDTH, warp_id());
    }
    T* const done = k;
    k = next, next = done;
  }
  state.finish();
}

// Grid: rows (several a block, where there are more), kv heads x groups of 16 of their query heads, parts of a row (1:
// a block sums them all).
template <class T, int WIDTH>
__global__ void __launch_bounds__(DECODE_THREADS, 2) attention_decode_kernel(const Cached<T> args) {
  using Tile = DecodeTile<T, WIDTH>;
  using State = Attend<1, Tile::OUT>;
  T* const q = reinterpret_cast<T*>(dynamic_shared());
  const int groups = (args.group + DECODE_ROWS - 1) / DECODE_ROWS, kv = static_cast<int>(blockIdx.y) / groups,
            member = static_cast<int>(blockIdx.y) % groups * DECODE_ROWS;
  const int head = kv * args.group + member, heads = min(args.group - member, DECODE_ROWS);
  const float scale2 = args.scale * LOG2E;
  for (int row = static_cast<int>(blockIdx.x); row < args.N; row += static_cast<int>(gridDim.x)) {
    if (!is_single(row, args.N, [&args](int other) { return args.begins(other); })) continue;
    const KeyTiles<Tile::KEYS> tiles(args.ranges + 4ll * row);
    const int parts = tiles.parts(), first = static_cast<int>(blockIdx.z),
              last = gridDim.z > 1 ? min(first + 1, parts) : parts;
    if (first >= last) continue;
    __syncthreads();                                                        // q is free
    const Matrix<const T> queries{args.q.row(row, head * args.E), args.E};  // a head a row
    load_rows<DECODE_ROWS, WIDTH, DECODE_THREADS>(q, queries, 0, 0, heads, args.E, args.aligned);
    cp_async_commit();
    State total;
    for (int part = first; part < last; part++) {
      State state;
      state.begin();
      attend_tiles<T, WIDTH>(state, q, args, tiles, kv, part * tiles.each, min((part + 1) * tiles.each, tiles.count));
      if (part == first) {
        total = state;
        continue;
      }
#pragma unroll
      for (int i = 0; i < 2; i++) {
        const Join join(total.top[0][i], state.top[0][i], scale2);
        total.top[0][i] = join.top;
        join.add(total.mass[0][i], state.mass[0][i]);
#pragma unroll
        for (int j = 0; j < Tile::OUT; j++)
#pragma unroll
          for (int c = 0; c < 2; c++) join.add(total.sums[0][j][2 * i + c], state.sums[0][j][2 * i + c]);
      }
    }
    if (gridDim.z == 1 || parts == 1) {
      total.template store<DECODE_WARPS>(args.out.row(row, head * args.E), static_cast<int64_t>(args.E), 0, heads,
                                         args.E, args.aligned, warp_id());
      continue;
    }
#pragma unroll
    for (int i = 0; i < 2; i++) {
      const int member_row = row_of(0, i);
      if (member_row >= heads) continue;
      float* const to =
          args.partial + ((static_cast<int64_t>(row) * args.H + head + member_row) * MAX_PARTS + first) * (args.E + 2);
#pragma unroll
      for (int j = 0; j < Tile::OUT; j++)
#pragma unroll
        for (int c = 0; c < 2; c++) {
          const int col = 16 * (warp_id() + j / 2 * DECODE_WARPS) + col_of(j % 2, c);
          if (col < args.E) to[col] = total.sums[0][j][2 * i + c];
        }
      if (warp_id() == 0 && lane_id() % 4 == 0) to[args.E] = total.top[0][i], to[args.E + 1] = total.mass[0][i];
    }
  }
}

// Joins the parts of long rows. Grid: rows, query heads; a thread takes columns.
template <class T, int KEYS>
__global__ void __launch_bounds__(DECODE_THREADS) attention_join_kernel(const Cached<T> args) {
  const int row = static_cast<int>(blockIdx.x), head = static_cast<int>(blockIdx.y);
  if (!is_single(row, args.N, [&args](int other) { return args.begins(other); })) return;
  const int parts = KeyTiles<KEYS>(args.ranges + 4ll * row).parts();
  if (parts == 1) return;
  const float scale2 = args.scale * LOG2E;
  for (int e = static_cast<int>(threadIdx.x); e < args.E; e += DECODE_THREADS) {
    const float* part = args.partial + (static_cast<int64_t>(row) * args.H + head) * MAX_PARTS * (args.E + 2);
    float sum = part[e], top = part[args.E], mass = part[args.E + 1];
    for (int i = 1; i < parts; i++) {
      part += args.E + 2;
      const Join join(top, part[args.E], scale2);
      top = join.top;
      join.add(mass, part[args.E + 1]);
      join.add(sum, part[e]);
    }
    *args.out.row(row, head * args.E + e) = from_float<T>(sum * (1.0f / mass));
  }
}

}  // namespace msm
