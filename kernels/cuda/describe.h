// What msm_describe says of a CUDA device, emulated or not.
// defines: describe, cublaslt_refusal, no_such_device, CallCounts
#pragma once
#include <stdlib.h>

#include <map>
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

// `driver`: the newest CUDA that it supports, or null. Fields of products: what computes the large ones, and why it is
// not cuBLASLt.
inline std::string describe(const char* backend, const Device& device, int threads, int64_t memory_bytes,
                            int64_t free_bytes, const char* name, const char* driver) {
  return "{\"backend\":" + json_string(backend) + ",\"device\":" + std::to_string(device.index) + ",\"isa\":\"sm_" +
         std::to_string(device.compute_capability) + "\",\"threads\":" + std::to_string(threads) +
         ",\"memoryBytes\":" + std::to_string(memory_bytes) + ",\"freeBytes\":" + std::to_string(free_bytes) +
         ",\"name\":" + json_string(name) + ",\"driver\":" + json_string(driver) +
         ",\"multiprocessors\":" + std::to_string(device.multiprocessors) +
         ",\"cublaslt\":" + json_string(cublaslt_version()) + ",\"cublasltPath\":" + json_string(cublaslt_path()) +
         ",\"cublasltProblem\":" + json_string(cublaslt_problem()) + "}";
}

// What to say of a device that is not there: `count` of them are.
inline std::string no_such_device(int index, int count) {
  return "there is no device " + std::to_string(index) + ": the process sees " + std::to_string(count) +
         (count == 1 ? " device, 0" : " devices, 0 to " + std::to_string(count - 1));
}

// What msm_kernels says.
class CallCounts {
 public:
  void add(const char* op, const char* kernel) { counts_[std::string(op) + ": " + kernel]++; }

  const char* json() {
    text_ = "{";
    for (const auto& [name, count] : counts_)
      text_ += (text_.size() > 1 ? "," : "") + json_string(name.c_str()) + ":" + std::to_string(count);
    text_ += "}";
    return text_.c_str();
  }

 private:
  std::map<std::string, int64_t> counts_;
  std::string text_;
};

// Why no context may be opened: somebody asked for a cuBLASLt that there is not. Null where none was asked for.
inline const char* cublaslt_refusal() { return getenv("MSM_CUBLASLT") ? cublaslt_problem() : nullptr; }

}  // namespace msm
