// What msm_describe says of a CUDA device, emulated or not.
// defines: describe, cublaslt_refusal
#pragma once
#include <stdlib.h>

#include <string>

#include "context.h"
#include "cublaslt.h"

namespace msm {

inline std::string json_string(const char* text) {
  if (!text) return "null";
  std::string out = "\"";
  for (; *text; text++) {
    if (*text == '"' || *text == '\\') out += '\\';
    if (*text == '\n') out += "\\n";
    else out += *text;
  }
  return out + "\"";
}

// `driver`: the newest CUDA that it supports, or null. Fields of products: what computes the large ones, and why it is not cuBLASLt.
inline std::string describe(const char* backend, const Device& device, int threads, int64_t memory_bytes, int64_t free_bytes, const char* name,
                            const char* driver) {
  return "{\"backend\":" + json_string(backend) + ",\"isa\":\"sm_" + std::to_string(device.compute_capability) + "\",\"threads\":" + std::to_string(threads) +
         ",\"memoryBytes\":" + std::to_string(memory_bytes) + ",\"freeBytes\":" + std::to_string(free_bytes) + ",\"name\":" + json_string(name) +
         ",\"driver\":" + json_string(driver) + ",\"multiprocessors\":" + std::to_string(device.multiprocessors) + ",\"cublaslt\":" + json_string(cublaslt_version()) +
         ",\"cublasltPath\":" + json_string(cublaslt_path()) + ",\"cublasltProblem\":" + json_string(cublaslt_problem()) + "}";
}

// Why no context may be opened: somebody asked for a cuBLASLt that there is not. Null where none was asked for.
inline const char* cublaslt_refusal() { return getenv("MSM_CUBLASLT") ? cublaslt_problem() : nullptr; }

}  // namespace msm
