// What Hopper kernels are made of, with and without defects, on the emulator: `hopper <name>` prints the stream's
// error, or "right" or "wrong" as the values are. And which calls the Hopper kernels take: "taken", "refused". For
// test/ops/hopper.slow.test.ts.
#include <stdio.h>

#include <string>
#include <vector>

#include "../../kernels/cuda/hopper_attention.cuh"
#include "../../kernels/cuda/hopper_attention.h"
#include "../../kernels/cuda/hopper_tensor_map.h"

using namespace msm;
using namespace msm::hopper;

constexpr int TILE = 64, WIDTH = 128, ROUNDS = 3, ROWS = 2 * TILE + 40;  // the last tile leaves the matrix

const std::vector<std::string> DEFECTS = {
    "products",        "data not waited for",  "reused before it was read",
    "reused unasked",  "sums taken too early", "sums touched",
    "no fence",        "bytes unannounced",    "arrival missing",
    "not initialised", "stride wrong",         "leading wrong",
    "tile misaligned",
};
// Index of a defect above, for device code.
constexpr int NONE = 0, DATA = 1, EARLY = 2, UNASKED = 3, TAKEN = 4, TOUCHED = 5, FENCE = 6, BYTES = 7, ARRIVAL = 8,
              UNINITIALISED = 9, STRIDE = 10, LEADING = 11, MISALIGNED = 12;

struct Stage {
  alignas(1024) unsigned char a[TILE_BYTES<TILE, WIDTH>], b[TILE_BYTES<TILE, WIDTH>], v[TILE_BYTES<TILE, WIDTH>];
  uint64_t a_full, full, empty;
};

// out [64, 128] = sum over tiles of 64 rows of bf16(a b^T) v. One stage that is filled ROUNDS times.
__global__ void products(float* out, const __grid_constant__ CUtensorMap a, const __grid_constant__ CUtensorMap b,
                         const __grid_constant__ CUtensorMap v, int defect) {
  Stage& stage = *reinterpret_cast<Stage*>(dynamic_shared());
  const int thread = static_cast<int>(threadIdx.x);
  if (thread == 0) {
    mbarrier_init(&stage.a_full, 1);
    if (defect != UNINITIALISED) mbarrier_init(&stage.full, defect == ARRIVAL ? 2 : 1);
    mbarrier_init(&stage.empty, 4);
    fence_mbarrier_init();
  }
  __syncthreads();
  if (thread < WARPGROUP) {
    if (thread != 0) return;
    mbarrier_arrive_expect_tx(&stage.a_full, TILE_BYTES<TILE, WIDTH>);
    load_tile<TILE, WIDTH>(stage.a, a, 0, 0, &stage.a_full);
    for (int round = 0; round < ROUNDS; round++) {
      if (defect != UNASKED) mbarrier_wait(&stage.empty, round % 2 ^ 1);
      mbarrier_arrive_expect_tx(&stage.full, 2 * TILE_BYTES<TILE, WIDTH> - (defect == BYTES ? 16 : 0));
      load_tile<TILE, WIDTH>(stage.b + (defect == MISALIGNED ? 128 : 0), b, 0, round * TILE, &stage.full);
      load_tile<TILE, WIDTH>(stage.v, v, 0, round * TILE, &stage.full);
    }
    return;
  }
  float scores[TILE / 2], sums[WIDTH / 2] = {};
  uint32_t weights[TILE / 4];
  const auto release = [&] {
    if (thread % WARP == 0) mbarrier_arrive(&stage.empty);
  };
  mbarrier_wait(&stage.a_full, 0);
  for (int round = 0; round < ROUNDS; round++) {
    if (defect != DATA) mbarrier_wait(&stage.full, round % 2);
    if (defect != FENCE) wgmma_fence();
    multiply_rows<TILE, WIDTH>(scores, stage.a, stage.b);
    wgmma_commit_group();
    if (defect == TAKEN) wgmma_wait_group<1>(scores);
    else wgmma_wait_group<0>(scores);
    pack(weights, scores);
    wgmma_fence();
    if (defect == STRIDE || defect == LEADING) {
      for (int k = 0; k < TILE / 16; k++) {
        const uint32_t part[4] = {weights[4 * k], weights[4 * k + 1], weights[4 * k + 2], weights[4 * k + 3]};
        const int leading = TILE * PANEL_ROW / (defect == LEADING ? 2 : 1),
                  stride = 8 * PANEL_ROW / (defect == STRIDE ? 2 : 1);
        wgmma<true>(sums, part, wgmma_descriptor(stage.v + k * 16 * PANEL_ROW, leading, stride));
      }
    } else {
      add_product(sums, weights, stage.v);
    }
    wgmma_commit_group();
    if (defect == EARLY) release();
    if (defect == TOUCHED) sums[round] += 1;
    wgmma_wait_group<0>(sums);
    if (defect != EARLY) release();
  }
  for (int i = 0; i < WIDTH / 2; i++)
    out[(fragment_row() + i / 2 % 2 * 8) * WIDTH + i / 4 * 8 + fragment_col() + i % 2] = sums[i];
}

void run_products(msm_context* context, const std::string& name, int defect) {
  // Small whole numbers: every sum is exact, in bf16 too.
  std::vector<bf16> a(TILE * WIDTH), b(ROWS * WIDTH), v(ROWS * WIDTH);
  uint32_t random = 1;
  for (auto* matrix : {&a, &b, &v})
    for (bf16& x : *matrix)
      x = from_float<bf16>(static_cast<float>((random = random * 1664525u + 1013904223u) >> 24) / 86 -
                           1);  // then a whole number
  for (auto* matrix : {&a, &b, &v})
    for (bf16& x : *matrix) x = from_float<bf16>(roundf(to_float(x)));
  std::vector<float> out(TILE * WIDTH, -1), want(TILE * WIDTH, 0);
  for (int i = 0; i < TILE; i++)
    for (int n = 0; n < ROWS; n++) {
      float score = 0;
      for (int e = 0; e < WIDTH; e++)
        score += to_float(a[static_cast<size_t>(i * WIDTH + e)]) * to_float(b[static_cast<size_t>(n * WIDTH + e)]);
      for (int e = 0; e < WIDTH; e++)
        want[static_cast<size_t>(i * WIDTH + e)] +=
            to_float(from_float<bf16>(score)) * to_float(v[static_cast<size_t>(n * WIDTH + e)]);
    }
  const auto device = [&](const void* from, size_t bytes) {
    const uint64_t at = msm_alloc(context, static_cast<int64_t>(bytes));
    msm_write(context, at, from, static_cast<int64_t>(bytes));
    return at;
  };
  const uint64_t in[3] = {device(a.data(), a.size() * 2), device(b.data(), b.size() * 2),
                          device(v.data(), v.size() * 2)};
  const uint64_t result = device(out.data(), out.size() * 4);
  CUtensorMap maps[3];
  for (int i = 0; i < 3; i++)
    if (!tensor_map(maps[i], reinterpret_cast<void*>(in[i]), WIDTH, i == 0 ? TILE : ROWS, WIDTH, TILE))
      return void(puts("no tensor map"));
  launch(context, name.c_str(), products, 1, 2 * WARPGROUP, sizeof(Stage), reinterpret_cast<float*>(result), maps[0],
         maps[1], maps[2], defect);
  const int64_t bytes = static_cast<int64_t>(out.size() * 4);
  const char* const error = msm_read_end(context, msm_read_begin(context, result, bytes), out.data(), bytes);
  puts(error ? error : out == want ? "right" : "wrong");
  for (const uint64_t one : {in[0], in[1], in[2], result}) msm_free(context, one);
}

// A call of both ops on zeros: whether the Hopper kernels take it.
void run_call(msm_context* context, int dtype, int64_t E, int64_t shift, int64_t gap, float scale) {
  constexpr int64_t N = 70, H = 4, K = 2;
  const int64_t q_stride = H * E + gap, k_stride = K * E + gap;
  std::vector<std::vector<float>> memory(9, std::vector<float>(static_cast<size_t>(N * q_stride + 16)));
  const auto matrix = [&](size_t i) {
    const uintptr_t line = (reinterpret_cast<uintptr_t>(memory[i].data()) + 15) / 16 * 16;
    return reinterpret_cast<void*>(line + static_cast<uintptr_t>(shift));
  };
  std::vector<int32_t> starts(N, 0);
  std::vector<float> lse(H * N), workspace(static_cast<size_t>(hopper_attention_backward_workspace(N, H) / 4));
  const bool forward =
      hopper_attention_forward(context, dtype, matrix(0), q_stride, lse.data(), matrix(1), q_stride, matrix(2),
                               k_stride, matrix(3), k_stride, starts.data(), scale, N, H, K, E);
  const bool backward = hopper_attention_backward(
      context, dtype, matrix(4), q_stride, matrix(5), k_stride, matrix(6), k_stride, matrix(7), q_stride, matrix(8),
      q_stride, lse.data(), matrix(1), q_stride, matrix(2), k_stride, matrix(3), k_stride, starts.data(), scale, N, H,
      K, E, workspace.data(), static_cast<int64_t>(workspace.size() * 4));
  const char* const error = msm_sync(context);
  puts(error ? error : forward != backward ? "one of two" : forward ? "taken" : "refused");
}

int main(int count, char** arguments) {
  char problem[256];
  msm_context* const context = msm_open(0, 2, problem, sizeof problem);
  if (!context) return puts(problem), 1;
  for (int i = 1; i < count; i++) {
    const std::string name = arguments[i];
    for (size_t defect = 0; defect < DEFECTS.size(); defect++)
      if (name == DEFECTS[defect]) run_products(context, name, static_cast<int>(defect));
    if (name == "heads of 64") run_call(context, MSM_BF16, 64, 0, 0, 0.1f);
    if (name == "heads of 128") run_call(context, MSM_BF16, 128, 0, 0, 0.1f);
    if (name == "rows of a view") run_call(context, MSM_BF16, 64, 16, 24, 0.1f);
    if (name == "heads of 80") run_call(context, MSM_BF16, 80, 0, 0, 0.1f);
    if (name == "f32") run_call(context, MSM_F32, 64, 0, 0, 0.1f);
    if (name == "address of 2 bytes") run_call(context, MSM_BF16, 64, 2, 0, 0.1f);
    if (name == "stride of 2 bytes") run_call(context, MSM_BF16, 64, 0, 1, 0.1f);
    if (name == "negative scale") run_call(context, MSM_BF16, 64, 0, 0, -0.1f);
  }
  msm_close(context);
}
