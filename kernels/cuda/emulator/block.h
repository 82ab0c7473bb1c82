// A block of threads on one CPU thread: every CUDA thread is a fiber that runs until it has to wait for others. A
// missing barrier shows as a wrong result in one of the orders of MSM_EMULATOR_ORDER (forward, reverse, shuffled), a
// divergent one as an error.
// defines: what device code waits with (collective, barrier, wait_until, defer), where it is (block), and run_grid
#pragma once
#include <stdint.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "fiber.h"

namespace msm::emulator {

struct Index {
  unsigned x, y, z;
};

// In which order threads run where CUDA leaves it open: what MSM_EMULATOR_ORDER says.
enum class Order { FORWARD, REVERSE, SHUFFLED };

// A call that a group of lanes makes together.
struct Collective {
  unsigned mask = 0, arrived = 0;  // arrived 0: unused
  const char* name = nullptr;
  void* arguments[32];
};

struct Warp {
  unsigned ready = 0, exited = 0;
  Collective collectives[4];  // of disjoint groups of lanes
};

// bar.sync and bar.arrive: threads of whole warps.
struct Barrier {
  int arrived = 0, expected = 0;
  const char* name = nullptr;
  bool any = false, all = true;   // of what the arrived threads brought
  std::vector<unsigned> waiting;  // lanes, by warp
};

struct Copy {
  void* target;
  const void* source;  // null: zeros
};

struct Thread : Fiber {
  Index index;
  int warp, lane;
  const char* waiting = nullptr;                     // the name of what it waits in
  const std::function<bool()>* condition = nullptr;  // of wait_until
  int result;                                        // of the barrier that it waited in
  // cp.async: copies that were begun; ends of the groups that were committed and not waited for.
  std::vector<Copy> copies;
  std::vector<size_t> groups;
};

// The threads, their shared memory and their barriers. One for each CPU thread, used for one block after the other.
struct Block {
  Thread* current = nullptr;
  Index index{}, dim{}, grid{};
  int threads = 0, exited = 0;
  unsigned char* shared = nullptr;  // dynamic, exactly shared_bytes long
  size_t shared_bytes = 0;
  void* static_shared = nullptr;  // all __shared__ variables of the library
  size_t static_shared_bytes = 0;
  const std::function<void()>* body = nullptr;
  std::vector<std::unique_ptr<Thread>> thread;
  std::vector<Warp> warp;
  Barrier barriers[16];
  std::vector<std::function<void()>> deferred;
  std::shared_ptr<void> hopper;  // state of hopper.h; null when a block begins
  std::string error;
  Fiber own;  // of the CPU thread itself
  Order order = Order::FORWARD;
  uint32_t random = 0;
  ~Block();
};

// The block that the calling CPU thread runs; device code runs on one of its threads, block->current. The library's
// only thread-local variable beside static shared memory, which is therefore all that poisoning overwrites.
extern __thread Block* block;

// Stops the block: the message, with the block's and thread's indices, becomes the stream's error.
[[noreturn]] void stop(const std::string& message);

// Waits until every lane of `mask` (of the calling thread's warp, which must be one of them) has called the same; the
// last to come runs complete(arguments by lane, mask), which may read and write all of them: they lie on the stacks of
// lanes that wait.
void collective(const char* name, unsigned mask, void* arguments,
                void (*complete)(void* const* arguments, unsigned mask));

// bar.sync id, expected: waits until `expected` threads (a multiple of 32) have come, those of barrier_arrive included.
// Returns bit 0: whether any of them, bit 1: whether all of those that wait brought true.
int barrier(const char* name, int id, int expected, bool brought = false);
// bar.arrive: is counted, does not wait.
void barrier_arrive(const char* name, int id, int expected);

// Waits until condition() is true. It is asked when no thread of the block can go on, as late as possible, and must
// only read.
void wait_until(const char* name, const std::function<bool()>& condition);

// Work of an asynchronous unit (TMA, tensor cores): it is done when no thread of the block can go on and no condition
// is true, as late as possible, one piece at a time, the first, last or any one first.
void defer(std::function<void()> work);

// Runs body() for every thread of every block, blocks on up to `cpu_threads` threads. Returns the first failing block's
// error, or "".
std::string run_grid(Index grid, Index dim, size_t shared_bytes, const std::function<void()>& body, Order order,
                     int cpu_threads);

// A thread that can go on, or null: the nearest after (before, any other than) `from`.
Thread* next_ready(Block& block, const Thread& from);

// Which of the deferred pieces of work comes next.
size_t next_deferred(Block& block);

// What every fiber begins with: runs the kernel's body, then the next thread.
void thread_main();

}  // namespace msm::emulator
