// Attention forward for Hopper (sm_90a). See hopper_attention.cuh for how work is shared out.
// A pair (tile of 64 rows a consumer, head) passes over its keys in tiles of 128: S = Q K^T from shared memory into
// registers, online softmax in
// base 2, O += P V with P from registers. While a consumer takes the exponentials of one tile of keys, the tensor cores
// do its P V of the tile before, and the other consumers' products: named barriers let consumers begin their products
// in turn (FlashAttention-3, arXiv 2407.08608). Limit: 4 * pairs * E flops; 2^x (16 a cycle and multiprocessor) takes
// half as long as the products at E = 128, as long at E = 64.
// defines: hopper_attention_forward
#include "hopper_attention.cuh"
#include "hopper_attention.h"
#include "hopper_tensor_map.h"

namespace msm {
namespace hopper {
namespace {

template <int E>
struct Forward {
  static constexpr int CONSUMERS = E == 64 ? 3 : 2;  // registers for 64 x 128 scores and 64 x E sums each
  static constexpr int ROWS = 64 * CONSUMERS, KEYS = 128, STAGES = 2;
  static constexpr int THREADS = WARPGROUP * (CONSUMERS + 1);
  static constexpr int PRODUCER_REGISTERS = E == 64 ? 32 : 24, CONSUMER_REGISTERS = E == 64 ? 160 : 240;
  static_assert(registers_fit(CONSUMERS, PRODUCER_REGISTERS, CONSUMER_REGISTERS), "else setmaxnreg waits forever");
  static constexpr int Q_BYTES = TILE_BYTES<ROWS, E>, KEY_BYTES = TILE_BYTES<KEYS, E>;

  struct Barriers {
    uint64_t q_full, q_empty, landed, k_full[STAGES], k_empty[STAGES], v_full[STAGES], v_empty[STAGES];
  };
  static constexpr int SHARED_BYTES = Q_BYTES + 2 * STAGES * KEY_BYTES + static_cast<int>(sizeof(Barriers));

  unsigned char* q;
  __device__ explicit Forward(unsigned char* shared) : q(shared) {}
  __device__ unsigned char* k(int stage) const { return q + Q_BYTES + stage * KEY_BYTES; }
  __device__ unsigned char* v(int stage) const { return q + Q_BYTES + (STAGES + stage) * KEY_BYTES; }
  __device__ Barriers& barriers() const { return *reinterpret_cast<Barriers*>(q + Q_BYTES + 2 * STAGES * KEY_BYTES); }

  // Of the segment's keys, those that some row of the tile sees.
  __device__ static int key_tiles(const Tile& tile) {
    return (min(tile.begin + ROWS, tile.end) - tile.start + KEYS - 1) / KEYS;
  }
};

struct Rows {
  bf16* out;
  int64_t out_stride;
  float* lse;
  float scale;
  int N, H, group, section;  // query heads a kv head; heads of a section
};

template <int E>
__device__ void produce(const Forward<E>& shared, const TileList& list, const Rows& rows, const CUtensorMap& q,
                        const CUtensorMap& k, const CUtensorMap& v) {
  using F = Forward<E>;
  typename F::Barriers& barriers = shared.barriers();
  const int lane = static_cast<int>(threadIdx.x) % WARP;
  Schedule schedule(list, rows.H, rows.section);
  Pipeline<1> queries, landing;
  Pipeline<F::STAGES> keys;
  Tile tile;
  for (int head; schedule.next(tile, head); queries.advance()) {
    mbarrier_wait(&barriers.q_empty, queries.parity ^ 1);
    if (lane == 0) {
      mbarrier_arrive_expect_tx(&barriers.q_full, F::Q_BYTES);
      load_tile<F::ROWS, E>(shared.q, q, head * E, tile.begin, &barriers.q_full);
    }
    const int col = head / rows.group * E;
    for (int row = tile.start, left = F::key_tiles(tile); left > 0; left--, row += F::KEYS, keys.advance()) {
      const int stage = keys.stage;
      const bool tail = row + F::KEYS > tile.end;
      uint64_t* const v_full = tail ? &barriers.landed : &barriers.v_full[stage];
      mbarrier_wait(&barriers.k_empty[stage], keys.parity ^ 1);
      if (lane == 0) {
        mbarrier_arrive_expect_tx(&barriers.k_full[stage], F::KEY_BYTES);
        load_tile<F::KEYS, E>(shared.k(stage), k, col, row, &barriers.k_full[stage]);
      }
      mbarrier_wait(&barriers.v_empty[stage], keys.parity ^ 1);
      if (lane == 0) {
        mbarrier_arrive_expect_tx(v_full, F::KEY_BYTES);
        load_tile<F::KEYS, E>(shared.v(stage), v, col, row, v_full);
      }
      if (!tail) continue;
      mbarrier_wait(&barriers.landed, landing.parity);
      landing.advance();
      clear_tail<F::KEYS, E>(shared.v(stage), tile.end - row, lane);
      fence_proxy_async();
      __syncwarp();
      if (lane == 0) mbarrier_arrive(&barriers.v_full[stage]);
    }
  }
}

// Scores of keys that a row does not see become -inf. `first`: the row of fragment_row(), counted from the first key.
template <int registers>
__device__ __forceinline__ void mask(float (&scores)[registers], int first) {
  const int col = fragment_col();
#pragma unroll
  for (int i = 0; i < registers; i++)
    if (i / 4 * 8 + col + i % 2 > first + i / 2 % 2 * 8) scores[i] = -INFINITY;
}

// Online softmax of a thread's two rows: scores become weights 2^(scale2 * (score - top)); `shrink` is what earlier
// sums are to be multiplied by.
template <int registers>
__device__ __forceinline__ void weigh(float (&scores)[registers], float (&top)[2], float (&mass)[2], float (&shrink)[2],
                                      float scale2) {
#pragma unroll
  for (int i = 0; i < 2; i++) {
    float largest = scores[2 * i];
#pragma unroll
    for (int j = 0; j < registers; j += 4) largest = fmaxf(largest, fmaxf(scores[j + 2 * i], scores[j + 2 * i + 1]));
    largest = fmaxf(largest, __shfl_xor_sync(ALL_LANES, largest, 1));
    largest = fmaxf(fmaxf(largest, __shfl_xor_sync(ALL_LANES, largest, 2)), top[i]);
    shrink[i] = exp2_approx((top[i] - largest) * scale2);
    top[i] = largest;
    const float base = largest * scale2;
    float total = 0;
#pragma unroll
    for (int j = 0; j < registers; j += 4) {
      float& low = scores[j + 2 * i];
      float& high = scores[j + 2 * i + 1];
      low = exp2_approx(low * scale2 - base);
      high = exp2_approx(high * scale2 - base);
      total += low + high;
    }
    mass[i] = mass[i] * shrink[i] + total;
  }
}

template <int E>
__device__ void consume(const Forward<E>& shared, const TileList& list, const Rows& rows, int consumer) {
  using F = Forward<E>;
  constexpr int TURN = 1;  // named barrier of the first consumer's turn
  typename F::Barriers& barriers = shared.barriers();
  const float scale2 = rows.scale * LOG2E;
  Schedule schedule(list, rows.H, rows.section);
  Pipeline<1> queries;
  Pipeline<F::STAGES> keys, values;  // of the next K, of the next V
  const unsigned char* const q = shared.q + consumer * 64 * PANEL_ROW;
  if (consumer == F::CONSUMERS - 1) named_barrier_arrive(TURN, 2 * WARPGROUP);

  Tile tile;
  for (int head; schedule.next(tile, head); queries.advance()) {
    const int height = min(tile.end - tile.begin, F::ROWS) -
                       consumer * 64;  // of the consumer's rows; may be 0 or less: then it computes for nobody
    const int first_row = tile.begin - tile.start + consumer * 64;
    const int count = F::key_tiles(tile);
    float scores[F::KEYS / 2], sums[E / 2] = {};
    float top[2] = {-INFINITY, -INFINITY}, mass[2] = {0, 0}, shrink[2];
    uint32_t weights[F::KEYS / 4];
    const auto begin_scores = [&] {
      wgmma_fence();
      multiply_rows<F::ROWS, E>(scores, q, shared.k(keys.stage));
      wgmma_commit_group();
    };
    const auto begin_sums = [&] {
      mbarrier_wait(&barriers.v_full[values.stage], values.parity);
      wgmma_fence();
      add_product(sums, weights, shared.v(values.stage));
      wgmma_commit_group();
    };
    const auto attend = [&](int index) {
      release(&barriers.k_empty[keys.stage]);
      keys.advance();
      const int first = first_row - index * F::KEYS;
      if (first + 1 < F::KEYS) mask(scores, first + fragment_row());
      weigh(scores, top, mass, shrink, scale2);
    };

    mbarrier_wait(&barriers.q_full, queries.parity);
    mbarrier_wait(&barriers.k_full[keys.stage], keys.parity);
    begin_scores();
    wgmma_wait_group<0>(scores);
    attend(0);
    pack(weights, scores);
    for (int index = 1; index < count; index++) {
      mbarrier_wait(&barriers.k_full[keys.stage], keys.parity);
      named_barrier_sync(TURN + consumer, 2 * WARPGROUP);
      begin_scores();
      begin_sums();
      named_barrier_arrive(TURN + (consumer + 1) % F::CONSUMERS, 2 * WARPGROUP);
      wgmma_wait_group<1>(scores);
      attend(index);
      wait_after(mass[0] + mass[1]);
      wgmma_wait_group<0>(sums);
      release(&barriers.v_empty[values.stage]);
      values.advance();
      pack(weights, scores);
#pragma unroll
      for (int i = 0; i < E / 2; i++) sums[i] *= shrink[i / 2 % 2];
    }
    release(&barriers.q_empty);
    begin_sums();
    float factor[2];
#pragma unroll
    for (int i = 0; i < 2; i++) {
      mass[i] += __shfl_xor_sync(ALL_LANES, mass[i], 1);
      mass[i] += __shfl_xor_sync(ALL_LANES, mass[i], 2);
      factor[i] = 1.0f / mass[i];
      const int row = fragment_row() + 8 * i;
      if (threadIdx.x % 4 == 0 && row < height)
        rows.lse[static_cast<int64_t>(head) * rows.N + tile.begin + consumer * 64 + row] =
            top[i] * rows.scale + logf(mass[i]);
    }
    wgmma_wait_group<0>(sums);
    release(&barriers.v_empty[values.stage]);
    values.advance();
    store_rows(rows.out + (tile.begin + consumer * 64) * rows.out_stride + head * E, rows.out_stride, sums, factor,
               height);
  }
}

template <int E>
__global__ void __launch_bounds__(Forward<E>::THREADS, 1)
    forward(const TileList list, const Rows rows, const __grid_constant__ CUtensorMap q,
            const __grid_constant__ CUtensorMap k, const __grid_constant__ CUtensorMap v) {
#ifdef MSM_SM90A
  using F = Forward<E>;
  const F shared(dynamic_shared());
  typename F::Barriers& barriers = shared.barriers();
  if (threadIdx.x == 0) {
    mbarrier_init(&barriers.q_full, 1);
    mbarrier_init(&barriers.q_empty, F::CONSUMERS * 4);
    mbarrier_init(&barriers.landed, 1);
    for (int stage = 0; stage < F::STAGES; stage++) {
      mbarrier_init(&barriers.k_full[stage], 1);
      mbarrier_init(&barriers.v_full[stage], 1);
      mbarrier_init(&barriers.k_empty[stage], F::CONSUMERS * 4);  // warps
      mbarrier_init(&barriers.v_empty[stage], F::CONSUMERS * 4);
    }
    fence_mbarrier_init();
    prefetch_tensormap(&q);
    prefetch_tensormap(&k);
    prefetch_tensormap(&v);
  }
  __syncthreads();
  if (threadIdx.x < WARPGROUP) {
    setmaxnreg_dec<F::PRODUCER_REGISTERS>();
    if (threadIdx.x < WARP) produce<E>(shared, list, rows, q, k, v);
  } else {
    setmaxnreg_inc<F::CONSUMER_REGISTERS>();
    consume<E>(shared, list, rows, uniform(static_cast<int>(threadIdx.x) / WARPGROUP) - 1);
  }
#elif defined(__CUDA_ARCH__)
  __trap();
#endif
}

// Block 0 lists the tiles; in the others a warp takes a row: where it is a segment of its own, p = 1 (or NaN, as its
// score is), out = v.
template <int E>
__global__ void __launch_bounds__(LIST_THREADS, 1)
    prepare(const TileList list, const Rows rows, const bf16* q, int64_t q_stride, const bf16* k, int64_t k_stride,
            const bf16* v, int64_t v_stride, const int32_t* starts) {
  if (blockIdx.x == 0) return list_tiles<Forward<E>::ROWS>(list, starts, rows.N, Order::KEYS);
  using Part = Vec<bf16, E / WARP>;
  const int lane = static_cast<int>(threadIdx.x) % WARP;
  const int row = (static_cast<int>(blockIdx.x) - 1) * (LIST_THREADS / WARP) + static_cast<int>(threadIdx.x) / WARP;
  if (row >= rows.N || !is_single(starts, row, rows.N)) return;
  const auto part = [&](const bf16* matrix, int64_t stride, int head) {
    return *reinterpret_cast<const Part*>(matrix + row * stride + head * E + lane * (E / WARP));
  };
  for (int head = 0; head < rows.H; head++) {
    const Part query = part(q, q_stride, head), key = part(k, k_stride, head / rows.group),
               value = part(v, v_stride, head / rows.group);
    float score = 0;
#pragma unroll
    for (int e = 0; e < E / WARP; e++) score += to_float(query.at[e]) * to_float(key.at[e]);
    score = warp_sum(score) * rows.scale;
    const float p = exp2_approx((score - score) * LOG2E);
    Part result;
#pragma unroll
    for (int e = 0; e < E / WARP; e++) result.at[e] = from_float<bf16>(p * to_float(value.at[e]));
    *reinterpret_cast<Part*>(rows.out + row * rows.out_stride + head * E + lane * (E / WARP)) = result;
    if (lane == 0) rows.lse[static_cast<int64_t>(head) * rows.N + row] = score;
  }
}

template <int E>
bool run(msm_context* context, const Rows& rows, const bf16* q, int64_t q_stride, const bf16* k, int64_t k_stride,
         const bf16* v, int64_t v_stride, const int32_t* starts, int64_t K) {
  using F = Forward<E>;
  CUtensorMap q_map, k_map, v_map;
  if (!tensor_map(q_map, q, q_stride, rows.N, rows.H * E, F::ROWS) ||
      !tensor_map(k_map, k, k_stride, rows.N, K * E, F::KEYS) ||
      !tensor_map(v_map, v, v_stride, rows.N, K * E, F::KEYS))
    return false;
  const TileList list = TileList::at(workspace(context), rows.N);
  launch(context, "attention_forward", prepare<E>, static_cast<unsigned>(1 + ceil_div(rows.N, LIST_THREADS / WARP)),
         LIST_THREADS, 0, list, rows, q, q_stride, k, k_stride, v, v_stride, starts);
  launch(context, "attention_forward", forward<E>, static_cast<unsigned>(device(context).multiprocessors), F::THREADS,
         F::SHARED_BYTES, list, rows, q_map, k_map, v_map);
  return true;
}

}  // namespace
}  // namespace hopper

bool hopper_attention_forward(msm_context* context, int dtype, void* out, int64_t out_stride, float* lse, const void* q,
                              int64_t q_stride, const void* k, int64_t k_stride, const void* v, int64_t v_stride,
                              const int32_t* starts, float scale, int64_t N, int64_t H, int64_t K, int64_t E) {
  using namespace hopper;
  if (!suits(context, dtype, scale, N, H, E) || !aligned16<bf16>(out, out_stride)) return false;
  const int64_t group = H / K;
  Rows rows{};
  rows.out = static_cast<bf16*>(out);
  rows.out_stride = out_stride;
  rows.lse = lse;
  rows.scale = scale;
  rows.N = static_cast<int>(N);
  rows.H = static_cast<int>(H);
  rows.group = static_cast<int>(group);
  rows.section = section_heads(N * E * 2 * static_cast<int64_t>(sizeof(bf16)), K) * static_cast<int>(group);
  const auto run_for = E == 64 ? run<64> : run<128>;
  return run_for(context, rows, static_cast<const bf16*>(q), q_stride, static_cast<const bf16*>(k), k_stride,
                 static_cast<const bf16*>(v), v_stride, starts, K);
}

}  // namespace msm
