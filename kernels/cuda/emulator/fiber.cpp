// defines: create_stack, free_stack, prepare, abandon, switch_fiber, entered
#include "fiber.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

#ifndef MSM_UCONTEXT
// Saves what the System V ABI lets a call keep, changes stacks, and returns on the other one.
extern "C" void msm_emulator_switch_stack(void** save, void* load);
asm(R"(
.text
.hidden msm_emulator_switch_stack
.globl msm_emulator_switch_stack
.type msm_emulator_switch_stack, @function
msm_emulator_switch_stack:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size msm_emulator_switch_stack, . - msm_emulator_switch_stack
)");
#endif

namespace msm::emulator {
namespace {

#ifdef __SANITIZE_ADDRESS__
constexpr size_t STACK_BYTES = 512 << 10;  // frames with red zones
#else
constexpr size_t STACK_BYTES = 128 << 10;
#endif
constexpr size_t GUARD_BYTES = 64 << 10;  // a multiple of every page size
constexpr size_t STAGGER_BYTES = 320, STAGGERS = 48;

}  // namespace

void create_stack(Fiber& fiber, int number) {
  void* const memory = mmap(nullptr, GUARD_BYTES + STACK_BYTES, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED || mprotect(memory, GUARD_BYTES, PROT_NONE) != 0) {
    perror("emulator: no memory for a stack");
    abort();
  }
  fiber.stack = static_cast<char*>(memory) + GUARD_BYTES;
  fiber.stack_bytes = STACK_BYTES - static_cast<size_t>(number) % STAGGERS * STAGGER_BYTES;
}

void free_stack(Fiber& fiber) {
  if (fiber.stack) munmap(fiber.stack - GUARD_BYTES, GUARD_BYTES + STACK_BYTES);
  fiber.stack = nullptr;
}

void prepare(Fiber& fiber, void (*entry)()) {
  fiber.fake_stack = nullptr;
#ifdef MSM_UCONTEXT
  getcontext(&fiber.place);
  fiber.place.uc_stack.ss_sp = fiber.stack;
  fiber.place.uc_stack.ss_size = fiber.stack_bytes;
  fiber.place.uc_link = nullptr;
  makecontext(&fiber.place, entry, 0);
#else
  // As if entry had been called from address 0 (where a backtrace ends) and left by msm_emulator_switch_stack: six
  // registers, entry, 0.
  const uintptr_t top = reinterpret_cast<uintptr_t>(fiber.stack + fiber.stack_bytes) & ~static_cast<uintptr_t>(15);
  uintptr_t* const frame = reinterpret_cast<uintptr_t*>(top) - 8;
  for (int i = 0; i < 8; i++) frame[i] = 0;
  frame[6] = reinterpret_cast<uintptr_t>(entry);
  fiber.stack_pointer = frame;
#endif
}

void abandon([[maybe_unused]] Fiber& fiber) {
#ifdef __SANITIZE_ADDRESS__
  __asan_unpoison_memory_region(fiber.stack, fiber.stack_bytes);
#endif
}

#ifdef __SANITIZE_ADDRESS__
namespace {
// The fiber that was left learns its stack's bounds here, if it is a CPU thread's own.
void finish_switch(Fiber& fiber) {
  const void* bottom;
  size_t bytes;
  __sanitizer_finish_switch_fiber(fiber.fake_stack, &bottom, &bytes);
  if (fiber.from->stack) return;
  fiber.from->stack = static_cast<char*>(const_cast<void*>(bottom));
  fiber.from->stack_bytes = bytes;
}
}  // namespace
#endif

void entered([[maybe_unused]] Fiber& fiber) {
#ifdef __SANITIZE_ADDRESS__
  finish_switch(fiber);
#endif
}

void switch_fiber(Fiber& from, Fiber& to, [[maybe_unused]] bool leaving) {
#ifdef __SANITIZE_ADDRESS__
  to.from = &from;
  __sanitizer_start_switch_fiber(leaving ? nullptr : &from.fake_stack, to.stack, to.stack_bytes);
#endif
#ifdef MSM_UCONTEXT
  swapcontext(&from.place, &to.place);
#else
  msm_emulator_switch_stack(&from.stack_pointer, to.stack_pointer);
#endif
#ifdef __SANITIZE_ADDRESS__
  finish_switch(from);
#endif
}

}  // namespace msm::emulator
