// The CPU's stream: one worker thread that runs tasks in order, each of them parallel inside by OpenMP. Ops return at
// once, as on a GPU, so that a missing wait shows on every machine and the host's event loop stays free.
// defines: msm_context, enqueue, parallel ranges
#pragma once
#include <string.h>

#include <new>
#include <type_traits>

#include "../ops.h"

namespace msm {

// A lambda over plain values, stored in place: enqueueing allocates nothing.
struct Task {
  const char* op;
  void (*run)(const void* storage);
  bool always;  // also after an error: it owns memory
  alignas(16) unsigned char storage[304];
};

void push(msm_context* context, const Task& task);

// Appends `body` to the stream under the op's name. It must capture by value, and only plain values.
template <class F>
void enqueue(msm_context* context, const char* op, F body, bool always = false) {
  static_assert(sizeof(F) <= sizeof(Task::storage), "raise Task::storage");
  static_assert(std::is_trivially_copyable<F>::value, "a task is copied as bytes");
  Task task;
  task.op = op;
  task.always = always;
  task.run = [](const void* storage) { (*static_cast<const F*>(storage))(); };
  new (task.storage) F(body);
  push(context, task);
}

// Stops the running op: the message becomes the stream's error, "op: message". Only outside of OpenMP regions.
[[noreturn]] void fail(const char* message);

int threads();

// Scratch memory of the calling thread, 64-byte aligned, undefined contents, valid until the thread asks again for the
// same slot. Grows to the largest request and stays.
enum ScratchSlot { SCRATCH_PACK_A, SCRATCH_PACK_B, SCRATCH_TILE, SCRATCH_ROW, SCRATCH_SLOTS };
void* scratch(ScratchSlot slot, size_t bytes);

}  // namespace msm
