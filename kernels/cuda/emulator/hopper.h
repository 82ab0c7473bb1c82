// The functions of hopper.cuh on the CPU, as strict as the documentation allows (PTX ISA, CUDA Driver API): what TMA
// copies arrives as late as possible, and until then the target holds NaN: too early a read and too early a call both
// show. For wgmma see wgmma.h. Not modelled: fence.proxy.async (stores to shared memory are seen by TMA and wgmma
// without it), registers (setmaxnreg).
#pragma once
#include "wgmma.h"

// --------------------------------------------------------------------------------------------------------- tensor maps

using cuuint32_t = uint32_t;
using cuuint64_t = uint64_t;
enum CUresult { CUDA_SUCCESS = 0, CUDA_ERROR_INVALID_VALUE = 1 };
enum CUtensorMapDataType { CU_TENSOR_MAP_DATA_TYPE_BFLOAT16 = 9 };
enum CUtensorMapInterleave { CU_TENSOR_MAP_INTERLEAVE_NONE = 0 };
enum CUtensorMapSwizzle { CU_TENSOR_MAP_SWIZZLE_128B = 3 };
enum CUtensorMapL2promotion { CU_TENSOR_MAP_L2_PROMOTION_L2_256B = 3 };
enum CUtensorMapFloatOOBfill { CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE = 0 };

// A matrix of bf16, boxes swizzled by 128 bytes: all that kernels here use.
struct alignas(64) CUtensorMap {
  const unsigned char* address;
  uint64_t cols, rows, row_bytes;
  uint32_t box_cols, box_rows;
};

inline CUresult cuTensorMapEncodeTiled(CUtensorMap* map, CUtensorMapDataType, cuuint32_t rank, void* address,
                                       const cuuint64_t* size, const cuuint64_t* strides, const cuuint32_t* box,
                                       const cuuint32_t* element_strides, CUtensorMapInterleave, CUtensorMapSwizzle,
                                       CUtensorMapL2promotion, CUtensorMapFloatOOBfill) {
  const bool sizes = size[0] >= 1 && size[0] <= 1ull << 32 && size[1] >= 1 && size[1] <= 1ull << 32;
  const bool boxes = box[0] >= 1 && box[0] * sizeof(uint16_t) <= 128 && box[0] % 8 == 0 && box[1] >= 1 && box[1] <= 256;
  const bool memory = reinterpret_cast<uintptr_t>(address) % 16 == 0 && strides[0] % 16 == 0 && strides[0] < 1ull << 40;
  if (rank != 2 || !sizes || !boxes || !memory || element_strides[0] != 1 || element_strides[1] != 1)
    return CUDA_ERROR_INVALID_VALUE;
  *map = {static_cast<const unsigned char*>(address), size[0], size[1], strides[0], box[0], box[1]};
  return CUDA_SUCCESS;
}

namespace msm {

// ---------------------------------------------------------------------------------------------------- state of a block

namespace emulator {

struct Mbarrier {
  int parity = 0, expected, pending;  // arrivals: of every phase, of this one
  int64_t bytes = 0;                  // that this phase still waits for
};

struct Hopper {
  std::unordered_map<uint32_t, Mbarrier> barriers;  // by shared address
  WarpWgmmas warps[32];
};

inline Hopper& hopper() {
  if (!block->hopper) block->hopper = std::make_shared<Hopper>();
  return *static_cast<Hopper*>(block->hopper.get());
}

inline WarpWgmmas& own_wgmmas() { return hopper().warps[block->current->warp]; }

}  // namespace emulator

// ------------------------------------------------------------------------------------------------------------ mbarrier

namespace emulator {

inline Mbarrier& mbarrier(uint64_t* barrier) {
  const auto found = hopper().barriers.find(shared_address(barrier));
  if (found == hopper().barriers.end()) stop("uses an mbarrier that is not initialised");
  return found->second;
}

// Brings arrivals and bytes.
inline void advance(uint64_t* barrier, int arrivals, int64_t bytes) {
  Mbarrier& state = mbarrier(barrier);
  state.bytes += bytes;
  state.pending -= arrivals;
  if (state.pending > 0 || state.bytes != 0) return;
  state.parity ^= 1;
  state.pending = state.expected;
}

}  // namespace emulator

inline void mbarrier_init(uint64_t* barrier, int count) {
  expect_aligned(barrier, 8, "mbarrier.init");
  if (count < 1) emulator::stop("initialises an mbarrier for no arrivals");
  emulator::hopper().barriers[shared_address(barrier)] = {0, count, count};
}
inline void fence_mbarrier_init() {}
inline void mbarrier_arrive(uint64_t* barrier) { emulator::advance(barrier, 1, 0); }
inline void mbarrier_arrive_expect_tx(uint64_t* barrier, int bytes) { emulator::advance(barrier, 1, bytes); }
inline void mbarrier_wait(uint64_t* barrier, int parity) {
  const auto complete = [=] { return emulator::mbarrier(barrier).parity != parity; };
  if (!complete()) emulator::wait_until("mbarrier.try_wait", complete);
}

// ----------------------------------------------------------------------------------------------------------------- TMA

inline void cp_async_bulk_tensor_2d(void* shared, const CUtensorMap* map, int col, int row, uint64_t* barrier) {
  expect_aligned(shared, 1024, "cp.async.bulk.tensor");
  const uint32_t target = shared_address(shared), row_bytes = map->box_cols * 2, bytes = map->box_rows * row_bytes;
  shared_address(static_cast<unsigned char*>(shared) + bytes - 1);  // inside
  memset(shared, 0xff, bytes);
  emulator::defer([=, map = *map] {
    for (uint32_t r = 0; r < map.box_rows; r++)
      for (uint32_t c = 0; c < map.box_cols; c++) {
        const int64_t at_row = static_cast<int64_t>(row) + r, at_col = static_cast<int64_t>(col) + c;
        const bool inside = at_row >= 0 && at_row < static_cast<int64_t>(map.rows) && at_col >= 0 &&
                            at_col < static_cast<int64_t>(map.cols);
        uint16_t element = 0;
        if (inside) memcpy(&element, map.address + at_row * static_cast<int64_t>(map.row_bytes) + at_col * 2, 2);
        memcpy(shared_pointer(swizzle128(target + r * row_bytes + c * 2)), &element, 2);
      }
    emulator::advance(barrier, 0, -static_cast<int64_t>(bytes));
  });
}

inline void cp_async_bulk(void* shared, const void* source, int bytes, uint64_t* barrier) {
  expect_aligned(shared, 16, "cp.async.bulk");
  expect_aligned(source, 16, "cp.async.bulk");
  if (bytes <= 0 || bytes % 16 != 0) emulator::stop("calls cp.async.bulk for " + std::to_string(bytes) + " bytes");
  shared_address(static_cast<unsigned char*>(shared) + bytes - 1);
  memset(shared, 0xff, static_cast<size_t>(bytes));
  emulator::defer([=] {
    memcpy(shared, source, static_cast<size_t>(bytes));
    emulator::advance(barrier, 0, -static_cast<int64_t>(bytes));
  });
}
inline void prefetch_tensormap(const CUtensorMap*) {}
inline void fence_proxy_async() {}

// ----------------------------------------------------------------------------------------------------------- registers

template <int registers>
void setmaxnreg_inc() {
  static_assert(registers >= 24 && registers <= 256 && registers % 8 == 0, "what setmaxnreg takes");
}
template <int registers>
void setmaxnreg_dec() {
  setmaxnreg_inc<registers>();
}

}  // namespace msm
