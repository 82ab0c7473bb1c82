// The device: one stream, its first error, kernel launches. Ops run on the stream in the order of the calls; while a
// recording is open (msm_record_begin), the stream captures them into a graph instead.
// defines: msm_context (what ops need of it), use_hopper, launch, fail, workspace, counters, count_call
#pragma once
#include <stdlib.h>
#include <string.h>

#include <tuple>

#include "../ops.h"
#include "device.cuh"

namespace msm {

struct Device {
  cudaStream_t stream;
  int compute_capability;  // 80, 86, 89, 90, 100, 120
  int multiprocessors;
  int64_t shared_bytes_per_block;  // the most that a block may opt in to
  bool hopper = false;             // whether ops may take their kernels for sm_90a: see use_hopper
  int index = 0;                   // among those that the process sees
};

// What MSM_HOPPER=1 asks for when a context is opened. Unset, the Hopper kernels are off until they have been confirmed
// and measured on a GPU: written from the PTX documentation and tested in the emulator alone, they have yet to earn the
// default.
inline bool use_hopper(int compute_capability) {
  const char* const setting = getenv("MSM_HOPPER");
  return compute_capability == 90 && setting && strcmp(setting, "1") == 0;
}

const Device& device(msm_context* context);

// Keeps the first error as "op: message"; the message is copied. Later launches are dropped until msm_sync returns it.
void fail(msm_context* context, const char* op, const char* message);
bool failed(msm_context* context);

// Counts a call of the kernel that an op has chosen among several, for msm_kernels.
void count_call(msm_context* context, const char* op, const char* kernel);

// Whether a recording is open: nothing runs then, and nothing can be timed.
bool is_recording(msm_context* context);

// Scratch of the context for one op at a time (split sums, split attention): WORKSPACE_BYTES long, aligned to 256,
// contents undefined at each op's begin.
constexpr int64_t WORKSPACE_BYTES = 64ll << 20;
void* workspace(msm_context* context);

// COUNTERS integers behind it, 0 whenever no kernel runs: blocks count themselves, and the one that finds itself last
// puts the 0 back.
constexpr int64_t COUNTERS = 1024, COUNTER_BYTES = COUNTERS * 4;
inline unsigned* counters(msm_context* context) {
  return reinterpret_cast<unsigned*>(static_cast<char*>(workspace(context)) + WORKSPACE_BYTES);
}

inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

}  // namespace msm

#ifdef MSM_EMULATED
#include "emulator/launch.h"
#else
namespace msm {

void launch_kernel(msm_context* context, const char* op, const void* kernel, dim3 grid, dim3 block, size_t shared_bytes,
                   void** args);

// Appends kernel<<<grid, block, shared_bytes>>>(args...) to the stream under the op's name. A grid of 0 blocks is
// nothing to do.
template <class... P, class... A>
void launch(msm_context* context, const char* op, void (*kernel)(P...), dim3 grid, dim3 block, size_t shared_bytes,
            A... args) {
  std::tuple<P...> values{static_cast<P>(args)...};  // of the kernel's own types: they are passed by address
  std::apply(
      [&](P&... value) {
        void* pointers[] = {const_cast<void*>(static_cast<const void*>(&value))..., nullptr};
        launch_kernel(context, op, reinterpret_cast<const void*>(kernel), grid, block, shared_bytes, pointers);
      },
      values);
}

}  // namespace msm
#endif
