// A fiber: a stack of its own and the place where it goes on. Switching costs a few nanoseconds and no system call
// (x86-64).
// defines: Fiber, create_stack, free_stack, prepare, abandon, switch_fiber, entered
#pragma once
#include <stddef.h>

#if !defined(__x86_64__) || defined(MSM_EMULATOR_UCONTEXT)
#define MSM_UCONTEXT
#include <ucontext.h>
#endif

namespace msm::emulator {

struct Fiber {
#ifdef MSM_UCONTEXT
  ucontext_t place;
#else
  void* stack_pointer = nullptr;
#endif
  char* stack = nullptr;  // lowest address
  size_t stack_bytes = 0;
  // AddressSanitizer's, and whom it was entered from.
  void* fake_stack = nullptr;
  Fiber* from = nullptr;
};

// Reserves the fiber's stack, with a page below it that cannot be touched. `number`: staggers the stacks, whose hot
// ends would otherwise all fall into the same cache sets.
void create_stack(Fiber& fiber, int number);
void free_stack(Fiber& fiber);

// The next switch to the fiber calls entry(), which must never return.
void prepare(Fiber& fiber, void (*entry)());

// Nobody will switch to the fiber again before the next prepare(): its frames are gone, wherever it was.
void abandon(Fiber& fiber);

// Goes on in `to`; returns when somebody switches back to `from`. `leaving`: nobody will.
void switch_fiber(Fiber& from, Fiber& to, bool leaving = false);

// To be called first in entry().
void entered(Fiber& fiber);

}  // namespace msm::emulator
