// defines: the msm_* functions of the context, the stream, recordings, scratch memory
#include "context.h"

#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <condition_variable>
#include <deque>
#include <exception>
#include <future>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "isa.h"

struct msm_context {
  std::mutex mutex;
  std::condition_variable wake, idle;
  std::deque<msm::Task> tasks;
  bool running = false, closing = false;
  std::string error;     // first error since the last sync; later tasks are dropped while it is set
  std::string reported;  // what the last msm_sync / msm_read_end returned a pointer to
  std::string description;
  std::vector<msm::Task>* recording = nullptr;  // while one is open
  std::thread worker;
};

namespace {

int thread_count = 1;

void work(msm_context* context) {
  omp_set_num_threads(thread_count);
  std::unique_lock<std::mutex> lock(context->mutex);
  for (;;) {
    context->wake.wait(lock, [&] { return context->closing || !context->tasks.empty(); });
    if (context->tasks.empty()) return;
    msm::Task task = context->tasks.front();
    context->tasks.pop_front();
    if (!context->error.empty() && !task.always) {
      if (context->tasks.empty()) context->idle.notify_all();
      continue;
    }
    context->running = true;
    lock.unlock();
    std::string error;
    try {
      task.run(task.storage);
    } catch (const std::exception& failure) {
      error = std::string(task.op) + ": " + failure.what();
    }
    lock.lock();
    context->running = false;
    if (!error.empty()) context->error = error;
    if (context->tasks.empty()) context->idle.notify_all();
  }
}

void wait(msm_context* context, std::unique_lock<std::mutex>& lock) {
  context->idle.wait(lock, [&] { return context->tasks.empty() && !context->running; });
}

const char* take_error(msm_context* context) {
  if (context->error.empty()) return nullptr;
  context->reported.swap(context->error);
  context->error.clear();
  return context->reported.c_str();
}

// Bytes on their way to the host: the stream may overwrite where they came from before the host asks for them.
struct Read {
  std::vector<unsigned char> bytes;
  std::promise<void> done;
};

struct Scratch {
  void* memory[msm::SCRATCH_SLOTS] = {};
  size_t bytes[msm::SCRATCH_SLOTS] = {};
  ~Scratch() {
    for (void* slot : memory) free(slot);
  }
};

}  // namespace

namespace msm {

void push(msm_context* context, const Task& task) {
  std::lock_guard<std::mutex> lock(context->mutex);
  if (context->recording) return context->recording->push_back(task);
  context->tasks.push_back(task);
  context->wake.notify_one();
}

void fail(const char* message) { throw std::runtime_error(message); }

int threads() { return thread_count; }

void* scratch(ScratchSlot slot, size_t bytes) {
  static thread_local Scratch own;
  if (own.bytes[slot] < bytes) {
    free(own.memory[slot]);
    const size_t rounded = (bytes + 63) / 64 * 64;
    own.memory[slot] = aligned_alloc(64, rounded);
    if (!own.memory[slot]) abort();  // a few megabytes: the machine is beyond help
    own.bytes[slot] = rounded;
  }
  return own.memory[slot];
}

}  // namespace msm

int msm_abi_version(void) { return MSM_ABI_VERSION; }

msm_context* msm_open(int device, int threads, char* error, int64_t error_bytes) {
  if (device != 0) {
    snprintf(error, static_cast<size_t>(error_bytes), "there is no device %d: the CPU is one device, 0", device);
    return nullptr;
  }
  if (!msm::isa_supported()) {
    snprintf(error, static_cast<size_t>(error_bytes), "this processor cannot run the %s build of the kernels",
             msm::isa_name());
    return nullptr;
  }
  thread_count = threads > 0 ? threads : omp_get_num_procs();
  msm_context* context = new msm_context;
  char text[512];
  snprintf(text, sizeof text, "{\"backend\":\"cpu\",\"device\":0,\"isa\":\"%s\",\"threads\":%d,\"memoryBytes\":%lld}",
           msm::isa_name(), thread_count,
           static_cast<long long>(sysconf(_SC_PHYS_PAGES)) * static_cast<long long>(sysconf(_SC_PAGE_SIZE)));
  context->description = text;
  context->worker = std::thread(work, context);
  return context;
}

void msm_close(msm_context* context) {
  {
    std::lock_guard<std::mutex> lock(context->mutex);
    context->closing = true;
    context->wake.notify_one();
  }
  context->worker.join();
  delete context;
}

const char* msm_describe(msm_context* context) { return context->description.c_str(); }

const char* msm_kernels(msm_context*) { return "{}"; }

uint64_t msm_alloc(msm_context*, int64_t bytes) {
  const size_t rounded = (static_cast<size_t>(bytes > 0 ? bytes : 1) + 63) / 64 * 64;
  return reinterpret_cast<uint64_t>(aligned_alloc(64, rounded));
}

void msm_free(msm_context* context, uint64_t address) {
  std::unique_lock<std::mutex> lock(context->mutex);
  wait(context, lock);
  free(reinterpret_cast<void*>(address));
}

void msm_write(msm_context* context, uint64_t target, const void* source, int64_t bytes) {
  // A copy of small sources lets the host run ahead; large ones (weights) are not worth a second copy.
  constexpr int64_t MAX_COPIED_BYTES = 1 << 20;
  void* const destination = reinterpret_cast<void*>(target);
  void* const copy = bytes <= MAX_COPIED_BYTES ? malloc(static_cast<size_t>(bytes > 0 ? bytes : 1)) : nullptr;
  if (!copy) {
    std::unique_lock<std::mutex> lock(context->mutex);
    wait(context, lock);
    memcpy(destination, source, static_cast<size_t>(bytes));
    return;
  }
  memcpy(copy, source, static_cast<size_t>(bytes));
  msm::enqueue(
      context, "write",
      [=] {
        memcpy(destination, copy, static_cast<size_t>(bytes));
        free(copy);
      },
      true);
}

uint64_t msm_read_begin(msm_context* context, uint64_t source, int64_t bytes) {
  Read* const read = new Read;
  read->bytes.resize(static_cast<size_t>(bytes));
  msm::enqueue(
      context, "read",
      [=] {
        memcpy(read->bytes.data(), reinterpret_cast<const void*>(source), read->bytes.size());
        read->done.set_value();
      },
      true);
  return reinterpret_cast<uint64_t>(read);
}

const char* msm_read_end(msm_context* context, uint64_t ticket, void* target, int64_t bytes) {
  const std::unique_ptr<Read> read(reinterpret_cast<Read*>(ticket));
  read->done.get_future().wait();
  std::lock_guard<std::mutex> lock(context->mutex);
  if (!context->error.empty()) return take_error(context);
  memcpy(target, read->bytes.data(), static_cast<size_t>(bytes));
  return nullptr;
}

const char* msm_sync(msm_context* context) {
  std::unique_lock<std::mutex> lock(context->mutex);
  wait(context, lock);
  return take_error(context);
}

int msm_record_begin(msm_context* context) {
  std::lock_guard<std::mutex> lock(context->mutex);
  context->recording = new std::vector<msm::Task>;
  return 1;
}

uint64_t msm_record_end(msm_context* context) {
  std::lock_guard<std::mutex> lock(context->mutex);
  return reinterpret_cast<uint64_t>(std::exchange(context->recording, nullptr));
}

void msm_replay(msm_context* context, uint64_t recording) {
  std::lock_guard<std::mutex> lock(context->mutex);
  const auto* const tasks = reinterpret_cast<const std::vector<msm::Task>*>(recording);
  context->tasks.insert(context->tasks.end(), tasks->begin(), tasks->end());
  context->wake.notify_one();
}

void msm_recording_free(msm_context*, uint64_t recording) {
  delete reinterpret_cast<std::vector<msm::Task>*>(recording);
}
