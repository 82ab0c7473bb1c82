// The functions of ptx.cuh on the CPU (PTX ISA, "Warp-level matrix instructions", "Data movement: cp.async").
#pragma once
#include "../device.cuh"

namespace msm {

inline unsigned char* dynamic_shared() { return emulator::block->shared; }

// Shared addresses begin at 1 KiB with dynamic shared memory.
constexpr uint32_t SHARED_BASE = 1024;
inline uint32_t shared_address(const void* pointer) {
  const emulator::Block& block = *emulator::block;
  const uintptr_t offset = reinterpret_cast<uintptr_t>(pointer) - reinterpret_cast<uintptr_t>(block.shared);
  if (offset >= block.shared_bytes) emulator::stop("takes the shared address of what is not dynamic shared memory");
  return SHARED_BASE + static_cast<uint32_t>(offset);
}
inline unsigned char* shared_pointer(uint32_t address) { return emulator::block->shared + (address - SHARED_BASE); }

inline void expect_aligned(const void* pointer, uintptr_t bytes, const char* what) {
  if (reinterpret_cast<uintptr_t>(pointer) % bytes != 0)
    emulator::stop(std::string(what) + " with an address that is no multiple of " + std::to_string(bytes));
}

// ------------------------------------------------------------------------------------------------------------ cp.async
// A copy lands when its group is waited for, as late as the hardware may; until then the target holds NaN.

inline void cp_async16(void* shared, const void* source, bool valid = true) {
  expect_aligned(shared, 16, "cp.async");
  if (valid) expect_aligned(source, 16, "cp.async");
  memset(shared, 0xff, 16);
  emulator::block->current->copies.push_back({shared, valid ? source : nullptr});
}
inline void cp_async_commit() {
  emulator::Thread& thread = *emulator::block->current;
  thread.groups.push_back(thread.copies.size());
}
template <int pending>
void cp_async_wait() {
  emulator::Thread& thread = *emulator::block->current;
  if (thread.groups.size() <= pending) return;
  const size_t landing = thread.groups.size() - pending;
  const size_t end = thread.groups[landing - 1];
  for (size_t i = 0; i < end; i++) {
    const emulator::Copy& copy = thread.copies[i];
    if (copy.source) memcpy(copy.target, copy.source, 16);
    else memset(copy.target, 0, 16);
  }
  thread.copies.erase(thread.copies.begin(), thread.copies.begin() + static_cast<ptrdiff_t>(end));
  thread.groups.erase(thread.groups.begin(), thread.groups.begin() + static_cast<ptrdiff_t>(landing));
  for (size_t& group : thread.groups) group -= end;
}

inline void named_barrier_sync(int id, int threads) { emulator::barrier("bar.sync", id, threads); }
inline void named_barrier_arrive(int id, int threads) { emulator::barrier_arrive("bar.arrive", id, threads); }

// ------------------------------------------------------------------------------------------------------------ matrices

template <bool transposed>
void ldmatrix(const char* name, uint32_t (&out)[4], const void* row) {
  expect_aligned(row, 16, name);
  struct Arguments {
    uint32_t* out;
    const void* row;
  } own{out, row};
  emulator::collective(name, ALL_LANES, &own, [](void* const* lanes, unsigned) {
    for (int m = 0; m < 4; m++) {
      uint16_t matrix[8][8];
      for (int i = 0; i < 8; i++) memcpy(matrix[i], static_cast<const Arguments*>(lanes[m * 8 + i])->row, 16);
      for (int lane = 0; lane < WARP; lane++) {
        const int i = lane / 4, j = lane % 4 * 2;
        const uint16_t low = transposed ? matrix[j][i] : matrix[i][j],
                       high = transposed ? matrix[j + 1][i] : matrix[i][j + 1];
        static_cast<Arguments*>(lanes[lane])->out[m] = low | static_cast<uint32_t>(high) << 16;
      }
    }
  });
}
inline void ldmatrix_x4(uint32_t (&out)[4], const void* row) { ldmatrix<false>("ldmatrix", out, row); }
inline void ldmatrix_x4_trans(uint32_t (&out)[4], const void* row) { ldmatrix<true>("ldmatrix.trans", out, row); }

inline void mma_bf16(float (&d)[4], const uint32_t (&a)[4], const uint32_t b0, const uint32_t b1) {
  struct Arguments {
    float* d;
    const uint32_t* a;
    uint32_t b[2];
  } own{d, a, {b0, b1}};
  emulator::collective("mma", ALL_LANES, &own, [](void* const* lanes, unsigned) {
    float a[16][16], b[16][8];
    const auto low = [](uint32_t pair) { return __uint_as_float(pair << 16); };
    const auto high = [](uint32_t pair) { return __uint_as_float(pair & 0xffff0000u); };
    for (int lane = 0; lane < WARP; lane++) {
      const Arguments& one = *static_cast<const Arguments*>(lanes[lane]);
      const int i = lane / 4, j = lane % 4 * 2;
      for (int part = 0; part < 4; part++) {
        float* const at = &a[i + part % 2 * 8][j + part / 2 * 8];
        at[0] = low(one.a[part]);
        at[1] = high(one.a[part]);
      }
      for (int part = 0; part < 2; part++) {
        b[j + part * 8][i] = low(one.b[part]);
        b[j + part * 8 + 1][i] = high(one.b[part]);
      }
    }
    for (int i = 0; i < 16; i++) {
      float row[8] = {};
      for (int k = 0; k < 16; k++)
        for (int j = 0; j < 8; j++) row[j] += a[i][k] * b[k][j];
      for (int j = 0; j < 8; j++) static_cast<Arguments*>(lanes[i % 8 * 4 + j / 2])->d[i / 8 * 2 + j % 2] += row[j];
    }
  });
}

inline float exp2_approx(float x) { return exp2f(x); }
inline unsigned opaque(unsigned x) { return x; }

}  // namespace msm
