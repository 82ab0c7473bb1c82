// defines: the waiting of device code (collective, barrier, wait_until, defer), stop
#include "block.h"

#include <string.h>

namespace msm::emulator {

__thread Block* block = nullptr;

Block::~Block() {
  for (auto& one : thread) free_stack(*one);
}

namespace {

std::string place(const Index& at) {
  return "(" + std::to_string(at.x) + ", " + std::to_string(at.y) + ", " + std::to_string(at.z) + ")";
}

// Nobody can go on: what the first waiting thread waits for, and what the others do.
std::string deadlock() {
  const Thread* first = nullptr;
  const Thread* other = nullptr;
  int waiting = 0, alike = 0;
  for (int i = 0; i < block->threads; i++) {
    const Thread* thread = block->thread[static_cast<size_t>(i)].get();
    if (!thread->waiting) continue;
    waiting++;
    if (!first) first = thread;
    if (strcmp(thread->waiting, first->waiting) == 0) alike++;
    else if (!other) other = thread;
  }
  std::string text = "divergent barrier: " + std::to_string(alike) + " threads wait in " + first->waiting +
                     ", the first is " + place(first->index);
  if (other)
    text += "; " + std::to_string(waiting - alike) + " in others, the first is " + place(other->index) + " in " +
            other->waiting;
  if (block->exited > 0) text += "; " + std::to_string(block->exited) + " have left the kernel";
  return text;
}

[[noreturn]] void leave(Thread* from) {
  switch_fiber(*from, block->own, true);
  __builtin_unreachable();
}

// A thread that can go on, found while `from` runs (or has just ended).
Thread* next(Thread* from) {
  for (;;) {
    if (Thread* found = next_ready(*block, *from)) return found;
    bool any = false;
    for (int i = 0; i < block->threads; i++) {
      Thread* const thread = block->thread[static_cast<size_t>(i)].get();
      if (!thread->condition || !(*thread->condition)()) continue;
      thread->condition = nullptr;
      block->warp[static_cast<size_t>(thread->warp)].ready |= 1u << thread->lane;
      any = true;
    }
    if (any) continue;
    if (!block->deferred.empty()) {
      const auto next = block->deferred.begin() + static_cast<ptrdiff_t>(next_deferred(*block));
      const std::function<void()> work = std::move(*next);
      block->deferred.erase(next);
      work();
      continue;
    }
    block->error = deadlock();
    leave(from);
  }
}

// Lets others run until somebody has made the calling thread ready again.
void wait(const char* name) {
  Thread* const self = block->current;
  self->waiting = name;
  block->warp[static_cast<size_t>(self->warp)].ready &= ~(1u << self->lane);
  Thread* const to = next(self);
  if (to != self) {
    block->current = to;
    switch_fiber(*self, *to);
  }
  self->waiting = nullptr;
}

}  // namespace

void stop(const std::string& message) {
  Thread* const self = block->current;
  block->error = "thread " + place(self->index) + " " + message;
  leave(self);
}

void thread_main() {
  entered(*block->current);
  (*block->body)();
  Thread* const self = block->current;
  Warp& warp = block->warp[static_cast<size_t>(self->warp)];
  warp.ready &= ~(1u << self->lane);
  warp.exited |= 1u << self->lane;
  if (++block->exited == block->threads) leave(self);
  block->current = next(self);
  switch_fiber(*self, *block->current, true);
  __builtin_unreachable();
}

void collective(const char* name, unsigned mask, void* arguments,
                void (*complete)(void* const* arguments, unsigned mask)) {
  Thread* const self = block->current;
  Warp& warp = block->warp[static_cast<size_t>(self->warp)];
  const unsigned own = 1u << self->lane;
  if (!(mask & own)) stop(std::string("calls ") + name + " with a mask that leaves it out");
  if (mask & warp.exited) stop(std::string("calls ") + name + " for a lane that has left the kernel");
  Collective* found = nullptr;
  for (Collective& one : warp.collectives) {
    if (one.arrived == 0) {
      if (!found) found = &one;
    } else if (one.mask & mask) {
      found = &one;
      break;
    }
  }
  if (!found) stop(std::string("calls ") + name + ", the fifth group of its warp to wait at the same time");
  if (found->arrived == 0) {
    found->mask = mask;
    found->name = name;
  } else if (found->mask != mask || (found->name != name && strcmp(found->name, name) != 0)) {
    stop(std::string("calls ") + name + " while lanes of its mask wait in " + found->name +
         (found->mask != mask ? " with another mask" : ""));
  }
  found->arrived |= own;
  found->arguments[self->lane] = arguments;
  if (found->arrived != mask) return wait(name);
  found->arrived = 0;
  complete(found->arguments, mask);
  warp.ready |= mask;
}

namespace {

Barrier& arrive(const char* name, int id, int expected) {
  if (id < 0 || id > 15) stop(std::string("calls ") + name + " with barrier " + std::to_string(id));
  if (expected <= 0 || expected > block->threads)
    stop(std::string("calls ") + name + " for " + std::to_string(expected) + " threads");
  Barrier& one = block->barriers[id];
  if (one.arrived == 0) {
    one.expected = expected;
    one.name = name;
    one.any = false;
    one.all = true;
    one.waiting.assign(block->warp.size(), 0);
  } else if (one.expected != expected) {
    stop(std::string("calls ") + name + " for " + std::to_string(expected) + " threads, others for " +
         std::to_string(one.expected));
  }
  one.arrived++;
  return one;
}

// Lets all go on that wait in the barrier, if all have come.
bool complete(Barrier& one) {
  if (one.arrived != one.expected) return false;
  one.arrived = 0;
  const int result = (one.any ? 1 : 0) | (one.all ? 2 : 0);
  for (size_t w = 0; w < block->warp.size(); w++) {
    block->warp[w].ready |= one.waiting[w];
    for (unsigned lanes = one.waiting[w]; lanes; lanes &= lanes - 1)
      block->thread[w * 32 + static_cast<size_t>(__builtin_ctz(lanes))]->result = result;
  }
  return true;
}

}  // namespace

int barrier(const char* name, int id, int expected, bool brought) {
  Thread* const self = block->current;
  Barrier& one = arrive(name, id, expected);
  one.any |= brought;
  one.all &= brought;
  one.waiting[static_cast<size_t>(self->warp)] |= 1u << self->lane;
  if (!complete(one)) wait(name);
  return self->result;
}

void barrier_arrive(const char* name, int id, int expected) { complete(arrive(name, id, expected)); }

void wait_until(const char* name, const std::function<bool()>& condition) {
  block->current->condition = &condition;
  wait(name);
}

void defer(std::function<void()> work) { block->deferred.push_back(std::move(work)); }

}  // namespace msm::emulator
