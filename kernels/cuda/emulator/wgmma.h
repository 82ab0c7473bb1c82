// wgmma on the CPU (PTX ISA, "Asynchronous Warpgroup Level Matrix Instructions"), as strict as the documentation
// allows: it runs as late as possible. Until then accumulators hold NaN and must not be written, and operands in shared
// memory must stay what they were when it was called. A warp's 16 rows are computed for themselves: that the four warps
// of a group call the same is not checked.
#pragma once
#include <deque>
#include <unordered_map>

#include "ptx.h"

namespace msm {

// Bits 7 to 9 of a shared address permute its 16-byte chunks: what the 128-byte swizzle does to every access.
inline uint32_t swizzle128(uint32_t address) { return address ^ (address >> 3 & 0x70); }

namespace emulator {

constexpr int K = 16, MOST_COLS = 128;

// One warp's part of a wgmma: 16 rows of d.
struct Wgmma {
  int warp;
  float* d[32];       // of every lane: cols / 2 registers
  uint32_t a[32][4];  // where a is in registers
  uint64_t a_descriptor, b_descriptor;
  int cols;
  bool a_in_registers, b_n_major, accumulate;
  float a_values[16][K], b_values[K][MOST_COLS];  // as they were when it was called
};

// Accumulators between the first wgmma and the wait: what they will be.
struct Sums {
  int under_way = 0;
  float values[16][MOST_COLS];
};

struct WarpWgmmas {
  bool fenced = false;
  size_t open = 0;                        // not yet committed
  std::deque<Wgmma> calls;                // in order
  std::deque<size_t> groups;              // calls of each committed group
  std::unordered_map<float*, Sums> sums;  // by lane 0's registers
};

// Of the calling thread's warp.
inline WarpWgmmas& own_wgmmas();

// Element (row of m or n, k) of the operand that a descriptor describes.
inline float operand(uint64_t descriptor, bool k_contiguous, uint32_t row, uint32_t k) {
  const auto field = [&](int shift) { return static_cast<uint32_t>(descriptor >> shift & 0x3fff) << 4; };
  const uint32_t start = field(0), leading = field(16), stride = field(32);
  if (descriptor >> 62 != 1 || (descriptor >> 49 & 7) != 0)
    stop("gives wgmma a descriptor that the emulator does not know");
  const uint32_t offset = k_contiguous ? row / 8 * stride + row % 8 * 128 + k * 2
                                       : row / 64 * leading + k / 8 * stride + k % 8 * 128 + row % 64 * 2;
  const unsigned char* const at = shared_pointer(swizzle128(start + offset));
  shared_address(at);  // inside
  uint16_t bits;
  memcpy(&bits, at, 2);
  return __uint_as_float(static_cast<uint32_t>(bits) << 16);
}

inline void read_operands(const Wgmma& call, float (&a)[16][K], float (&b)[K][MOST_COLS]) {
  const uint32_t warp_row = static_cast<uint32_t>(call.warp % 4 * 16);
  for (uint32_t k = 0; k < K; k++) {
    for (uint32_t i = 0; i < 16; i++) {
      // The lane and register that hold it: see mma_bf16.
      const uint32_t pair = call.a[i % 8 * 4 + k % 8 / 2][k / 8 * 2 + i / 8];
      a[i][k] = call.a_in_registers ? __uint_as_float(k % 2 ? pair & 0xffff0000u : pair << 16)
                                    : operand(call.a_descriptor, true, warp_row + i, k);
    }
    for (uint32_t j = 0; j < static_cast<uint32_t>(call.cols); j++)
      b[k][j] = operand(call.b_descriptor, !call.b_n_major, j, k);
  }
}

// The lane and register of element (i, j) of the warp's accumulators.
template <class F>
void each_element(const Wgmma& call, F use) {
  for (int i = 0; i < 16; i++)
    for (int j = 0; j < call.cols; j++) use(i, j, call.d[i % 8 * 4 + j % 8 / 2][j / 8 * 4 + i / 8 * 2 + j % 2]);
}

constexpr unsigned IN_FLIGHT = 0xffbfffffu;  // a signalling NaN: any arithmetic with it makes another one

inline void begin(Wgmma& call) {
  WarpWgmmas& own = own_wgmmas();
  if (own.open == 0 && !own.fenced) stop("calls wgmma without wgmma.fence");
  Sums& sums = own.sums[call.d[0]];
  each_element(call, [&](int i, int j, float& element) {
    if (sums.under_way == 0) sums.values[i][j] = element;
    else if (__float_as_uint(element) != IN_FLIGHT) stop("has written accumulators of a wgmma that is under way");
    element = __uint_as_float(IN_FLIGHT);
  });
  sums.under_way++;
  own.open++;
  read_operands(call, call.a_values, call.b_values);
  own.calls.push_back(call);
}

inline void finish(const Wgmma& call, Sums& sums) {
  float a[16][K], b[K][MOST_COLS];
  read_operands(call, a, b);
  bool same = memcmp(a, call.a_values, sizeof a) == 0;
  for (int k = 0; k < K; k++)
    same = same && memcmp(b[k], call.b_values[k], static_cast<size_t>(call.cols) * sizeof(float)) == 0;
  if (!same)
    stop("runs while shared memory has changed that a wgmma of warp " + std::to_string(call.warp) + " still reads");
  for (int i = 0; i < 16; i++) {
    float row[MOST_COLS] = {};
    for (int k = 0; k < K; k++)
      for (int j = 0; j < call.cols; j++) row[j] += a[i][k] * b[k][j];
    for (int j = 0; j < call.cols; j++) sums.values[i][j] = (call.accumulate ? sums.values[i][j] : 0) + row[j];
  }
  if (--sums.under_way > 0) return;
  each_element(call, [&](int i, int j, float& element) {
    if (__float_as_uint(element) != IN_FLIGHT)
      stop("runs while accumulators have been written of a wgmma of warp " + std::to_string(call.warp) + " under way");
    element = sums.values[i][j];
  });
}

// The warp's oldest group: groups of a warp end in order.
inline void finish_group(WarpWgmmas& own) {
  for (size_t i = 0; i < own.groups.front(); i++, own.calls.pop_front()) {
    const auto found = own.sums.find(own.calls.front().d[0]);
    finish(own.calls.front(), found->second);
    if (found->second.under_way == 0) own.sums.erase(found);
  }
  own.groups.pop_front();
}

inline void wgmma(float* d, int registers, const uint32_t* a, uint64_t a_descriptor, uint64_t b_descriptor,
                  bool b_n_major, bool accumulate) {
  struct Arguments {
    float* d;
    const uint32_t* a;
    uint64_t a_descriptor, b_descriptor;
    int registers;
    bool b_n_major, accumulate;
  } own{d, a, a_descriptor, b_descriptor, registers, b_n_major, accumulate};
  collective("wgmma", ALL_LANES, &own, [](void* const* lanes, unsigned) {
    const Arguments& first = *static_cast<const Arguments*>(lanes[0]);
    Wgmma call{};
    call.warp = block->current->warp;
    call.a_descriptor = first.a_descriptor, call.b_descriptor = first.b_descriptor, call.cols = 2 * first.registers;
    call.a_in_registers = first.a != nullptr, call.b_n_major = first.b_n_major, call.accumulate = first.accumulate;
    for (int lane = 0; lane < WARP; lane++) {
      const Arguments& one = *static_cast<const Arguments*>(lanes[lane]);
      if (one.a_descriptor != first.a_descriptor || one.b_descriptor != first.b_descriptor ||
          one.accumulate != first.accumulate)
        stop("calls wgmma with arguments that differ between lanes");
      call.d[lane] = one.d;
      if (one.a) memcpy(call.a[lane], one.a, sizeof call.a[lane]);
    }
    begin(call);
  });
}

}  // namespace emulator

inline void wgmma_fence() {
  emulator::collective("wgmma.fence", ALL_LANES, nullptr,
                       [](void* const*, unsigned) { emulator::own_wgmmas().fenced = true; });
}
inline void wgmma_commit_group() {
  emulator::collective("wgmma.commit_group", ALL_LANES, nullptr, [](void* const*, unsigned) {
    emulator::WarpWgmmas& own = emulator::own_wgmmas();
    own.groups.push_back(own.open);
    own.open = 0;
    own.fenced = false;
    emulator::defer([&own] { emulator::finish_group(own); });
  });
}
template <int pending, int... registers>
void wgmma_wait_group(float (&... sums)[registers]) {
  emulator::WarpWgmmas& own = emulator::own_wgmmas();
  const auto complete = [&own] { return own.groups.size() <= pending; };
  if (!complete()) emulator::wait_until("wgmma.wait_group", complete);
  emulator::collective("wgmma.wait_group", ALL_LANES, nullptr,
                       [](void* const*, unsigned) { emulator::own_wgmmas().fenced = false; });
  if ((own.sums.count(sums) || ...))
    emulator::stop("takes accumulators of a wgmma that is still under way for complete");
}
inline void wait_after(float) {}

template <bool b_n_major, int registers>
void wgmma_first(float (&d)[registers], uint64_t a, uint64_t b) {
  emulator::wgmma(d, registers, nullptr, a, b, b_n_major, false);
}
template <bool b_n_major, int registers>
void wgmma(float (&d)[registers], uint64_t a, uint64_t b) {
  emulator::wgmma(d, registers, nullptr, a, b, b_n_major, true);
}
template <bool b_n_major, int registers>
void wgmma(float (&d)[registers], const uint32_t (&a)[4], uint64_t b) {
  emulator::wgmma(d, registers, a, 0, b, b_n_major, true);
}

}  // namespace msm
