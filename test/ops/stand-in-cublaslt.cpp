// A cuBLASLt for the emulated device, whose memory is the host's: column-major products in plain loops, behind NVIDIA's
// interface and as particular about descriptors as the documentation is. test/ops/cublaslt.slow.test.ts builds it.
// Every call that matters is a line of the file STAND_IN_LOG.
//
// Its algorithms, best first by its own estimate: 1 splits K, 2 is slow, 3 is fast, 4 fails when it runs.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <initializer_list>
#include <vector>

#include "../../kernels/cuda/cublaslt_api.h"

using namespace msm;

namespace {

constexpr cublasStatus_t SUCCESS = 0, INVALID_VALUE = 7, EXECUTION_FAILED = 13;
constexpr uint64_t MAGIC = 0x73746e64696eull;  // of an algorithm's bytes
constexpr useconds_t SLOW_US = 20000;          // more than others take of a shared processor

template <class... A>
void note(const char* format, A... args) {
  FILE* const file = fopen(getenv("STAND_IN_LOG"), "a");
  fprintf(file, format, args...);
  fclose(file);
}

float to_float(const void* matrix, int type, int64_t at) {
  if (type == CUDA_R_32F) return static_cast<const float*>(matrix)[at];
  const uint32_t bits = static_cast<uint32_t>(static_cast<const uint16_t*>(matrix)[at]) << 16;
  float value;
  memcpy(&value, &bits, 4);
  return value;
}

void store(void* matrix, int type, int64_t at, float value) {
  if (type == CUDA_R_32F) {
    static_cast<float*>(matrix)[at] = value;
    return;
  }
  uint32_t bits;
  memcpy(&bits, &value, 4);
  static_cast<uint16_t*>(matrix)[at] =
      static_cast<uint16_t>(value != value ? 0x7fc0 : (bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

}  // namespace

namespace msm {
struct cublasLtContext {};
struct cublasLtMatmulDescOpaque {
  int32_t trans_a = CUBLAS_OP_N, trans_b = CUBLAS_OP_N;
  uint32_t epilogue = 1;  // CUBLASLT_EPILOGUE_DEFAULT
  const void* bias = nullptr;
};
struct cublasLtMatrixLayoutOpaque {
  int type;
  int64_t rows, cols, ld, batch_offset = 0;
  int32_t batch = 1;
  int64_t at(int64_t row, int64_t col) const { return col * ld + row; }
  bool is_good() const { return ld >= rows && ld * (type == CUDA_R_32F ? 4 : 2) % 16 == 0; }
};
struct cublasLtMatmulPreferenceOpaque {
  uint64_t workspace = 0;
  uint32_t schemes = 7, alignment[4] = {256, 256, 256, 256};
};
}  // namespace msm

namespace {

// Whether d = op(a) op(b) has matching extents.
bool fits(const cublasLtMatmulDescOpaque& desc, const cublasLtMatrixLayoutOpaque& a,
          const cublasLtMatrixLayoutOpaque& b, const cublasLtMatrixLayoutOpaque& d) {
  const bool ta = desc.trans_a == CUBLAS_OP_T, tb = desc.trans_b == CUBLAS_OP_T;
  return a.is_good() && b.is_good() && d.is_good() && a.type == b.type && (d.type == a.type || d.type == CUDA_R_32F) &&
         a.batch == d.batch && b.batch == d.batch && (ta ? a.cols : a.rows) == d.rows &&
         (tb ? b.rows : b.cols) == d.cols && (ta ? a.rows : a.cols) == (tb ? b.cols : b.rows);
}

template <class T>
bool take(T& field, const void* value, size_t bytes) {
  if (bytes != sizeof field) return false;
  memcpy(&field, value, bytes);
  return true;
}

cublasStatus_t set(bool is_good) { return is_good ? SUCCESS : INVALID_VALUE; }

}  // namespace

extern "C" {

size_t cublasLtGetVersion() { return 130102; }

cublasStatus_t cublasLtCreate(cublasLtHandle_t* handle) {
  if (getenv("STAND_IN_BROKEN")) return 1;
  *handle = new cublasLtContext;
  return SUCCESS;
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* desc, int compute_type, int scale_type) {
  *desc = new cublasLtMatmulDescOpaque;
  return set(compute_type == CUBLAS_COMPUTE_32F && scale_type == CUDA_R_32F);
}
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t desc) {
  delete desc;
  return SUCCESS;
}
cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t desc, int attribute, const void* value,
                                              size_t bytes) {
  switch (attribute) {
    case CUBLASLT_MATMUL_DESC_TRANSA: return set(take(desc->trans_a, value, bytes));
    case CUBLASLT_MATMUL_DESC_TRANSB: return set(take(desc->trans_b, value, bytes));
    case CUBLASLT_MATMUL_DESC_EPILOGUE: return set(take(desc->epilogue, value, bytes));
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER: return set(take(desc->bias, value, bytes));
    default: return INVALID_VALUE;
  }
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* layout, int type, uint64_t rows, uint64_t cols,
                                          int64_t ld) {
  *layout = new cublasLtMatrixLayoutOpaque{type, static_cast<int64_t>(rows), static_cast<int64_t>(cols), ld};
  return SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout) {
  delete layout;
  return SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t layout, int attribute, const void* value,
                                                size_t bytes) {
  if (attribute == CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT) return set(take(layout->batch, value, bytes));
  return set(attribute == CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET && take(layout->batch_offset, value, bytes));
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* preference) {
  *preference = new cublasLtMatmulPreferenceOpaque;
  return SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference) {
  delete preference;
  return SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference, int attribute,
                                                    const void* value, size_t bytes) {
  if (attribute == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES) return set(take(preference->workspace, value, bytes));
  if (attribute == CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK) return set(take(preference->schemes, value, bytes));
  const int operand = attribute - CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES;
  return set(operand >= 0 && operand < 4 && take(preference->alignment[operand], value, bytes));
}

// Algorithm 1 is proposed although partial sums are not wanted, as a library might: the caller has to look.
cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t, cublasLtMatmulDesc_t desc, cublasLtMatrixLayout_t a,
                                              cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c,
                                              cublasLtMatrixLayout_t d, cublasLtMatmulPreference_t preference,
                                              int requested, cublasLtMatmulHeuristicResult_t* results, int* returned) {
  bool is_good = c == d && fits(*desc, *a, *b, *d) && preference->workspace > 0 &&
                 preference->schemes == CUBLASLT_REDUCTION_SCHEME_NONE && requested >= 4;
  for (const uint32_t alignment : preference->alignment) is_good = is_good && alignment == 16;
  if (!is_good) return INVALID_VALUE;
  note("heuristic\n");
  *returned = 4;
  for (uint64_t i = 0; i < 4; i++) results[i] = {{{i + 1, MAGIC}}, 0, SUCCESS, 1, {}};
  return SUCCESS;
}

cublasStatus_t cublasLtMatmulAlgoCheck(cublasLtHandle_t, cublasLtMatmulDesc_t desc, cublasLtMatrixLayout_t a,
                                       cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t, cublasLtMatrixLayout_t d,
                                       const cublasLtMatmulAlgo_t* algo, cublasLtMatmulHeuristicResult_t* result) {
  note("check %d\n", static_cast<int>(algo->data[0]));
  result->workspaceSize = 0;
  return set(algo->data[1] == MAGIC && fits(*desc, *a, *b, *d));
}

cublasStatus_t cublasLtMatmulAlgoConfigGetAttribute(const cublasLtMatmulAlgo_t* algo, int attribute, void* value,
                                                    size_t bytes, size_t* written) {
  const int32_t splits = algo->data[0] == 1 ? 4 : 1;
  *written = bytes;
  if (bytes != 4) return INVALID_VALUE;
  memset(value, 0, 4);
  if (attribute == CUBLASLT_ALGO_CONFIG_SPLITK_NUM) memcpy(value, &splits, 4);
  return SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t, cublasLtMatmulDesc_t desc, const void* alpha, const void* a,
                              cublasLtMatrixLayout_t la, const void* b, cublasLtMatrixLayout_t lb, const void* beta,
                              const void* c, cublasLtMatrixLayout_t lc, void* d, cublasLtMatrixLayout_t ld,
                              const cublasLtMatmulAlgo_t* algo, void* workspace, size_t workspace_bytes, void*) {
  for (const void* pointer : {a, b, c, static_cast<const void*>(d), desc->bias})
    if (reinterpret_cast<uintptr_t>(pointer) % 16 != 0) return INVALID_VALUE;
  if (!fits(*desc, *la, *lb, *ld) || c != d || lc != ld || algo->data[1] != MAGIC) return INVALID_VALUE;
  if (algo->data[0] == 4) return EXECUTION_FAILED;
  if (algo->data[0] == 2) usleep(SLOW_US);
  memset(workspace, 0xff, workspace_bytes);  // it is the library's to write
  const float scale = *static_cast<const float*>(alpha), keep = *static_cast<const float*>(beta);
  const bool ta = desc->trans_a == CUBLAS_OP_T, tb = desc->trans_b == CUBLAS_OP_T;
  const int64_t M = ld->rows, N = ld->cols, K = ta ? la->rows : la->cols;
  std::vector<double> rows(static_cast<size_t>(M * K)), cols(static_cast<size_t>(N * K));
  for (int64_t i = 0; i < ld->batch; i++) {
    for (int64_t row = 0; row < M; row++)
      for (int64_t k = 0; k < K; k++)
        rows[static_cast<size_t>(row * K + k)] =
            to_float(a, la->type, i * la->batch_offset + (ta ? la->at(k, row) : la->at(row, k)));
    for (int64_t col = 0; col < N; col++)
      for (int64_t k = 0; k < K; k++)
        cols[static_cast<size_t>(col * K + k)] =
            to_float(b, lb->type, i * lb->batch_offset + (tb ? lb->at(col, k) : lb->at(k, col)));
    for (int64_t col = 0; col < N; col++)
      for (int64_t row = 0; row < M; row++) {
        double sum = 0;
        for (int64_t k = 0; k < K; k++)
          sum += rows[static_cast<size_t>(row * K + k)] * cols[static_cast<size_t>(col * K + k)];
        const int64_t at = i * ld->batch_offset + ld->at(row, col);
        float value = scale * static_cast<float>(sum);
        if (keep != 0) value += keep * to_float(c, ld->type, at);
        if (desc->epilogue == CUBLASLT_EPILOGUE_BIAS) value += to_float(desc->bias, ld->type, row);
        store(d, ld->type, at, value);
      }
  }
  note("matmul %d %lld x %lld x %lld batch %d beta %g\n", static_cast<int>(algo->data[0]), static_cast<long long>(N),
       static_cast<long long>(M), static_cast<long long>(K), ld->batch, static_cast<double>(keep));
  return SUCCESS;
}

}  // extern "C"
