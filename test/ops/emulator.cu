// Kernels with and without defects, for test/ops/emulator.slow.test.ts: `emulator-test <threads> <name>...` runs them
// and prints for each a line with the stream's error, or "right" or "wrong" as the values it left are.
#include <stdio.h>

#include <string>
#include <vector>

#include "../../kernels/cuda/context.h"
#include "../../kernels/cuda/ptx.cuh"

using namespace msm;

constexpr int THREADS = 96;

__global__ void neighbours(float* out, bool synchronised) {
  __shared__ float values[THREADS];
  const int i = static_cast<int>(threadIdx.x);
  values[i] = static_cast<float>(i);
  if (synchronised) __syncthreads();
  out[i] = values[THREADS - 1 - i];
}

__global__ void warp_neighbours(float* out, bool synchronised) {
  float* const values = reinterpret_cast<float*>(dynamic_shared());
  const int i = static_cast<int>(threadIdx.x);
  values[i] = static_cast<float>(i);
  if (synchronised) __syncwarp();
  out[i] = values[i ^ 31];
}

__global__ void reused(float* out, bool synchronised) {
  __shared__ float value;
  for (int round = 0; round < 2; round++) {
    if (threadIdx.x == 40) value = static_cast<float>(round);
    __syncthreads();
    if (round == 0) out[threadIdx.x] = value;
    if (synchronised) __syncthreads();
  }
}

__global__ void uninitialised(float* out, bool dynamic) {
  __shared__ float values[THREADS];
  out[threadIdx.x] = dynamic ? reinterpret_cast<float*>(dynamic_shared())[threadIdx.x] : values[threadIdx.x];
  values[threadIdx.x] = 0;
}

__global__ void divergent_barrier(float* out) {
  if (threadIdx.x >= 32) __syncthreads();
  out[threadIdx.x] = 0;
}

__global__ void two_barriers() {
  if (threadIdx.x < 32) __syncthreads();
  else named_barrier_sync(1, THREADS);
}

__global__ void left_before_shuffle(float* out) {
  if (threadIdx.x == 5) return;
  out[threadIdx.x] = warp_sum(1);
}

__global__ void shuffle_and_ballot(float* out) {
  if (threadIdx.x == 7) out[0] = static_cast<float>(__ballot_sync(ALL_LANES, 1));
  else out[0] = warp_sum(1);
}

__global__ void mask_without_itself() { __syncwarp(0xffff); }

__global__ void never_true() {
  const std::function<bool()> condition = [] { return false; };
  if (threadIdx.x == 33) emulator::wait_until("mbarrier", condition);
}

__global__ void deferred_work(float* out) {
  __shared__ float value;
  __shared__ bool done;
  if (threadIdx.x == 0) {
    done = false;
    value = -1;
  }
  __syncthreads();
  if (threadIdx.x == 64) emulator::defer([to = &value, flag = &done] { *to = 3, *flag = true; });
  const std::function<bool()> condition = [flag = &done] { return *flag; };
  if (threadIdx.x < 32) emulator::wait_until("mbarrier", condition);
  out[threadIdx.x] = threadIdx.x < 32 ? value : 3;
}

// Warp 0 hands a value to warps 1 and 2, which wait for each other alone.
__global__ void named_barriers(float* out) {
  __shared__ float value;
  if (threadIdx.x < 32) {
    if (threadIdx.x == 9) value = 5;
    named_barrier_arrive(2, THREADS);
    out[threadIdx.x] = 5;
  } else {
    named_barrier_sync(2, THREADS);
    out[threadIdx.x] = value;
    named_barrier_sync(3, 64);
  }
}

__global__ void copies(float* out, const float* in, int waited) {
  float* const values = reinterpret_cast<float*>(dynamic_shared());
  const int i = static_cast<int>(threadIdx.x);
  for (int group = 0; group < 2; group++) {
    cp_async16(values + group * 4 * THREADS + i * 4, in + (group * THREADS + i) * 4, group == 0 || i != 3);
    cp_async_commit();
  }
  if (waited == 1) cp_async_wait<1>();
  if (waited == 2) cp_async_wait<0>();
  __syncthreads();
  for (int j = 0; j < 8; j++) out[i * 8 + j] = values[(j / 4 * THREADS + (i + 1) % THREADS) * 4 + j % 4];
}

__global__ void misaligned_copy(const float* in) { cp_async16(dynamic_shared() + 4, in); }

// Lanes and what they read: beyond a segment's end, a lane keeps its own.
__global__ void shuffles(float* out) {
  const int i = static_cast<int>(threadIdx.x), lane = i % 32;
  const bool right = __shfl_sync(ALL_LANES, i, 3) == i - lane + 3 &&
                     __shfl_sync(ALL_LANES, i, 5, 8) == i - lane % 8 + 5 &&
                     __shfl_down_sync(ALL_LANES, i, 3) == (lane < 29 ? i + 3 : i) &&
                     __shfl_up_sync(ALL_LANES, i, 3, 16) == (lane % 16 < 3 ? i : i - 3) &&
                     __shfl_xor_sync(ALL_LANES, i, 9) == (i ^ 9) &&
                     __ballot_sync(ALL_LANES, lane % 3 == 0) == 0x49249249u && __any_sync(ALL_LANES, lane == 31) &&
                     !__all_sync(ALL_LANES, lane != 31) && __syncthreads_or(i == 90) && !__syncthreads_and(i != 90);
  float halves = 0;  // groups of lanes that do not wait for each other
  if (lane < 16) halves = static_cast<float>(__shfl_xor_sync(0xffff, lane, 1));
  else halves = static_cast<float>(__shfl_xor_sync(0xffff0000u, lane, 1));
  out[i] = right && halves == static_cast<float>(lane ^ 1) ? 1 : 0;
}

// d (16x8) = a (16x16) b (16x8), a by rows, b by rows (read transposed), both bf16 in shared memory.
__global__ void product(float* d, const bf16* a, const bf16* b) {
  bf16* const rows_a = reinterpret_cast<bf16*>(dynamic_shared());
  bf16* const rows_b = rows_a + 16 * 16;
  const int lane = static_cast<int>(threadIdx.x);
  for (int i = lane; i < 16 * 16; i += 32) rows_a[i] = a[i];
  for (int i = lane; i < 16 * 16; i += 32) rows_b[i] = i % 16 < 8 ? b[i / 16 * 8 + i % 16] : bf16{0};
  __syncwarp();
  uint32_t in_a[4], in_b[4];
  ldmatrix_x4(in_a, rows_a + lane % 16 * 16 + lane / 16 * 8);
  ldmatrix_x4_trans(in_b, rows_b + lane % 16 * 16 + lane / 16 * 8);
  float out[4] = {};
  mma_bf16(out, in_a, in_b[0], in_b[1]);
  for (int i = 0; i < 4; i++) d[(lane / 4 + i / 2 * 8) * 8 + lane % 4 * 2 + i % 2] = out[i];
}

__global__ void block_numbers(float* out) {
  const unsigned block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
  if (threadIdx.x == 0 && threadIdx.y == 0)
    out[block] = static_cast<float>(blockIdx.x + 10 * blockIdx.y + 100 * blockIdx.z);
  if (block == 0)
    out[100 + threadIdx.y * blockDim.x + threadIdx.x] = static_cast<float>(threadIdx.x + 100 * threadIdx.y);
}

__global__ void beyond_shared() { dynamic_shared()[threadIdx.x] = 0; }

void run_one(msm_context* context, const std::string& name) {
  std::vector<float> in(8 * THREADS), out(8 * THREADS, -1);
  for (size_t i = 0; i < in.size(); i++) in[i] = static_cast<float>(i + 1);
  float* const device_in = reinterpret_cast<float*>(msm_alloc(context, static_cast<int64_t>(in.size() * 4)));
  float* const device_out = reinterpret_cast<float*>(msm_alloc(context, static_cast<int64_t>(out.size() * 4)));
  const auto write = [&](float* to, const std::vector<float>& from) {
    msm_write(context, reinterpret_cast<uint64_t>(to), from.data(), static_cast<int64_t>(from.size() * 4));
  };
  write(device_in, in);
  write(device_out, out);
  const auto run = [&](auto kernel, size_t shared_bytes, auto... values) {
    launch(context, name.c_str(), kernel, 2, THREADS, shared_bytes, values...);
  };
  std::vector<float> want(THREADS);
  for (int i = 0; i < THREADS; i++) want[static_cast<size_t>(i)] = static_cast<float>(THREADS - 1 - i);

  if (name == "neighbours") run(neighbours, 0, device_out, true);
  if (name == "neighbours without a barrier") run(neighbours, 0, device_out, false);
  if (name.rfind("warp neighbours", 0) == 0) {
    for (int i = 0; i < THREADS; i++) want[static_cast<size_t>(i)] = static_cast<float>(i ^ 31);
    run(warp_neighbours, THREADS * 4, device_out, name == "warp neighbours");
  }
  if (name.rfind("reused", 0) == 0) {
    want.assign(THREADS, 0);
    run(reused, 0, device_out, name == "reused");
  }
  if (name.rfind("uninitialised", 0) == 0) {
    want.assign(THREADS, 0);
    run(uninitialised, THREADS * 4, device_out, name == "uninitialised dynamic");
  }
  if (name == "divergent barrier") run(divergent_barrier, 0, device_out);
  if (name == "two barriers") run(two_barriers, 0);
  if (name == "left before a shuffle") run(left_before_shuffle, 0, device_out);
  if (name == "shuffle and ballot") run(shuffle_and_ballot, 0, device_out);
  if (name == "mask without itself") run(mask_without_itself, 0);
  if (name == "never true") run(never_true, 0);
  if (name == "too much shared memory") run(beyond_shared, 200 << 10);
  if (name == "beyond shared memory") run(beyond_shared, THREADS - 1);
  if (name == "misaligned copy") run(misaligned_copy, 64, device_in);
  if (name == "deferred work") want.assign(THREADS, 3), run(deferred_work, 0, device_out);
  if (name == "named barriers") want.assign(THREADS, 5), run(named_barriers, 0, device_out);
  if (name == "shuffles") want.assign(THREADS, 1), run(shuffles, 0, device_out);
  if (name.rfind("copies", 0) == 0) {
    run(copies, 2 * 16 * THREADS, device_out, device_in,
        name == "copies"                         ? 2
        : name == "copies, one group waited for" ? 1
                                                 : 0);
    want.resize(8 * THREADS);
    for (int i = 0; i < THREADS; i++)
      for (int j = 0; j < 8; j++) {
        const int from = (i + 1) % THREADS;
        want[static_cast<size_t>(i * 8 + j)] =
            j >= 4 && from == 3 ? 0 : in[static_cast<size_t>((j / 4 * THREADS + from) * 4 + j % 4)];
      }
  }
  if (name == "product") {
    std::vector<bf16> a(16 * 16), b(16 * 8);
    want.assign(16 * 8, 0);
    for (size_t i = 0; i < a.size(); i++) a[i] = from_float<bf16>(static_cast<float>(i * 7 % 23) - 11);
    for (size_t i = 0; i < b.size(); i++) b[i] = from_float<bf16>(static_cast<float>(i * 5 % 19) - 9);
    for (size_t i = 0; i < 16; i++)
      for (size_t j = 0; j < 8; j++)
        for (size_t k = 0; k < 16; k++) want[i * 8 + j] += to_float(a[i * 16 + k]) * to_float(b[k * 8 + j]);
    launch(context, "product", product, 1, 32, 2 * 16 * 16 * sizeof(bf16), device_out, a.data(), b.data());
  }
  if (name == "block numbers") {
    launch(context, "block numbers", block_numbers, dim3(3, 2, 2), dim3(4, 5), 0, device_out);
    want.assign(120, -1);
    for (int i = 0; i < 12; i++)
      want[static_cast<size_t>(i)] = static_cast<float>(i % 3 + i / 3 % 2 * 10 + i / 6 * 100);
    for (int i = 0; i < 20; i++) want[static_cast<size_t>(100 + i)] = static_cast<float>(i % 4 + i / 4 * 100);
  }
  const int64_t bytes = static_cast<int64_t>(out.size() * 4);
  const auto read = [&] {
    return msm_read_end(context, msm_read_begin(context, reinterpret_cast<uint64_t>(device_out), bytes), out.data(),
                        bytes);
  };
  if (name == "after an error") {
    run(divergent_barrier, 0, device_out);
    run(neighbours, 0, device_out, true);  // dropped
    const char* const error = msm_sync(context);
    if (!error) return void(puts("no error"));
    read();
    if (out[0] == want[0]) return void(puts("not dropped"));
    run(neighbours, 0, device_out, true);
  }

  const char* const error = read();
  bool right = true;
  for (size_t i = 0; i < want.size(); i++) right &= out[i] == want[i];
  puts(error ? error : right ? "right" : "wrong");
  msm_free(context, reinterpret_cast<uint64_t>(device_in));
  msm_free(context, reinterpret_cast<uint64_t>(device_out));
}

int main(int count, char** arguments) {
  char problem[256];
  msm_context* const context = msm_open(0, atoi(arguments[1]), problem, sizeof problem);
  if (!context) return puts(problem), 1;
  for (int i = 2; i < count; i++) run_one(context, arguments[i]);
  msm_close(context);
}
