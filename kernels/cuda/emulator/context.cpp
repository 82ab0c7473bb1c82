// The context of an emulated device: a launch runs at once, in the calling thread and its OpenMP threads.
// defines: the msm_* functions of the context, launch_blocks, fail, failed, device, workspace, is_recording,
// count_call
#include "../context.h"

#include <omp.h>
#include <stdio.h>
#include <unistd.h>

#include <memory>
#include <mutex>
#include <vector>

#include "../describe.h"

namespace {

struct Launch {
  const char* op;
  msm::emulator::Index grid, block;
  size_t shared_bytes;
  std::function<void()> body;
};

}  // namespace

struct msm_context {
  std::mutex mutex;
  msm::Device device{};
  int threads = 1;
  msm::emulator::Order order = msm::emulator::Order::FORWARD;
  std::vector<Launch>* recording = nullptr;  // while one is open
  bool recording_failed = false;
  std::string error;     // first error since the last sync; later work is dropped while it is set
  std::string reported;  // what the last msm_sync / msm_read_end returned a pointer to
  std::string description;
  void* workspace = nullptr;
  msm::CallCounts calls;
};

namespace {

using msm::emulator::Order;
using msm::emulator::run_grid;

constexpr unsigned char UNDEFINED = 0xff;  // what memory holds that nobody has written: NaN

// Compute capability and shared memory that a block may have, as the CUDA C++ Programming Guide lists them. So few
// multiprocessors that loops over tiles wrap around at the sizes of tests.
constexpr msm::Device DEVICES[] = {
    {nullptr, 80, 12, 163 << 10}, {nullptr, 86, 12, 99 << 10}, {nullptr, 90, 12, 227 << 10}};

bool read_order(Order& order) {
  const char* const name = getenv("MSM_EMULATOR_ORDER");
  if (!name || !*name || strcmp(name, "forward") == 0) order = Order::FORWARD;
  else if (strcmp(name, "reverse") == 0) order = Order::REVERSE;
  else if (strcmp(name, "shuffled") == 0) order = Order::SHUFFLED;
  else return false;
  return true;
}

// How many devices there are to choose from: all alike, with nothing of their own. 0 where that is no number.
int device_count() {
  const char* const count = getenv("MSM_EMULATOR_DEVICES");
  return count && *count ? atoi(count) : 1;
}

bool read_device(msm::Device& device) {
  const char* const name = getenv("MSM_EMULATOR_ARCH");
  const int capability = !name || !*name ? 80 : strncmp(name, "sm_", 3) == 0 ? atoi(name + 3) : 0;
  for (const msm::Device& one : DEVICES) {
    if (one.compute_capability != capability) continue;
    device = one;
    device.hopper = msm::use_hopper(capability);
    return true;
  }
  return false;
}

const char* take_error(msm_context* context) {
  if (context->error.empty()) return nullptr;
  context->reported.swap(context->error);
  context->error.clear();
  return context->reported.c_str();
}

void keep_error(msm_context* context, const char* op, const std::string& message) {
  context->recording_failed = true;
  if (context->error.empty()) context->error = std::string(op) + ": " + message;
}

void run(msm_context* context, const Launch& launch) {
  if (!context->error.empty()) return;
  const std::string error =
      run_grid(launch.grid, launch.block, launch.shared_bytes, launch.body, context->order, context->threads);
  if (!error.empty()) keep_error(context, launch.op, error);
}

}  // namespace

namespace msm {

const Device& device(msm_context* context) { return context->device; }

void fail(msm_context* context, const char* op, const char* message) {
  std::lock_guard<std::mutex> lock(context->mutex);
  keep_error(context, op, message);
}

bool failed(msm_context* context) {
  std::lock_guard<std::mutex> lock(context->mutex);
  return !context->error.empty();
}

void* workspace(msm_context* context) { return context->workspace; }

bool is_recording(msm_context* context) { return context->recording != nullptr; }

void count_call(msm_context* context, const char* op, const char* kernel) { context->calls.add(op, kernel); }

void launch_blocks(msm_context* context, const char* op, dim3 grid, dim3 block, size_t shared_bytes,
                   std::function<void()> body) {
  std::lock_guard<std::mutex> lock(context->mutex);
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;
  const uint64_t threads = static_cast<uint64_t>(block.x) * block.y * block.z;
  if (threads == 0 || threads > 1024 || block.z > 64 || grid.x > INT_MAX || grid.y > 65535 || grid.z > 65535 ||
      shared_bytes > static_cast<size_t>(context->device.shared_bytes_per_block))
    return keep_error(context, op, "invalid configuration argument");
  Launch launch{op, {grid.x, grid.y, grid.z}, {block.x, block.y, block.z}, shared_bytes, std::move(body)};
  if (context->recording) context->recording->push_back(std::move(launch));
  else run(context, launch);
}

}  // namespace msm

int msm_abi_version(void) { return MSM_ABI_VERSION; }

msm_context* msm_open(int device, int threads, char* error, int64_t error_bytes) {
  msm_context* context = new msm_context;
  std::string problem;
  if (!read_order(context->order)) problem = "MSM_EMULATOR_ORDER is none of forward, reverse, shuffled";
  if (!read_device(context->device)) problem = "MSM_EMULATOR_ARCH is none of sm_80, sm_86, sm_90";
  if (device < 0 || device >= device_count()) problem = msm::no_such_device(device, device_count());
  const char* const refusal = msm::cublaslt_refusal();
  if (problem.empty() && refusal) problem = refusal;
  if (!problem.empty()) {
    snprintf(error, static_cast<size_t>(error_bytes), "%s", problem.c_str());
    delete context;
    return nullptr;
  }
  context->device.index = device;
  context->threads = threads > 0 ? threads : omp_get_num_procs();
  context->workspace = reinterpret_cast<void*>(msm_alloc(context, msm::WORKSPACE_BYTES + msm::COUNTER_BYTES));
  memset(msm::counters(context), 0, msm::COUNTER_BYTES);
  const int64_t memory = static_cast<int64_t>(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGE_SIZE);
  context->description =
      msm::describe("cuda-emulated", context->device, context->threads, memory, memory, "emulated on the CPU", nullptr);
  return context;
}

void msm_close(msm_context* context) {
  free(context->workspace);
  delete context;
}

const char* msm_describe(msm_context* context) { return context->description.c_str(); }

const char* msm_kernels(msm_context* context) { return context->calls.json(); }

uint64_t msm_alloc(msm_context*, int64_t bytes) {
  // Exactly as many bytes as asked for: AddressSanitizer then sees the first byte beyond.
  void* memory = nullptr;
  if (posix_memalign(&memory, 256, static_cast<size_t>(bytes > 0 ? bytes : 1)) != 0) return 0;
  memset(memory, UNDEFINED, static_cast<size_t>(bytes));
  return reinterpret_cast<uint64_t>(memory);
}

void msm_free(msm_context* context, uint64_t address) {
  std::lock_guard<std::mutex> lock(context->mutex);
  free(reinterpret_cast<void*>(address));
}

void msm_write(msm_context* context, uint64_t target, const void* source, int64_t bytes) {
  std::lock_guard<std::mutex> lock(context->mutex);
  if (context->error.empty()) memcpy(reinterpret_cast<void*>(target), source, static_cast<size_t>(bytes));
}

uint64_t msm_read_begin(msm_context* context, uint64_t source, int64_t bytes) {
  std::lock_guard<std::mutex> lock(context->mutex);
  if (!context->error.empty()) return 0;
  const auto* const from = reinterpret_cast<const unsigned char*>(source);
  return reinterpret_cast<uint64_t>(new std::vector<unsigned char>(from, from + bytes));
}

const char* msm_read_end(msm_context* context, uint64_t ticket, void* target, int64_t bytes) {
  const std::unique_ptr<std::vector<unsigned char>> read(reinterpret_cast<std::vector<unsigned char>*>(ticket));
  std::lock_guard<std::mutex> lock(context->mutex);
  if (!read) keep_error(context, "read", "nothing was read after an earlier error");
  if (!context->error.empty()) return take_error(context);
  memcpy(target, read->data(), static_cast<size_t>(bytes));
  return nullptr;
}

const char* msm_sync(msm_context* context) {
  std::lock_guard<std::mutex> lock(context->mutex);
  return take_error(context);
}

int msm_record_begin(msm_context* context) {
  std::lock_guard<std::mutex> lock(context->mutex);
  context->recording = new std::vector<Launch>;
  context->recording_failed = false;
  return 1;
}

uint64_t msm_record_end(msm_context* context) {
  std::lock_guard<std::mutex> lock(context->mutex);
  std::vector<Launch>* const recording = std::exchange(context->recording, nullptr);
  if (!context->recording_failed) return reinterpret_cast<uint64_t>(recording);
  delete recording;
  return 0;
}

void msm_replay(msm_context* context, uint64_t recording) {
  std::lock_guard<std::mutex> lock(context->mutex);
  for (const Launch& launch : *reinterpret_cast<const std::vector<Launch>*>(recording)) run(context, launch);
}

void msm_recording_free(msm_context*, uint64_t recording) { delete reinterpret_cast<std::vector<Launch>*>(recording); }
