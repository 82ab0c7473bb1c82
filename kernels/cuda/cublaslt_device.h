// What choosing an algorithm needs of the device: its name, time and memory for a moment. The emulated device has the
// host's.
// defines: device_key, Stopwatch, Scratch
#pragma once
#include <chrono>
#include <string>

#include "context.h"

namespace msm {

#ifndef MSM_EMULATED

// What distinguishes the GPU and its driver: timings of another one do not hold.
inline std::string device_key(msm_context* context) {
  int ordinal = 0, driver = 0;
  cudaDeviceProp properties;
  cudaDriverGetVersion(&driver);
  if (cudaGetDevice(&ordinal) != cudaSuccess || cudaGetDeviceProperties(&properties, ordinal) != cudaSuccess)
    return "unknown";
  return std::string(properties.name) + "-" + std::to_string(device(context).multiprocessors) + "-" +
         std::to_string(driver / 1000) + "." + std::to_string(driver % 1000 / 10);
}

// Time on the stream between start() and stop(), which waits.
class Stopwatch {
 public:
  explicit Stopwatch(cudaStream_t stream) : stream_(stream) {
    is_good_ = cudaEventCreate(&begin_) == cudaSuccess && cudaEventCreate(&end_) == cudaSuccess;
  }
  ~Stopwatch() {
    if (begin_) cudaEventDestroy(begin_);
    if (end_) cudaEventDestroy(end_);
  }
  void start() { is_good_ = is_good_ && cudaEventRecord(begin_, stream_) == cudaSuccess; }
  // Microseconds; INFINITY where the device reports an error.
  float stop() {
    float milliseconds = 0;
    is_good_ = is_good_ && cudaEventRecord(end_, stream_) == cudaSuccess && cudaEventSynchronize(end_) == cudaSuccess &&
               cudaEventElapsedTime(&milliseconds, begin_, end_) == cudaSuccess;
    return is_good_ ? milliseconds * 1000 : INFINITY;
  }

 private:
  cudaStream_t stream_;
  cudaEvent_t begin_ = nullptr, end_ = nullptr;
  bool is_good_;
};

// Device memory for a moment; memory() is null where there is none left.
class Scratch {
 public:
  explicit Scratch(int64_t bytes) {
    if (bytes > 0 && cudaMalloc(&memory_, static_cast<size_t>(bytes)) != cudaSuccess)
      cudaGetLastError();  // which clears it
  }
  ~Scratch() {
    if (memory_) cudaFree(memory_);
  }
  void* memory() const { return memory_; }

 private:
  void* memory_ = nullptr;
};

#else

inline std::string device_key(msm_context*) { return "emulated"; }

class Stopwatch {
 public:
  explicit Stopwatch(cudaStream_t) {}
  void start() { begin_ = std::chrono::steady_clock::now(); }
  float stop() { return std::chrono::duration<float, std::micro>(std::chrono::steady_clock::now() - begin_).count(); }

 private:
  std::chrono::steady_clock::time_point begin_;
};

class Scratch {
 public:
  explicit Scratch(int64_t bytes)
      : memory_(bytes > 0 && posix_memalign(&memory_, 256, static_cast<size_t>(bytes)) == 0 ? memory_ : nullptr) {}
  ~Scratch() { free(memory_); }
  void* memory() const { return memory_; }

 private:
  void* memory_;
};

#endif

}  // namespace msm
