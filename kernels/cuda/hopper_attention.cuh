// What the three Hopper attention kernels (forward; dk and dv; dq) share.
//
// Work. A segment is cut into tiles of rows counted from its own first row, so that a row's bits do not depend on where
// its segment lies. A one-block kernel writes the list of tiles, those with the most work first; the blocks of a
// persistent kernel, one a multiprocessor, take (tile, head) pairs from it in a fixed pattern. Segments of one token
// (padding) are not in the list: they are done row by row. Roles. One warp of a warpgroup (the producer) fills stages
// of shared memory by TMA; the other warpgroups (consumers) multiply, 64 rows each. Rows of a stage beyond the segment
// belong to another record: where they enter a sum, though with weight 0, the producer clears them (0 * NaN is NaN).
// defines: registers_fit, uniform, Tile, TileList, Order, is_single, list_tiles, Schedule, section_heads, suits,
// Pipeline, load_tile, clear_tail, release,
//          products of a consumer, store_rows, Backward
#pragma once
#include "context.h"
#include "hopper.cuh"

namespace msm::hopper {

constexpr int WARPGROUP = 128;
constexpr float LOG2E = 1.44269504f;

// Whether setmaxnreg can give the consumers their registers: a block has what it was launched with.
constexpr bool registers_fit(int consumers, int of_producer, int of_consumer) {
  const int launched = 65536 / (WARPGROUP * (consumers + 1)) / 8 * 8;
  return of_producer + consumers * of_consumer <= launched * (consumers + 1);
}

// x, which a warp agrees on. By a shuffle the compiler knows it too, and keeps what depends on it in uniform registers.
__device__ __forceinline__ int uniform(int x) { return __shfl_sync(ALL_LANES, x, 0); }

// --------------------------------------------------------------------------------------------------------------- tiles

// Rows begin .. begin + height (or end) of the segment start .. end.
struct alignas(16) Tile {
  int32_t start, begin, end;
};

struct TileList {
  Tile* tiles;    // [N]: more than there can be
  int32_t* ends;  // [N], scratch: at a segment's first row, its end
  int32_t* count;

  static constexpr int64_t bytes(int64_t N) { return N * static_cast<int64_t>(sizeof(Tile)) + (N + 4) / 4 * 16; }
  __host__ __device__ static TileList at(void* memory, int64_t N) {
    Tile* const tiles = static_cast<Tile*>(memory);
    int32_t* const ends = reinterpret_cast<int32_t*>(tiles + N);
    return {tiles, ends, ends + N};
  }
};

// What a tile's work is proportional to: the keys that its rows see, or the queries that see its rows.
enum class Order { KEYS, QUERIES };

__device__ __forceinline__ bool is_single(const int32_t* starts, int row, int N) {
  return starts[row] == row && (row + 1 == N || starts[row + 1] != row);
}

constexpr int LIST_THREADS = 1024;

// Writes the list; called by all LIST_THREADS threads of one block. A counting sort: which of two tiles of equal work
// comes first is left open, and changes no result.
template <int height>
__device__ void list_tiles(const TileList& list, const int32_t* starts, int N, Order order) {
  constexpr int BUCKETS = LIST_THREADS;
  __shared__ int32_t place[BUCKETS], sums[BUCKETS];  // bucket 0: the most work
  const int thread = static_cast<int>(threadIdx.x);
  const auto bucket = [&](const Tile& tile) {
    const int rows = order == Order::KEYS ? tile.begin - tile.start : tile.end - tile.begin - 1;
    return BUCKETS - 1 - min(rows / height, BUCKETS - 1);
  };
  const auto each_tile = [&](auto use) {
    for (int row = thread; row < N; row += LIST_THREADS) {
      const int start = starts[row];
      if ((row - start) % height != 0) continue;
      const Tile tile{start, row, list.ends[start]};
      if (tile.end - tile.start > 1) use(tile);
    }
  };

  place[thread] = 0;
  for (int row = thread; row < N; row += LIST_THREADS)
    if (row + 1 == N || starts[row + 1] == row + 1) list.ends[starts[row]] = row + 1;
  __syncthreads();
  each_tile([&](const Tile& tile) { atomicAdd(&place[bucket(tile)], 1); });
  __syncthreads();
  // Counts to first places.
  const int own = place[thread];
  int sum = own;
  for (int distance = 1; distance < BUCKETS; distance *= 2) {
    sums[thread] = sum;
    __syncthreads();
    if (thread >= distance) sum += sums[thread - distance];
    __syncthreads();
  }
  place[thread] = sum - own;
  if (thread == LIST_THREADS - 1) *list.count = sum;
  __syncthreads();
  each_tile([&](const Tile& tile) { list.tiles[atomicAdd(&place[bucket(tile)], 1)] = tile; });
}

// The (tile, head) pairs of one block, the same for every role. Heads come in sections whose keys and values stay in
// the L2 cache; in a section the longest tiles come first, all of its heads one after the other; and blocks take pairs
// to and fro, so that the first have no more than the last.
struct Schedule {
  const Tile* tiles;
  int count, heads, section, turn = 0;

  __device__ Schedule(const TileList& list, int heads, int section)
      : tiles(list.tiles), count(uniform(*list.count)), heads(heads), section(section) {}

  // The block's next pair; false where there is none.
  __device__ bool next(Tile& tile, int& head) {
    const unsigned pair =
        static_cast<unsigned>(turn) * gridDim.x + (turn % 2 == 0 ? blockIdx.x : gridDim.x - 1 - blockIdx.x);
    turn++;
    if (pair >= static_cast<unsigned>(count * heads)) return false;
    const int first = static_cast<int>(pair / static_cast<unsigned>(count * section)) * section;  // of the section
    const unsigned place = pair - static_cast<unsigned>(count * first),
                   width = static_cast<unsigned>(min(section, heads - first));
    const Tile found = tiles[place / width];
    tile = {uniform(found.start), uniform(found.begin), uniform(found.end)};
    head = first + static_cast<int>(place % width);
    return true;
  }
};

// Heads of a section, given the bytes that one of them reads again and again: what half the L2 cache of an H100 holds.
inline int section_heads(int64_t bytes_per_head, int64_t heads) {
  const int64_t fitting = (24ll << 20) / bytes_per_head;
  return static_cast<int>(fitting < 1 ? 1 : fitting < heads ? fitting : heads);
}

// Whether these kernels may run and have what they need; operands' alignment apart.
inline bool suits(msm_context* context, int dtype, float scale, int64_t N, int64_t H, int64_t E) {
  return device(context).hopper && dtype == MSM_BF16 && (E == 64 || E == 128) && scale > 0 &&
         (N + 128) * H < 1ll << 31 && 2 * TileList::bytes(N) <= WORKSPACE_BYTES;
}

// -------------------------------------------------------------------------------------------------------------- stages

// Where a role is in a ring of stages: the stage, and the parity of the phase that it waits for.
template <int stages>
struct Pipeline {
  int stage = 0, parity = 0;
  __device__ void advance() {
    if (++stage < stages) return;
    stage = 0;
    parity ^= 1;
  }
};

// A consumer's warp has done with a stage.
__device__ __forceinline__ void release(uint64_t* empty) {
  if (threadIdx.x % WARP == 0) mbarrier_arrive(empty);
}

// A tile in shared memory: E / 64 panels of `rows` x 64 elements, each row 128 bytes, swizzled.
template <int rows, int E>
constexpr int TILE_BYTES = rows * E * 2;
constexpr int PANEL_ROW = 128;

// Begins to load rows row .. row + rows, columns col .. col + E.
template <int rows, int E>
__device__ __forceinline__ void load_tile(unsigned char* tile, const CUtensorMap& map, int col, int row,
                                          uint64_t* barrier) {
#pragma unroll
  for (int panel = 0; panel < E / 64; panel++)
    cp_async_bulk_tensor_2d(tile + panel * rows * PANEL_ROW, &map, col + panel * 64, row, barrier);
}

// Clears the rows from `first` on; called by all lanes of the producer warp, which then must fence_proxy_async.
template <int rows, int E>
__device__ __forceinline__ void clear_tail(unsigned char* tile, int first, int lane) {
#pragma unroll 1
  for (int panel = 0; panel < E / 64; panel++)
#pragma unroll 1
    for (int at = first * PANEL_ROW + lane * 16; at < rows * PANEL_ROW; at += WARP * 16)
      *reinterpret_cast<uint4*>(tile + panel * rows * PANEL_ROW + at) = make_uint4(0, 0, 0, 0);
}

// ------------------------------------------------------------------------------------------------------------ products

// sums[64 x n] = a b^T over E: a 64 rows of a tile of `a_rows` rows from `a` on, b a tile of n rows. n = 2 * registers.
template <int a_rows, int E, int registers>
__device__ __forceinline__ void multiply_rows(float (&sums)[registers], const unsigned char* a,
                                              const unsigned char* b) {
  constexpr int n = 2 * registers;
  const uint64_t a_first = wgmma_descriptor(a, 16, 8 * PANEL_ROW), b_first = wgmma_descriptor(b, 16, 8 * PANEL_ROW);
#pragma unroll
  for (int e = 0; e < E; e += 16) {
    const uint64_t a_part = descriptor_at(a_first, e / 64 * a_rows * PANEL_ROW + e % 64 * 2);
    const uint64_t b_part = descriptor_at(b_first, e / 64 * n * PANEL_ROW + e % 64 * 2);
    if (e == 0) wgmma_first<false>(sums, a_part, b_part);
    else wgmma<false>(sums, a_part, b_part);
  }
}

// sums[64 x E] += a b: a [64 x depth] as bf16 in registers, b a tile of depth x E. depth = 4 * a's registers; E = 2 *
// registers.
template <int a_registers, int registers>
__device__ __forceinline__ void add_product(float (&sums)[registers], const uint32_t (&a)[a_registers],
                                            const unsigned char* b) {
  constexpr int depth = 4 * a_registers;
  const uint64_t b_first = wgmma_descriptor(b, depth * PANEL_ROW, 8 * PANEL_ROW);
#pragma unroll
  for (int k = 0; k < depth / 16; k++) {
    const uint32_t part[4] = {a[4 * k], a[4 * k + 1], a[4 * k + 2], a[4 * k + 3]};
    wgmma<true>(sums, part, descriptor_at(b_first, k * 16 * PANEL_ROW));
  }
}

// A 64 x n accumulator as the a of the next product.
template <int registers>
__device__ __forceinline__ void pack(uint32_t (&packed)[registers / 2], const float (&sums)[registers]) {
#pragma unroll
  for (int i = 0; i < registers / 2; i++) packed[i] = pack_bf16(sums[2 * i], sums[2 * i + 1]);
}

// The first row of the two that a thread holds of its warpgroup's 64 (the second is 8 further), and the first column of
// each 8.
__device__ __forceinline__ int fragment_row() {
  return static_cast<int>(threadIdx.x) % WARPGROUP / WARP * 16 + static_cast<int>(threadIdx.x) % WARP / 4;
}
__device__ __forceinline__ int fragment_col() { return static_cast<int>(threadIdx.x) % 4 * 2; }

// Rows fragment_row() and + 8 of sums, times factor[0] and factor[1], to out + row * stride where row < rows. The four
// threads of a row exchange their pairs, so that each stores 16 bytes.
template <int registers>
__device__ __forceinline__ void store_rows(bf16* out, int64_t stride, const float (&sums)[registers],
                                           const float (&factor)[2], int rows) {
  const int lane = static_cast<int>(threadIdx.x) % 4;
#pragma unroll
  for (int i = 0; i < 2; i++) {
    const int row = fragment_row() + 8 * i;
#pragma unroll
    for (int group = 0; group < registers / 16; group++) {  // 32 columns
      uint32_t part[4];
#pragma unroll
      for (int j = 0; j < 4; j++) {
        const int at = (group * 4 + j) * 4 + i * 2;
        part[j] = pack_bf16(sums[at] * factor[i], sums[at + 1] * factor[i]);
      }
      // Transposes the 4 x 4 pairs of four threads.
#pragma unroll
      for (int distance = 1; distance < 4; distance *= 2) {
        const bool upper = (lane & distance) != 0;
#pragma unroll
        for (int j = 0; j < 4; j++) {
          if (j & distance) continue;
          const uint32_t received = __shfl_xor_sync(ALL_LANES, upper ? part[j] : part[j + distance], distance);
          if (upper) part[j] = received;
          else part[j + distance] = received;
        }
      }
      if (row < rows)
        *reinterpret_cast<uint4*>(out + row * stride + group * 32 + lane * 8) =
            make_uint4(part[0], part[1], part[2], part[3]);
    }
  }
}

// ------------------------------------------------------------------------------------------------------------ backward

// What a query row of a head brings to the backward: lse * log2 e, and dout . out.
using RowTerms = float2;

struct Backward {
  bf16 *dq, *dk, *dv;
  int64_t dq_stride, dk_stride, dv_stride;
  const RowTerms* terms;  // [H, terms_stride]: readable from any row on for 65 rows more
  float scale;
  int N, H, K, terms_stride;
  int section;  // kv heads of a section
};

}  // namespace msm::hopper
