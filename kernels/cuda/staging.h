// Pinned host memory that copies to and from the device go through, so that the host does not wait for them.
// defines: StagingRing, ReadPool
#pragma once
#include <string.h>

#include <mutex>
#include <vector>

#include "device.cuh"

namespace msm {

// Buffers of `bytes` each, taken in turn. One thread at a time.
class StagingRing {
 public:
  StagingRing(int count, size_t bytes) : slots_(static_cast<size_t>(count)), bytes_(bytes) {}
  StagingRing(const StagingRing&) = delete;
  ~StagingRing() {
    for (Slot& slot : slots_) {
      if (slot.done) cudaEventDestroy(slot.done);
      if (slot.memory) cudaFreeHost(slot.memory);
    }
  }

  // Appends copies to the device; `source` may be reused on return. Waits only where all buffers are under way.
  cudaError_t write(cudaStream_t stream, void* target, const void* source, size_t bytes) {
    for (size_t at = 0; at < bytes; at += bytes_) {
      const size_t part = bytes - at < bytes_ ? bytes - at : bytes_;
      Slot* slot;
      cudaError_t error = take(slot);
      if (error == cudaSuccess) {
        memcpy(slot->memory, static_cast<const char*>(source) + at, part);
        error = cudaMemcpyAsync(static_cast<char*>(target) + at, slot->memory, part, cudaMemcpyHostToDevice, stream);
      }
      if (error == cudaSuccess) error = cudaEventRecord(slot->done, stream);
      if (error != cudaSuccess) return error;
    }
    return cudaSuccess;
  }

 private:
  struct Slot {
    void* memory = nullptr;
    cudaEvent_t done = nullptr;
  };

  // The next buffer, when nothing uses it any more; its memory is allocated when it is first taken.
  cudaError_t take(Slot*& slot) {
    slot = &slots_[next_++ % slots_.size()];
    if (slot->done) return cudaEventSynchronize(slot->done);
    cudaError_t error = cudaMallocHost(&slot->memory, bytes_);
    if (error == cudaSuccess) error = cudaEventCreateWithFlags(&slot->done, cudaEventDisableTiming);
    return error;
  }

  std::vector<Slot> slots_;
  size_t bytes_, next_ = 0;
};

// A copy to the host that is under way.
struct Read {
  void* memory = nullptr;
  size_t capacity = 0;
  cudaEvent_t done = nullptr;
};

// Copies to the host: begun by the thread that fills the stream, ended by any. Buffers are kept and used again.
class ReadPool {
 public:
  ~ReadPool() {
    for (Read* read : idle_) {
      if (read->done) cudaEventDestroy(read->done);
      if (read->memory) cudaFreeHost(read->memory);
      delete read;
    }
  }

  cudaError_t begin(cudaStream_t stream, const void* source, size_t bytes, Read*& read) {
    read = take(bytes);
    cudaError_t error = cudaSuccess;
    if (read->capacity < bytes) {
      if (read->memory) cudaFreeHost(read->memory);
      read->memory = nullptr;
      read->capacity = 0;
      error = cudaMallocHost(&read->memory, bytes);
      if (error == cudaSuccess) read->capacity = bytes;
    }
    if (error == cudaSuccess && !read->done) error = cudaEventCreateWithFlags(&read->done, cudaEventDisableTiming);
    if (error == cudaSuccess) error = cudaMemcpyAsync(read->memory, source, bytes, cudaMemcpyDeviceToHost, stream);
    if (error == cudaSuccess) error = cudaEventRecord(read->done, stream);
    if (error != cudaSuccess) give_back(read);
    return error;
  }

  cudaError_t end(Read* read, void* target, size_t bytes) {
    const cudaError_t error = cudaEventSynchronize(read->done);
    if (error == cudaSuccess) memcpy(target, read->memory, bytes);
    give_back(read);
    return error;
  }

 private:
  // The smallest idle buffer that is large enough, else any, else a new one.
  Read* take(size_t bytes) {
    std::lock_guard<std::mutex> lock(mutex_);
    size_t best = idle_.size();
    for (size_t i = 0; i < idle_.size(); i++) {
      const size_t capacity = idle_[i]->capacity;
      if (capacity >= bytes && (best == idle_.size() || capacity < idle_[best]->capacity)) best = i;
    }
    if (best == idle_.size()) {
      if (idle_.empty()) return new Read;
      best = 0;
    }
    Read* const read = idle_[best];
    idle_.erase(idle_.begin() + static_cast<ptrdiff_t>(best));
    return read;
  }

  void give_back(Read* read) {
    std::lock_guard<std::mutex> lock(mutex_);
    idle_.push_back(read);
  }

  std::mutex mutex_;
  std::vector<Read*> idle_;
};

}  // namespace msm
