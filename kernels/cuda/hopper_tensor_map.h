// Tensor maps: how TMA sees a matrix. Made on the host, passed to kernels by value (__grid_constant__).
// defines: tensor_map
#pragma once
#include <stdint.h>

#include "hopper.cuh"

namespace msm {

// cuTensorMapEncodeTiled of the driver, or null where it has none: fetched at run time, so that the library loads
// without a driver.
inline auto tensor_map_encoder() {
#ifdef MSM_EMULATED
  return &cuTensorMapEncodeTiled;
#else
  static const auto found = [] {
    void* function = nullptr;
    cudaDriverEntryPointQueryResult result = cudaDriverEntryPointSymbolNotFound;
#if CUDART_VERSION >= 12050
    cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &function, 12000, cudaEnableDefault, &result);
#else
    cudaGetDriverEntryPoint("cuTensorMapEncodeTiled", &function, cudaEnableDefault, &result);
#endif
    return result == cudaDriverEntryPointSuccess ? reinterpret_cast<decltype(&cuTensorMapEncodeTiled)>(function)
                                                 : nullptr;
  }();
  return found;
#endif
}

// The map of a bf16 matrix [rows, cols] for boxes of `box_rows` rows x 64 columns (128 bytes), swizzled by 128 bytes in
// shared memory. False where TMA cannot read the matrix: its address and its rows must be aligned to 16 bytes.
inline bool tensor_map(CUtensorMap& map, const void* matrix, int64_t stride, int64_t rows, int64_t cols, int box_rows) {
  const auto encode = tensor_map_encoder();
  if (!encode || !aligned16<bf16>(matrix, stride)) return false;
  const cuuint64_t size[2] = {static_cast<cuuint64_t>(cols), static_cast<cuuint64_t>(rows)};
  const cuuint64_t row_bytes[1] = {static_cast<cuuint64_t>(stride) * sizeof(bf16)};
  const cuuint32_t box[2] = {64, static_cast<cuuint32_t>(box_rows)}, step[2] = {1, 1};
  return encode(&map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 2, const_cast<void*>(matrix), size, row_bytes, box, step,
                CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
                CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE) == CUDA_SUCCESS;
}

}  // namespace msm
