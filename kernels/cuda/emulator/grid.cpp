// defines: run_grid, next_ready, next_deferred
#include <link.h>
#include <omp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <atomic>

#include "block.h"

namespace msm::emulator {

namespace {

constexpr unsigned char POISON = 0xff;  // a NaN in f32 and bf16, -1 as an integer

struct Memory {
  void* at = nullptr;
  size_t bytes = 0;
};

// The calling thread's copy of this library's thread_local variables.
Memory thread_locals() {
  Memory found;
  dl_iterate_phdr(
      [](dl_phdr_info* library, size_t, void* out) {
        const ElfW(Phdr)* locals = nullptr;
        bool ours = false;
        for (int i = 0; i < library->dlpi_phnum; i++) {
          const ElfW(Phdr) & segment = library->dlpi_phdr[i];
          if (segment.p_type == PT_TLS) locals = &segment;
          ours |= segment.p_type == PT_LOAD &&
                  reinterpret_cast<uintptr_t>(&thread_main) - (library->dlpi_addr + segment.p_vaddr) < segment.p_memsz;
        }
        if (ours) *static_cast<Memory*>(out) = {library->dlpi_tls_data, locals->p_memsz};
        return ours ? 1 : 0;
      },
      &found);
  return found;
}

// Makes the calling CPU thread's block, which ends with the thread.
void create_block() {
  static const pthread_key_t key = [] {
    pthread_key_t created;
    if (pthread_key_create(&created, [](void* ended) { delete static_cast<Block*>(ended); }) != 0) abort();
    return created;
  }();
  block = new Block;
  pthread_setspecific(key, block);
  const Memory locals = thread_locals();
  block->static_shared = locals.at;
  block->static_shared_bytes = locals.bytes;
}

void poison_shared() {
  Block* const own = block;
  memset(own->static_shared, POISON, own->static_shared_bytes);
  block = own;
  if (own->shared) memset(own->shared, POISON, own->shared_bytes);
}

uint32_t random_below(Block& block, uint32_t limit) {
  block.random ^= block.random << 13;
  block.random ^= block.random >> 17;
  block.random ^= block.random << 5;
  return block.random % limit;
}

Thread* lowest(Block& block, size_t warp, unsigned lanes) {
  return block.thread[warp * 32 + static_cast<size_t>(__builtin_ctz(lanes))].get();
}

Thread* highest(Block& block, size_t warp, unsigned lanes) {
  return block.thread[warp * 32 + 31 - static_cast<size_t>(__builtin_clz(lanes))].get();
}

}  // namespace

Thread* next_ready(Block& block, const Thread& from) {
  const size_t warps = block.warp.size(), warp = static_cast<size_t>(from.warp);
  const unsigned own = block.warp[warp].ready;
  if (block.order == Order::FORWARD) {
    const unsigned after = own & ~((2u << from.lane) - 1);
    if (own) return lowest(block, warp, after ? after : own);
    for (size_t i = 1; i < warps; i++) {
      const size_t w = (warp + i) % warps;
      if (block.warp[w].ready) return lowest(block, w, block.warp[w].ready);
    }
  } else if (block.order == Order::REVERSE) {
    const unsigned before = own & ((1u << from.lane) - 1);
    if (own) return highest(block, warp, before ? before : own);
    for (size_t i = 1; i < warps; i++) {
      const size_t w = (warp + warps - i) % warps;
      if (block.warp[w].ready) return highest(block, w, block.warp[w].ready);
    }
  } else {
    const size_t first = random_below(block, static_cast<uint32_t>(warps));
    for (size_t i = 0; i < warps; i++) {
      const size_t w = (first + i) % warps;
      const unsigned ready = block.warp[w].ready;
      if (!ready) continue;
      const unsigned after = ready & ~((1u << random_below(block, 32)) - 1);
      return lowest(block, w, after ? after : ready);
    }
  }
  return nullptr;
}

size_t next_deferred(Block& block) {
  const size_t count = block.deferred.size();
  return block.order == Order::FORWARD   ? 0
         : block.order == Order::REVERSE ? count - 1
                                         : random_below(block, static_cast<uint32_t>(count));
}

namespace {

void begin_grid(Block& block, Index grid, Index dim, size_t shared_bytes, const std::function<void()>& body,
                Order order) {
  block.order = order;
  block.grid = grid;
  block.dim = dim;
  block.threads = static_cast<int>(dim.x * dim.y * dim.z);
  block.body = &body;
  block.shared_bytes = shared_bytes;
  block.shared = nullptr;
  // posix_memalign: AddressSanitizer then sees the first byte beyond.
  void* memory = nullptr;
  if (shared_bytes > 0 && posix_memalign(&memory, 1024, shared_bytes) != 0) abort();
  block.shared = static_cast<unsigned char*>(memory);
  while (block.thread.size() < static_cast<size_t>(block.threads)) {
    const int number = static_cast<int>(block.thread.size());
    block.thread.push_back(std::make_unique<Thread>());
    create_stack(*block.thread.back(), number);
    block.thread.back()->warp = number / 32;
    block.thread.back()->lane = number % 32;
  }
  unsigned i = 0;
  for (unsigned z = 0; z < dim.z; z++)
    for (unsigned y = 0; y < dim.y; y++)
      for (unsigned x = 0; x < dim.x; x++) block.thread[i++]->index = {x, y, z};
}

// Runs one block. False where it failed: block.error says why.
bool run_block(Block& block, uint64_t number) {
  block.index = {static_cast<unsigned>(number % block.grid.x),
                 static_cast<unsigned>(number / block.grid.x % block.grid.y),
                 static_cast<unsigned>(number / block.grid.x / block.grid.y)};
  block.random = static_cast<uint32_t>(number) * 2654435761u + 12345u;
  block.exited = 0;
  block.error.clear();
  block.deferred.clear();
  block.hopper.reset();
  for (Barrier& barrier : block.barriers) barrier.arrived = 0;
  const size_t warps = static_cast<size_t>(block.threads + 31) / 32;
  block.warp.resize(warps);
  for (size_t w = 0; w < warps; w++) {
    const int lanes = block.threads - static_cast<int>(w) * 32;
    block.warp[w].ready = lanes >= 32 ? ~0u : (1u << lanes) - 1;
    block.warp[w].exited = ~block.warp[w].ready;
    for (Collective& collective : block.warp[w].collectives) collective.arrived = 0;
  }
  for (int i = 0; i < block.threads; i++) {
    Thread& thread = *block.thread[static_cast<size_t>(i)];
    thread.waiting = nullptr;
    thread.condition = nullptr;
    thread.copies.clear();
    thread.groups.clear();
    prepare(thread, thread_main);
  }
  poison_shared();
  const int last = block.threads - 1;
  const int any = static_cast<int>(random_below(block, static_cast<uint32_t>(block.threads)));
  const int start = block.order == Order::FORWARD ? 0 : block.order == Order::REVERSE ? last : any;
  block.current = block.thread[static_cast<size_t>(start)].get();
  switch_fiber(block.own, *block.current);
  if (block.error.empty()) return true;
  for (int i = 0; i < block.threads; i++) abandon(*block.thread[static_cast<size_t>(i)]);
  return false;
}

}  // namespace

std::string run_grid(Index grid, Index dim, size_t shared_bytes, const std::function<void()>& body, Order order,
                     int cpu_threads) {
  const uint64_t count = static_cast<uint64_t>(grid.x) * grid.y * grid.z;
  std::atomic<uint64_t> taken{0};
  std::atomic<bool> failed{false};
  uint64_t first = count;
  std::string error;
#pragma omp parallel num_threads(count < static_cast<uint64_t>(cpu_threads) ? static_cast<int>(count) : cpu_threads)
  {
    if (!block) create_block();
    Block& own = *block;
    begin_grid(own, grid, dim, shared_bytes, body, order);
    for (uint64_t i; !failed && (i = taken++) < count;) {
      const uint64_t number = order == Order::REVERSE ? count - 1 - i : i;
      if (run_block(own, number)) continue;
      failed = true;
#pragma omp critical
      if (i < first) {
        first = i;
        error = "block (" + std::to_string(own.index.x) + ", " + std::to_string(own.index.y) + ", " +
                std::to_string(own.index.z) + "): " + own.error;
      }
    }
    free(own.shared);
  }
  return error;
}

}  // namespace msm::emulator
