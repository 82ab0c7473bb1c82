// Weights of tokens as whole numbers, and the token at which their sum reaches a number, most likely token first, equal
// logits by index. Sums of whole numbers have one value in any order, so integer atomics keep results the same bit for
// bit, and a part of a sum never disagrees with the whole.
// defines: Sum, Weights, Chunk, each_logit, Peak, Row, Selection
#pragma once
#include "tile.cuh"

namespace msm {
namespace sampling {

constexpr unsigned MAX_THREADS = 512;
constexpr int VECTORS = 8;     // of 4 logits that a thread holds: a chunk of a row is up to 16,384
constexpr int BUCKETS = 2048;  // of distances from the largest logit, and digits of a narrowing step
constexpr int DIGIT_BITS = 11;
constexpr float RESOLUTION =
    64.0f;                // buckets to 1 of distance. The last takes all beyond 32, where weights are less than a unit
constexpr int FEW = 512;  // tokens that are compared with each other instead of narrowed down further

// A sum of 64 bits. In shared memory two additions of 32 bits are faster than one of 64, which the hardware does as a
// loop of compare-and-swap.
struct alignas(8) Sum {
  uint32_t low, high;

  __device__ __forceinline__ uint64_t value() const { return static_cast<uint64_t>(high) << 32 | low; }
  __device__ __forceinline__ void set(uint64_t value) {
    low = static_cast<uint32_t>(value), high = static_cast<uint32_t>(value >> 32);
  }
  __device__ __forceinline__ void add(uint64_t value) {
    if (value == 0) return;
    const uint32_t part = static_cast<uint32_t>(value), before = atomicAdd(&low, part);
    const uint32_t above = static_cast<uint32_t>(value >> 32) + (before > ~part ? 1 : 0);
    if (above) atomicAdd(&high, above);
  }
};

struct Weights {
  float largest, inverse_temperature;
  float unit;  // what weight 1, the largest logit's, counts

  __device__ __forceinline__ float distance(float logit) const { return (largest - logit) * inverse_temperature; }
  __device__ __forceinline__ int bucket(float logit) const {
    const float x = distance(logit) * RESOLUTION;
    return x < BUCKETS - 1 ? static_cast<int>(x) : BUCKETS - 1;  // the last for NaN too
  }
  __device__ __forceinline__ uint64_t of(float logit) const {
    const float weight = expf(-distance(logit));
    return weight > 0 ? static_cast<uint64_t>(weight * unit) : 0;  // 0 for NaN too
  }
};

// The smaller, the more likely: larger logits first (0 equals -0), then lower indices.
__device__ __forceinline__ uint64_t order_of(float logit, int32_t id) {
  const uint32_t bits = __float_as_uint(logit + 0.0f);
  const uint32_t falling = bits >> 31 ? bits : ~bits & 0x7fffffffu;
  return static_cast<uint64_t>(falling) << 32 | static_cast<uint32_t>(id);
}

// Logits c * span() and the following of a row; -inf beyond its end.
template <bool aligned>
struct Chunk {
  Tile<float, VECTORS, aligned> tile;
  int32_t begin;

  __device__ __forceinline__ void read(const float* row, int c, int32_t V) {
    begin = c * tile.span();
    tile.load(row, begin, V, __float_as_uint(-INFINITY));
  }
};

// body(logit, id) for the calling thread's logits of a chunk, lowest ids first.
template <bool aligned, class F>
__device__ __forceinline__ void each_logit(const Chunk<aligned>& chunk, F body) {
#pragma unroll
  for (int v = 0; v < VECTORS; v++) {
    float x[4];
    unpack(x, chunk.tile.at[v]);
#pragma unroll
    for (int i = 0; i < 4; i++) body(x[i], chunk.begin + chunk.tile.place(v) + i);
  }
}

// A chunk's or a row's largest logit, the lowest id that has it (V: none, all are NaN), and the sum of exp(logit -
// largest).
struct Peak {
  float largest, sum;
  int32_t id;
};

__device__ __forceinline__ float finite(float largest) {
  return largest == -INFINITY ? 0.0f : largest;  // -inf - -inf is no number
}

// Shared memory of a block that picks.
struct Selection {
  Sum prefix[BUCKETS];  // of the row's buckets: up to and including each
  Sum digits[BUCKETS];
  uint64_t order[FEW], weight[FEW];
  uint64_t chosen_order, chosen_sum;
  uint32_t count;
  int found;
};

// sums[b] = sums[0] + .. + sums[b]
__device__ __forceinline__ void scan(Sum (&sums)[BUCKETS]) {
  __shared__ uint64_t totals[MAX_THREADS / WARP];
  const int own = BUCKETS / static_cast<int>(blockDim.x), lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
  Sum* const mine = sums + threadIdx.x * own;
  uint64_t sum = 0;
  for (int i = 0; i < own; i++) sum += mine[i].value();
  uint64_t through = sum;
  for (int offset = 1; offset < WARP; offset *= 2) {
    const uint64_t other = __shfl_up_sync(ALL_LANES, through, offset);
    if (lane >= offset) through += other;
  }
  if (lane == WARP - 1) totals[warp] = through;
  __syncthreads();
  uint64_t before = through - sum;
  for (int w = 0; w < warp; w++) before += totals[w];
  for (int i = 0; i < own; i++) {
    before += mine[i].value();
    mine[i].set(before);
  }
  __syncthreads();
}

// The first b with sums[b] >= need.
__device__ __forceinline__ int find(const Sum (&sums)[BUCKETS], uint64_t need, Selection& shared) {
  for (int b = threadIdx.x; b < BUCKETS; b += blockDim.x)
    if (sums[b].value() >= need && (b == 0 || sums[b - 1].value() < need)) shared.found = b;
  __syncthreads();
  const int found = shared.found;
  __syncthreads();
  return found;
}

struct Choice {
  int32_t id;
  uint64_t sum;  // up to and including it
};

template <bool aligned>
struct Row {
  const float* logits;
  const Sum* histograms;  // [chunks][BUCKETS]
  Weights weights;
  int32_t V;
  int chunks;

  // Fills shared.prefix and returns the sum of all weights.
  __device__ __forceinline__ uint64_t add_up(Selection& shared) const {
    for (int b = threadIdx.x; b < BUCKETS; b += blockDim.x) {
      uint64_t sum = 0;
      for (int c = 0; c < chunks; c++) sum += histograms[c * BUCKETS + b].value();
      shared.prefix[b].set(sum);
    }
    __syncthreads();
    scan(shared.prefix);
    return shared.prefix[BUCKETS - 1].value();
  }

  // body(logit, order) for the calling thread's tokens of a bucket whose order lies in first .. last.
  template <class F>
  __device__ __forceinline__ void each_token(int bucket, uint64_t first, uint64_t last, F body) const {
    for (int c = 0; c < chunks; c++) {
      if (histograms[c * BUCKETS + bucket].value() == 0) continue;
      Chunk<aligned> chunk;
      chunk.read(logits, c, V);
      each_logit(chunk, [&](float logit, int32_t id) {
        if (weights.bucket(logit) != bucket) return;
        const uint64_t order = order_of(logit, id);
        if (first <= order && order <= last) body(logit, order);
      });
    }
  }

  // The token at which the sum of weights reaches `need`, which is 1 .. the sum of all.
  __device__ __forceinline__ Choice select(uint64_t need, Selection& shared) const {
    const int bucket = find(shared.prefix, need, shared);
    uint64_t before = bucket > 0 ? shared.prefix[bucket - 1].value() : 0, first = 0, last = ~0ull;
    for (;;) {
      // List the tokens of first .. last. Too many: narrow the range down to one of its BUCKETS parts.
      if (threadIdx.x == 0) shared.count = 0;
      __syncthreads();
      float high = -INFINITY, low = INFINITY;
      each_token(bucket, first, last, [&](float logit, uint64_t order) {
        const uint32_t at = atomicAdd(&shared.count, 1u);
        if (at < FEW) {
          shared.order[at] = order;
          shared.weight[at] = weights.of(logit);
        }
        high = fmaxf(high, logit);
        low = fminf(low, logit);
      });
      __syncthreads();
      if (shared.count <= FEW) break;
      for (int b = threadIdx.x; b < BUCKETS; b += blockDim.x) shared.digits[b].set(0);
      __syncthreads();
      high = reduce_x(high, [](float a, float b) { return fmaxf(a, b); });
      low = reduce_x(low, [](float a, float b) { return fminf(a, b); });
      const uint64_t begin = order_of(high, 0), end = order_of(low, V - 1);
      if (begin > first) first = begin;
      if (end < last) last = end;
      const int bits = 64 - __clzll(static_cast<long long>(last - first)),
                shift = bits > DIGIT_BITS ? bits - DIGIT_BITS : 0;
      each_token(bucket, first, last,
                 [&](float logit, uint64_t order) { shared.digits[(order - first) >> shift].add(weights.of(logit)); });
      __syncthreads();
      scan(shared.digits);
      const int digit = find(shared.digits, need - before, shared);
      if (digit > 0) before += shared.digits[digit - 1].value();
      first += static_cast<uint64_t>(digit) << shift;
      const uint64_t part_end = first + (1ull << shift) - 1;
      if (part_end < last) last = part_end;
    }
    for (uint32_t i = threadIdx.x; i < shared.count; i += blockDim.x) {
      uint64_t sum = before;
      for (uint32_t j = 0; j < shared.count; j++)
        if (shared.order[j] < shared.order[i]) sum += shared.weight[j];
      if (sum < need && need <= sum + shared.weight[i]) {
        shared.chosen_order = shared.order[i];
        shared.chosen_sum = sum + shared.weight[i];
      }
    }
    __syncthreads();
    const Choice choice{static_cast<int32_t>(shared.chosen_order), shared.chosen_sum};
    __syncthreads();
    return choice;
  }
};

}  // namespace sampling
}  // namespace msm
