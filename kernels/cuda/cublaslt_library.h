// Where cuBLASLt is looked for, and what was found.
// defines: CublasltLibrary, cublaslt_library
#pragma once
#include <string>

#include "cublaslt_api.h"

namespace msm {

struct CublasltLibrary {
  CublasLt api{};
  cublasLtHandle_t handle = nullptr;  // null: none was loaded, and `problem` says why unless it was switched off
  std::string path, version, problem;
};

// Looked for at the first call, then the same for the life of the process: plans and the resume of a run rest on one
// version. MSM_CUBLASLT says where:
//   0      nowhere (what the emulated build does where it is not set)
//   auto   (what the CUDA build does where it is not set) what the loader finds as libcublasLt.so.13 or .12, which may
//   be one that is already loaded;
//          then CUDA_HOME, CUDA_PATH and /usr/local/cuda; then the folders of NVIDIA's Python wheels: of the active
//          environment, of the user, of the system. Python is not run.
//   else   that file, or the library in that folder
const CublasltLibrary& cublaslt_library();

}  // namespace msm
