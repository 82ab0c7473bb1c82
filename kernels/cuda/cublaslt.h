// Large products by NVIDIA's cuBLASLt, which is loaded when the first context is opened: nothing links to it.
// defines: cublaslt_version, cublaslt_path, cublaslt_problem, cublaslt_multiply
#pragma once
#include "product.h"

namespace msm {

// "13.1.0", or null where no cuBLASLt was loaded. Call after the device was chosen.
const char* cublaslt_version();
// The file that was loaded, or null.
const char* cublaslt_path();
// Null where one was loaded or MSM_CUBLASLT=0 switches it off; otherwise what was tried, and what to do. Where
// MSM_CUBLASLT is set, a context must not be opened with a problem: somebody asked for the library.
const char* cublaslt_problem();

// Enqueues the product by cuBLASLt and returns true, or false where it must be built in: cuBLASLt is not there, or does
// not take such operands (rows that are not aligned to 16 bytes; a bias of another dtype than out). A shape that is new
// to the process is planned: its algorithm comes from the file of earlier runs, or from timing, which a recording (CUDA
// graph) cannot contain: there it is an error.
bool cublaslt_multiply(msm_context* context, const char* op, const Product& product);

}  // namespace msm
