// The context of a GPU, one of those that CUDA_VISIBLE_DEVICES leaves: one stream.
// defines: the msm_* functions of the context, launch_kernel, fail, failed, device, workspace, is_recording,
// count_call
#include "context.h"

#include <stdio.h>
#include <stdlib.h>

#include <mutex>
#include <string>
#include <unordered_map>

#include "describe.h"
#include "staging.h"

namespace {
constexpr size_t SMALL_WRITE = 256 << 10;  // what a step writes: the host may run many of them ahead
}

struct msm_context {
  msm::Device device{};
  void* workspace = nullptr;
  std::string description;
  bool recording = false, recording_failed = false;
  std::unordered_map<const void*, size_t> shared_bytes;  // that kernels have opted in to
  // Ops and writes come from one thread, reads and syncs from others, at the same time.
  std::mutex error_mutex;
  std::string error;     // first error since the last sync; later work is dropped while it is set
  std::string reported;  // what the last msm_sync / msm_read_end returned a pointer to
  msm::StagingRing small_writes{32, SMALL_WRITE}, large_writes{2, 32 << 20};
  msm::ReadPool reads;
  msm::CallCounts calls;
};

namespace {

constexpr int OLDEST_CAPABILITY = 80;  // cp.async, bf16 products
constexpr size_t SHARED_WITHOUT_OPT_IN = 48 << 10;

__global__ void probe_kernel() {}

std::string version_text(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

// Why there is no GPU to use, and what to do.
std::string no_device(cudaError_t error, int driver) {
  const char* const visible = getenv("CUDA_VISIBLE_DEVICES");
  if (driver == 0) return "no NVIDIA driver is installed (libcuda.so.1 is missing): install one, or use --backend cpu";
  if (error == cudaErrorInsufficientDriver)
    return "the NVIDIA driver supports CUDA " + version_text(driver) + ", the kernels were built with " +
           version_text(CUDART_VERSION) + ": update the driver, or build the kernels with an older CUDA";
  if (error == cudaErrorNoDevice || error == cudaSuccess)
    return visible ? std::string("CUDA_VISIBLE_DEVICES=") + visible + " leaves no NVIDIA GPU"
                   : "the driver sees no NVIDIA GPU: `nvidia-smi` must list one";
  return std::string("the NVIDIA driver does not start: ") + cudaGetErrorString(error) + " (" +
         cudaGetErrorName(error) + ")";
}

// cuBLASLt's handle, its plans and the threads that wait belong to a device: a process uses one. -1: none yet.
int device_of_process = -1;

// Fills the context. Returns what is wrong, or "".
std::string open_device(msm_context* context, int index) {
  int count = 0, driver = 0;
  cudaDriverGetVersion(&driver);
  const cudaError_t counted = cudaGetDeviceCount(&count);
  if (counted != cudaSuccess || count == 0) return no_device(counted, driver);
  if (index < 0 || index >= count) return msm::no_such_device(index, count);
  if (device_of_process >= 0 && device_of_process != index)
    return "this process has used device " + std::to_string(device_of_process) + " and cannot use device " +
           std::to_string(index) + " too: start another process";
  cudaDeviceProp properties;
  cudaError_t error = cudaSetDevice(index);
  if (error == cudaSuccess) error = cudaGetDeviceProperties(&properties, index);
  if (error != cudaSuccess) return no_device(error, driver);

  device_of_process = index;

  msm::Device& device = context->device;
  device.index = index;
  device.compute_capability = properties.major * 10 + properties.minor;
  device.multiprocessors = properties.multiProcessorCount;
  device.shared_bytes_per_block = static_cast<int64_t>(properties.sharedMemPerBlockOptin);
  device.hopper = msm::use_hopper(device.compute_capability);
  const std::string name = std::string(properties.name) + " (sm_" + std::to_string(device.compute_capability) + ")";
  if (device.compute_capability < OLDEST_CAPABILITY)
    return name + " is too old: the kernels need compute capability 8.0 (A100, GeForce RTX 30) or newer";
  cudaFuncAttributes attributes;
  error = cudaFuncGetAttributes(&attributes, probe_kernel);
  if (error == cudaErrorNoKernelImageForDevice || error == cudaErrorInvalidDeviceFunction ||
      error == cudaErrorUnsupportedPtxVersion)
    return "the CUDA library was not built for " + name + ": build it again with an nvcc that knows it";
  if (error == cudaSuccess) error = cudaStreamCreateWithFlags(&device.stream, cudaStreamNonBlocking);
  if (error == cudaSuccess) error = cudaMalloc(&context->workspace, msm::WORKSPACE_BYTES + msm::COUNTER_BYTES);
  // On the stream that uses them: another one would not wait for it.
  if (error == cudaSuccess) error = cudaMemsetAsync(msm::counters(context), 0, msm::COUNTER_BYTES, device.stream);
  size_t free_bytes = 0, total_bytes = 0;
  if (error == cudaSuccess) error = cudaMemGetInfo(&free_bytes, &total_bytes);
  if (error != cudaSuccess)
    return name + " cannot be used: " + cudaGetErrorString(error) + " (" + cudaGetErrorName(error) + ")";
  if (const char* const refusal = msm::cublaslt_refusal()) return refusal;
  context->description = msm::describe("cuda", device, 1, static_cast<int64_t>(total_bytes),
                                       static_cast<int64_t>(free_bytes), properties.name, version_text(driver).c_str());
  return "";
}

// Keeps a failed call's error. False where it failed.
bool expect(msm_context* context, const char* op, cudaError_t error) {
  if (error == cudaSuccess) return true;
  cudaGetLastError();  // else the next launch would report it again
  msm::fail(context, op, cudaGetErrorString(error));
  return false;
}

// Of work that has run: nobody knows of which op.
void expect_done(msm_context* context, cudaError_t error) {
  if (error == cudaSuccess) return;
  cudaGetLastError();
  msm::fail(
      context, "cuda",
      (std::string(cudaGetErrorString(error)) + " (in an op since the last wait; CUDA_LAUNCH_BLOCKING=1 tells which)")
          .c_str());
}

// Reads and waits come from other threads, which CUDA begins on device 0: without this they would open it too.
void use_device(msm_context* context) { expect_done(context, cudaSetDevice(context->device.index)); }

const char* take_error(msm_context* context) {
  std::lock_guard<std::mutex> lock(context->error_mutex);
  if (context->error.empty()) return nullptr;
  context->reported.swap(context->error);
  context->error.clear();
  return context->reported.c_str();
}

}  // namespace

namespace msm {

const Device& device(msm_context* context) { return context->device; }

void* workspace(msm_context* context) { return context->workspace; }

bool is_recording(msm_context* context) { return context->recording; }

void count_call(msm_context* context, const char* op, const char* kernel) { context->calls.add(op, kernel); }

void fail(msm_context* context, const char* op, const char* message) {
  std::lock_guard<std::mutex> lock(context->error_mutex);
  context->recording_failed = true;
  if (context->error.empty()) context->error = std::string(op) + ": " + message;
}

bool failed(msm_context* context) {
  std::lock_guard<std::mutex> lock(context->error_mutex);
  return !context->error.empty();
}

void launch_kernel(msm_context* context, const char* op, const void* kernel, dim3 grid, dim3 block, size_t shared_bytes,
                   void** args) {
  if (grid.x == 0 || grid.y == 0 || grid.z == 0 || failed(context)) return;
  if (shared_bytes > SHARED_WITHOUT_OPT_IN) {
    size_t& allowed = context->shared_bytes[kernel];
    if (shared_bytes > allowed) {
      if (!expect(context, op,
                  cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                       static_cast<int>(shared_bytes))))
        return;
      allowed = shared_bytes;
    }
  }
  expect(context, op, cudaLaunchKernel(kernel, grid, block, args, shared_bytes, context->device.stream));
}

}  // namespace msm

int msm_abi_version(void) { return MSM_ABI_VERSION; }

msm_context* msm_open(int device, int, char* error, int64_t error_bytes) {
  msm_context* context = new msm_context;
  const std::string problem = open_device(context, device);
  if (problem.empty()) return context;
  snprintf(error, static_cast<size_t>(error_bytes), "%s", problem.c_str());
  msm_close(context);
  return nullptr;
}

void msm_close(msm_context* context) {
  if (context->device.stream) {
    cudaStreamSynchronize(context->device.stream);
    cudaStreamDestroy(context->device.stream);
  }
  cudaFree(context->workspace);
  delete context;
}

const char* msm_describe(msm_context* context) { return context->description.c_str(); }

const char* msm_kernels(msm_context* context) { return context->calls.json(); }

uint64_t msm_alloc(msm_context*, int64_t bytes) {
  void* memory = nullptr;
  if (cudaMalloc(&memory, static_cast<size_t>(bytes > 0 ? bytes : 1)) == cudaSuccess)
    return reinterpret_cast<uint64_t>(memory);
  cudaGetLastError();
  return 0;
}

void msm_free(msm_context* context, uint64_t address) {
  expect_done(context, cudaStreamSynchronize(context->device.stream));
  expect_done(context, cudaFree(reinterpret_cast<void*>(address)));
}

void msm_write(msm_context* context, uint64_t target, const void* source, int64_t bytes) {
  if (msm::failed(context)) return;
  const size_t count = static_cast<size_t>(bytes);
  msm::StagingRing& ring = count <= SMALL_WRITE ? context->small_writes : context->large_writes;
  expect(context, "write", ring.write(context->device.stream, reinterpret_cast<void*>(target), source, count));
}

uint64_t msm_read_begin(msm_context* context, uint64_t source, int64_t bytes) {
  if (msm::failed(context)) return 0;
  msm::Read* read = nullptr;
  const cudaError_t error = context->reads.begin(context->device.stream, reinterpret_cast<const void*>(source),
                                                 static_cast<size_t>(bytes), read);
  return expect(context, "read", error) ? reinterpret_cast<uint64_t>(read) : 0;
}

const char* msm_read_end(msm_context* context, uint64_t ticket, void* target, int64_t bytes) {
  use_device(context);
  if (ticket)
    expect_done(context, context->reads.end(reinterpret_cast<msm::Read*>(ticket), target, static_cast<size_t>(bytes)));
  else msm::fail(context, "read", "nothing was read after an earlier error");
  return take_error(context);
}

const char* msm_sync(msm_context* context) {
  use_device(context);
  expect_done(context, cudaStreamSynchronize(context->device.stream));
  return take_error(context);
}

// Relaxed: what a first launch does on the side (loading the kernel) may happen while the stream is captured.
int msm_record_begin(msm_context* context) {
  context->recording =
      expect(context, "record", cudaStreamBeginCapture(context->device.stream, cudaStreamCaptureModeRelaxed));
  context->recording_failed = false;
  return context->recording;
}

uint64_t msm_record_end(msm_context* context) {
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t executable = nullptr;
  context->recording = false;
  bool good =
      expect(context, "record", cudaStreamEndCapture(context->device.stream, &graph)) && !context->recording_failed;
  good = good && expect(context, "record", cudaGraphInstantiate(&executable, graph, 0)) &&
         expect(context, "record", cudaGraphUpload(executable, context->device.stream));
  if (graph) cudaGraphDestroy(graph);
  if (!good && executable) cudaGraphExecDestroy(executable);
  return good ? reinterpret_cast<uint64_t>(executable) : 0;
}

void msm_replay(msm_context* context, uint64_t recording) {
  if (msm::failed(context)) return;
  expect(context, "replay", cudaGraphLaunch(reinterpret_cast<cudaGraphExec_t>(recording), context->device.stream));
}

void msm_recording_free(msm_context* context, uint64_t recording) {
  expect_done(context, cudaStreamSynchronize(context->device.stream));
  expect_done(context, cudaGraphExecDestroy(reinterpret_cast<cudaGraphExec_t>(recording)));
}
