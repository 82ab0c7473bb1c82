// The part of cuBLASLt's C interface that is used, declared here so that building needs no cuBLAS: names, values and
// layouts are those of NVIDIA's documentation ("cuBLAS, Using the cuBLASLt API"), the same in versions 12 and 13.
// defines: CublasLt and the types and constants of its functions
#pragma once
#include <stddef.h>
#include <stdint.h>

namespace msm {

using cublasStatus_t = int;  // 0: success
using cublasLtHandle_t = struct cublasLtContext*;
using cublasLtMatmulDesc_t = struct cublasLtMatmulDescOpaque*;
using cublasLtMatrixLayout_t = struct cublasLtMatrixLayoutOpaque*;
using cublasLtMatmulPreference_t = struct cublasLtMatmulPreferenceOpaque*;

// Plain bytes, which may be stored and used again by the same version of the library.
struct cublasLtMatmulAlgo_t {
  uint64_t data[8];
};

struct cublasLtMatmulHeuristicResult_t {
  cublasLtMatmulAlgo_t algo;
  size_t workspaceSize;
  cublasStatus_t state;
  float wavesCount;
  int reserved[4];
};

enum { CUDA_R_32F = 0, CUDA_R_16BF = 14 };    // cudaDataType_t
enum { CUBLAS_COMPUTE_32F = 68 };             // cublasComputeType_t: f32, not TF32
enum { CUBLAS_OP_N = 0, CUBLAS_OP_T = 1 };    // cublasOperation_t, int32_t
enum { CUBLASLT_EPILOGUE_BIAS = 4 };          // cublasLtEpilogue_t, uint32_t
enum { CUBLASLT_REDUCTION_SCHEME_NONE = 0 };  // cublasLtReductionScheme_t, uint32_t
enum {
  CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT = 5,  // cublasLtMatrixLayoutAttribute_t: int32_t
  CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET = 6
};  //   int64_t, elements
enum {
  CUBLASLT_MATMUL_DESC_TRANSA = 3,
  CUBLASLT_MATMUL_DESC_TRANSB = 4,  // cublasLtMatmulDescAttributes_t
  CUBLASLT_MATMUL_DESC_EPILOGUE = 7,
  CUBLASLT_MATMUL_DESC_BIAS_POINTER = 8
};  //   BIAS_POINTER: const void*
enum {
  CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES = 1,    // cublasLtMatmulPreferenceAttributes_t: uint64_t
  CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK = 3,  //   uint32_t
  CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES = 5,  //   uint32_t, then B, C, D
  CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES = 8
};
enum {
  CUBLASLT_ALGO_CONFIG_SPLITK_NUM = 2,  // cublasLtMatmulAlgoConfigAttributes_t: int32_t
  CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME = 3
};  //   uint32_t

// The functions, found by their names in the loaded library.
struct CublasLt {
  size_t (*cublasLtGetVersion)();
  cublasStatus_t (*cublasLtCreate)(cublasLtHandle_t* handle);
  cublasStatus_t (*cublasLtMatmulDescCreate)(cublasLtMatmulDesc_t* desc, int compute_type, int scale_type);
  cublasStatus_t (*cublasLtMatmulDescDestroy)(cublasLtMatmulDesc_t desc);
  cublasStatus_t (*cublasLtMatmulDescSetAttribute)(cublasLtMatmulDesc_t desc, int attribute, const void* value,
                                                   size_t bytes);
  cublasStatus_t (*cublasLtMatrixLayoutCreate)(cublasLtMatrixLayout_t* layout, int type, uint64_t rows, uint64_t cols,
                                               int64_t ld);
  cublasStatus_t (*cublasLtMatrixLayoutDestroy)(cublasLtMatrixLayout_t layout);
  cublasStatus_t (*cublasLtMatrixLayoutSetAttribute)(cublasLtMatrixLayout_t layout, int attribute, const void* value,
                                                     size_t bytes);
  cublasStatus_t (*cublasLtMatmulPreferenceCreate)(cublasLtMatmulPreference_t* preference);
  cublasStatus_t (*cublasLtMatmulPreferenceDestroy)(cublasLtMatmulPreference_t preference);
  cublasStatus_t (*cublasLtMatmulPreferenceSetAttribute)(cublasLtMatmulPreference_t preference, int attribute,
                                                         const void* value, size_t bytes);
  cublasStatus_t (*cublasLtMatmulAlgoGetHeuristic)(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc,
                                                   cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                                   cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                                   cublasLtMatmulPreference_t preference, int requested,
                                                   cublasLtMatmulHeuristicResult_t* results, int* returned);
  cublasStatus_t (*cublasLtMatmulAlgoCheck)(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc,
                                            cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                            cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                            const cublasLtMatmulAlgo_t* algo, cublasLtMatmulHeuristicResult_t* result);
  cublasStatus_t (*cublasLtMatmulAlgoConfigGetAttribute)(const cublasLtMatmulAlgo_t* algo, int attribute, void* value,
                                                         size_t bytes, size_t* written);
  cublasStatus_t (*cublasLtMatmul)(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc, const void* alpha, const void* a,
                                   cublasLtMatrixLayout_t a_layout, const void* b, cublasLtMatrixLayout_t b_layout,
                                   const void* beta, const void* c, cublasLtMatrixLayout_t c_layout, void* d,
                                   cublasLtMatrixLayout_t d_layout, const cublasLtMatmulAlgo_t* algo, void* workspace,
                                   size_t workspace_bytes, void* stream);
};

}  // namespace msm
