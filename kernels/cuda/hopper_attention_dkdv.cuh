// dk and dv of the attention backward for Hopper. A pair (tile of 128 keys, kv head) passes over the queries that see
// it, in tiles of 64, for all query heads of the kv head: dk and dv stay in registers, the sum over heads has a fixed
// order. Scores are computed transposed, S^T = K Q^T and dP^T = V dO^T, so that a thread's registers are at once the a
// operand of dV += P^T dO and dK += dS^T Q: nothing is written to shared memory. Limit: 8 * pairs * E of the backward's
// flops, see hopper_attention_backward.cu.
// defines: Keys, dkdv
#pragma once
#include "hopper_attention.cuh"

namespace msm::hopper {

template <int E>
struct Keys {
  static constexpr int CONSUMERS = 2, KEYS = 64 * CONSUMERS, ROWS = 64, STAGES = 4;
  static_assert(STAGES >= 3, "one that a product reads, one passed over, one to come");
  static constexpr int THREADS = WARPGROUP * (CONSUMERS + 1), PRODUCER_REGISTERS = 24, CONSUMER_REGISTERS = 240;
  static_assert(registers_fit(CONSUMERS, PRODUCER_REGISTERS, CONSUMER_REGISTERS), "else setmaxnreg waits forever");
  static constexpr int KEY_BYTES = TILE_BYTES<KEYS, E>, ROW_BYTES = TILE_BYTES<ROWS, E>;
  // A copy begins at a multiple of 16 bytes: at the row, or one before.
  static constexpr int TERMS = ROWS + 2, TERMS_BYTES = TERMS * static_cast<int>(sizeof(RowTerms));

  struct Barriers {
    uint64_t key_full, key_empty, landed, q_full[STAGES], dout_full[STAGES], empty[STAGES];
  };
  static constexpr int TILES_BYTES = 2 * KEY_BYTES + 2 * STAGES * ROW_BYTES;
  static constexpr int SHARED_BYTES = TILES_BYTES + STAGES * TERMS_BYTES + static_cast<int>(sizeof(Barriers));

  unsigned char* k;
  __device__ explicit Keys(unsigned char* shared) : k(shared) {}
  __device__ unsigned char* v() const { return k + KEY_BYTES; }
  __device__ unsigned char* q(int stage) const { return k + 2 * KEY_BYTES + stage * ROW_BYTES; }
  __device__ unsigned char* dout(int stage) const { return q(STAGES + stage); }
  __device__ RowTerms* terms(int stage) const {
    return reinterpret_cast<RowTerms*>(k + TILES_BYTES + stage * TERMS_BYTES);
  }
  __device__ Barriers& barriers() const { return *reinterpret_cast<Barriers*>(k + TILES_BYTES + STAGES * TERMS_BYTES); }
};

template <int E>
__device__ void produce(const Keys<E>& shared, const TileList& list, const Backward& op, const CUtensorMap& q,
                        const CUtensorMap& k, const CUtensorMap& v, const CUtensorMap& dout) {
  using S = Keys<E>;
  typename S::Barriers& barriers = shared.barriers();
  const int lane = static_cast<int>(threadIdx.x) % WARP, group = op.H / op.K;
  Schedule schedule(list, op.K, op.section);
  Pipeline<1> keys, landing;
  Pipeline<S::STAGES> queries;
  Tile tile;
  for (int kv; schedule.next(tile, kv); keys.advance()) {
    mbarrier_wait(&barriers.key_empty, keys.parity ^ 1);
    if (lane == 0) {
      mbarrier_arrive_expect_tx(&barriers.key_full, 2 * S::KEY_BYTES);
      load_tile<S::KEYS, E>(shared.k, k, kv * E, tile.begin, &barriers.key_full);
      load_tile<S::KEYS, E>(shared.v(), v, kv * E, tile.begin, &barriers.key_full);
    }
    for (int head = kv * group; head < (kv + 1) * group; head++)
      for (int row = tile.begin; row < tile.end; row += S::ROWS, queries.advance()) {
        const int stage = queries.stage;
        const bool tail = row + S::ROWS > tile.end;
        uint64_t* const q_full = tail ? &barriers.landed : &barriers.q_full[stage];
        uint64_t* const dout_full = tail ? &barriers.landed : &barriers.dout_full[stage];
        mbarrier_wait(&barriers.empty[stage], queries.parity ^ 1);
        if (lane == 0) {
          mbarrier_arrive_expect_tx(q_full, S::ROW_BYTES + S::TERMS_BYTES + (tail ? S::ROW_BYTES : 0));
          load_tile<S::ROWS, E>(shared.q(stage), q, head * E, row, q_full);
          cp_async_bulk(shared.terms(stage), op.terms + head * op.terms_stride + (row & ~1), S::TERMS_BYTES, q_full);
          if (!tail) mbarrier_arrive_expect_tx(dout_full, S::ROW_BYTES);
          load_tile<S::ROWS, E>(shared.dout(stage), dout, head * E, row, dout_full);
        }
        if (!tail) continue;
        // Rows of another record: their p becomes 2^-inf, and nothing of them is NaN.
        mbarrier_wait(&barriers.landed, landing.parity);
        landing.advance();
        clear_tail<S::ROWS, E>(shared.q(stage), tile.end - row, lane);
        clear_tail<S::ROWS, E>(shared.dout(stage), tile.end - row, lane);
        for (int i = tile.end - row + lane; i < S::ROWS; i += WARP)
          shared.terms(stage)[(row & 1) + i] = make_float2(INFINITY, 0);
        fence_proxy_async();
        __syncwarp();
        if (lane == 0) {
          mbarrier_arrive(&barriers.q_full[stage]);
          mbarrier_arrive(&barriers.dout_full[stage]);
        }
      }
  }
}

template <int E>
__device__ void consume(const Keys<E>& shared, const TileList& list, const Backward& op, int consumer) {
  using S = Keys<E>;
  typename S::Barriers& barriers = shared.barriers();
  const float scale2 = op.scale * LOG2E;
  const int group = op.H / op.K;
  const unsigned char* const k = shared.k + consumer * 64 * PANEL_ROW;
  const unsigned char* const v = shared.v() + consumer * 64 * PANEL_ROW;
  Schedule schedule(list, op.K, op.section);
  Pipeline<1> keys;
  Pipeline<S::STAGES> queries;
  Tile tile;
  for (int kv; schedule.next(tile, kv); keys.advance()) {
    float dk[E / 2] = {}, dv[E / 2] = {}, p[S::ROWS / 2], ds[S::ROWS / 2];
    uint32_t p_packed[S::ROWS / 4], ds_packed[S::ROWS / 4];
    int pending = -1;  // the stage that products under way read
    mbarrier_wait(&barriers.key_full, keys.parity);
    for (int head = 0; head < group; head++)
      for (int row = tile.begin, index = 0; row < tile.end; row += S::ROWS, index++, queries.advance()) {
        const int stage = queries.stage;
        mbarrier_wait(&barriers.q_full[stage], queries.parity);
        if (index < consumer) {  // queries before the consumer's keys
          mbarrier_wait(&barriers.dout_full[stage], queries.parity);
          release(&barriers.empty[stage]);
          continue;
        }
        wgmma_fence();
        multiply_rows<S::KEYS, E>(p, k, shared.q(stage));
        wgmma_commit_group();
        if (pending >= 0) {
          wgmma_wait_group<1>();
          release(&barriers.empty[pending]);
        }
        pending = stage;
        mbarrier_wait(&barriers.dout_full[stage], queries.parity);
        wgmma_fence();
        multiply_rows<S::KEYS, E>(ds, v, shared.dout(stage));
        wgmma_commit_group();

        wgmma_wait_group<1>(p);
        const RowTerms* const terms = shared.terms(stage) + (row & 1) + fragment_col();
#pragma unroll
        for (int i = 0; i < S::ROWS / 2; i++) p[i] = exp2_approx(p[i] * scale2 - terms[i / 4 * 8 + i % 2].x);
        if (index == consumer) {
          const int key = fragment_row();
#pragma unroll
          for (int i = 0; i < S::ROWS / 2; i++)
            if (key + i / 2 % 2 * 8 > i / 4 * 8 + fragment_col() + i % 2) p[i] = 0;
        }
        pack(p_packed, p);
        wgmma_fence();
        add_product(dv, p_packed, shared.dout(stage));
        wgmma_commit_group();

        wgmma_wait_group<1>(ds);
#pragma unroll
        for (int i = 0; i < S::ROWS / 2; i++) ds[i] = p[i] * (ds[i] - terms[i / 4 * 8 + i % 2].y);
        pack(ds_packed, ds);
        wgmma_fence();
        add_product(dk, ds_packed, shared.q(stage));
        wgmma_commit_group();
        wgmma_wait_group<1>();  // dv's product, long begun, gives its registers back
      }
    wgmma_wait_group<0>(dk, dv);
    if (pending >= 0) release(&barriers.empty[pending]);
    release(&barriers.key_empty);
    const int64_t first = tile.begin + consumer * 64;
    const int height = tile.end - static_cast<int>(first);
    const float dk_factor[2] = {op.scale, op.scale}, dv_factor[2] = {1, 1};
    store_rows(op.dk + first * op.dk_stride + kv * E, op.dk_stride, dk, dk_factor, height);
    store_rows(op.dv + first * op.dv_stride + kv * E, op.dv_stride, dv, dv_factor, height);
  }
}

template <int E>
__global__ void __launch_bounds__(Keys<E>::THREADS, 1)
    dkdv(const TileList list, const Backward op, const __grid_constant__ CUtensorMap q,
         const __grid_constant__ CUtensorMap k, const __grid_constant__ CUtensorMap v,
         const __grid_constant__ CUtensorMap dout) {
#ifdef MSM_SM90A
  using S = Keys<E>;
  const S shared(dynamic_shared());
  typename S::Barriers& barriers = shared.barriers();
  if (threadIdx.x == 0) {
    mbarrier_init(&barriers.key_full, 1);
    mbarrier_init(&barriers.key_empty, S::CONSUMERS * 4);  // warps
    mbarrier_init(&barriers.landed, 1);
    for (int stage = 0; stage < S::STAGES; stage++) {
      mbarrier_init(&barriers.q_full[stage], 1);
      mbarrier_init(&barriers.dout_full[stage], 1);
      mbarrier_init(&barriers.empty[stage], S::CONSUMERS * 4);
    }
    fence_mbarrier_init();
    for (const CUtensorMap* map : {&q, &k, &v, &dout}) prefetch_tensormap(map);
  }
  __syncthreads();
  if (threadIdx.x < WARPGROUP) {
    setmaxnreg_dec<S::PRODUCER_REGISTERS>();
    if (threadIdx.x < WARP) produce<E>(shared, list, op, q, k, v, dout);
  } else {
    setmaxnreg_inc<S::CONSUMER_REGISTERS>();
    consume<E>(shared, list, op, uniform(static_cast<int>(threadIdx.x) / WARPGROUP) - 1);
  }
#elif defined(__CUDA_ARCH__)
  __trap();
#endif
}

}  // namespace msm::hopper
