// dq of the attention backward for Hopper. A pair (tile of 128 queries, head) passes over its keys: S = Q K^T and dP =
// dO V^T into registers, dS from
// registers into dQ += dS K.
// Limit: 6 * pairs * E of the backward's flops, see hopper_attention_backward.cu.
// defines: Queries, dq
#pragma once
#include "hopper_attention.cuh"

namespace msm::hopper {

template <int E>
struct Queries {
  static constexpr int CONSUMERS = 2, ROWS = 64 * CONSUMERS, KEYS = 128, STAGES = 2;
  static constexpr int THREADS = WARPGROUP * (CONSUMERS + 1), PRODUCER_REGISTERS = 24, CONSUMER_REGISTERS = 240;
  static_assert(registers_fit(CONSUMERS, PRODUCER_REGISTERS, CONSUMER_REGISTERS), "else setmaxnreg waits forever");
  static constexpr int ROW_BYTES = TILE_BYTES<ROWS, E>, KEY_BYTES = TILE_BYTES<KEYS, E>;

  struct Barriers {
    uint64_t row_full, row_empty, landed, k_full[STAGES], k_empty[STAGES], v_full[STAGES], v_empty[STAGES];
  };
  static constexpr int SHARED_BYTES = 2 * ROW_BYTES + 2 * STAGES * KEY_BYTES + static_cast<int>(sizeof(Barriers));

  unsigned char* q;
  __device__ explicit Queries(unsigned char* shared) : q(shared) {}
  __device__ unsigned char* dout() const { return q + ROW_BYTES; }
  __device__ unsigned char* k(int stage) const { return q + 2 * ROW_BYTES + stage * KEY_BYTES; }
  __device__ unsigned char* v(int stage) const { return k(STAGES + stage); }
  __device__ Barriers& barriers() const { return *reinterpret_cast<Barriers*>(k(2 * STAGES)); }
};

template <int E>
__device__ void produce(const Queries<E>& shared, const TileList& list, const Backward& op, const CUtensorMap& q,
                        const CUtensorMap& k, const CUtensorMap& v, const CUtensorMap& dout) {
  using S = Queries<E>;
  typename S::Barriers& barriers = shared.barriers();
  const int lane = static_cast<int>(threadIdx.x) % WARP, group = op.H / op.K;
  Schedule schedule(list, op.H, op.section * group);
  Pipeline<1> queries, landing;
  Pipeline<S::STAGES> keys;
  Tile tile;
  for (int head; schedule.next(tile, head); queries.advance()) {
    mbarrier_wait(&barriers.row_empty, queries.parity ^ 1);
    if (lane == 0) {
      mbarrier_arrive_expect_tx(&barriers.row_full, 2 * S::ROW_BYTES);
      load_tile<S::ROWS, E>(shared.q, q, head * E, tile.begin, &barriers.row_full);
      load_tile<S::ROWS, E>(shared.dout(), dout, head * E, tile.begin, &barriers.row_full);
    }
    const int col = head / group * E;
    for (int row = tile.start; row < tile.begin + S::ROWS && row < tile.end; row += S::KEYS, keys.advance()) {
      const int stage = keys.stage;
      const bool tail = row + S::KEYS > tile.end;
      uint64_t* const k_full = tail ? &barriers.landed : &barriers.k_full[stage];
      mbarrier_wait(&barriers.k_empty[stage], keys.parity ^ 1);
      if (lane == 0) {
        mbarrier_arrive_expect_tx(k_full, S::KEY_BYTES);
        load_tile<S::KEYS, E>(shared.k(stage), k, col, row, k_full);
      }
      mbarrier_wait(&barriers.v_empty[stage], keys.parity ^ 1);
      if (lane == 0) {
        mbarrier_arrive_expect_tx(&barriers.v_full[stage], S::KEY_BYTES);
        load_tile<S::KEYS, E>(shared.v(stage), v, col, row, &barriers.v_full[stage]);
      }
      if (!tail) continue;
      mbarrier_wait(&barriers.landed, landing.parity);
      landing.advance();
      clear_tail<S::KEYS, E>(shared.k(stage), tile.end - row, lane);
      fence_proxy_async();
      __syncwarp();
      if (lane == 0) mbarrier_arrive(&barriers.k_full[stage]);
    }
  }
}

template <int E>
__device__ void consume(const Queries<E>& shared, const TileList& list, const Backward& op, int consumer) {
  using S = Queries<E>;
  typename S::Barriers& barriers = shared.barriers();
  const float scale2 = op.scale * LOG2E;
  const unsigned char* const q = shared.q + consumer * 64 * PANEL_ROW;
  const unsigned char* const dout = shared.dout() + consumer * 64 * PANEL_ROW;
  Schedule schedule(list, op.H, op.section * (op.H / op.K));
  Pipeline<1> queries;
  Pipeline<S::STAGES> keys;
  Tile tile;
  for (int head; schedule.next(tile, head); queries.advance()) {
    const int first = tile.begin + consumer * 64;
    float dq[E / 2] = {}, p[S::KEYS / 2], ds[S::KEYS / 2];
    uint32_t ds_packed[S::KEYS / 4];
    RowTerms terms[2];
#pragma unroll
    for (int i = 0; i < 2; i++)
      terms[i] = op.terms[head * op.terms_stride + min(first + fragment_row() + 8 * i, op.N - 1)];
    mbarrier_wait(&barriers.row_full, queries.parity);
    for (int row = tile.start; row < tile.begin + S::ROWS && row < tile.end; row += S::KEYS, keys.advance()) {
      const int stage = keys.stage;
      mbarrier_wait(&barriers.k_full[stage], keys.parity);
      wgmma_fence();
      multiply_rows<S::ROWS, E>(p, q, shared.k(stage));
      wgmma_commit_group();
      mbarrier_wait(&barriers.v_full[stage], keys.parity);
      wgmma_fence();
      multiply_rows<S::ROWS, E>(ds, dout, shared.v(stage));
      wgmma_commit_group();

      wgmma_wait_group<1>(p);
      float sums[4] = {};  // of no use but to wait_after: dP must not be waited for before all of p is there
#pragma unroll
      for (int i = 0; i < S::KEYS / 2; i++) {
        p[i] = exp2_approx(p[i] * scale2 - terms[i / 2 % 2].x);
        sums[i % 4] += p[i];
      }
      wait_after((sums[0] + sums[1]) + (sums[2] + sums[3]));
      wgmma_wait_group<0>(ds);
      release(&barriers.v_empty[stage]);
#pragma unroll
      for (int i = 0; i < S::KEYS / 2; i++) ds[i] = p[i] * (ds[i] - terms[i / 2 % 2].y);
      const int seen = first + fragment_row() - row;  // the last key that the thread's first row sees
      if (first + 1 < row + S::KEYS) {
#pragma unroll
        for (int i = 0; i < S::KEYS / 2; i++)
          if (i / 4 * 8 + fragment_col() + i % 2 > seen + i / 2 % 2 * 8) ds[i] = 0;
      }
      pack(ds_packed, ds);
      wgmma_fence();
      add_product(dq, ds_packed, shared.k(stage));
      wgmma_commit_group();
      wgmma_wait_group<0>(dq);
      release(&barriers.k_empty[stage]);
    }
    release(&barriers.row_empty);
    const float factor[2] = {op.scale, op.scale};
    store_rows(op.dq + first * op.dq_stride + head * E, op.dq_stride, dq, factor, tile.end - first);
  }
}

template <int E>
__global__ void __launch_bounds__(Queries<E>::THREADS, 1)
    dq(const TileList list, const Backward op, const __grid_constant__ CUtensorMap q,
       const __grid_constant__ CUtensorMap k, const __grid_constant__ CUtensorMap v,
       const __grid_constant__ CUtensorMap dout) {
#ifdef MSM_SM90A
  using S = Queries<E>;
  const S shared(dynamic_shared());
  typename S::Barriers& barriers = shared.barriers();
  if (threadIdx.x == 0) {
    mbarrier_init(&barriers.row_full, 1);
    mbarrier_init(&barriers.row_empty, S::CONSUMERS * 4);  // warps
    mbarrier_init(&barriers.landed, 1);
    for (int stage = 0; stage < S::STAGES; stage++) {
      mbarrier_init(&barriers.k_full[stage], 1);
      mbarrier_init(&barriers.v_full[stage], 1);
      mbarrier_init(&barriers.k_empty[stage], S::CONSUMERS * 4);
      mbarrier_init(&barriers.v_empty[stage], S::CONSUMERS * 4);
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
