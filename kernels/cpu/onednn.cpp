// defines: onednn_open, onednn_version, onednn_forced, onednn_matmul
#include "onednn.h"

#if defined(MSM_ONEDNN)
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <array>
#include <map>
#include <mutex>

#if __has_include(<oneapi/dnnl/dnnl.hpp>)
#include <oneapi/dnnl/dnnl.hpp>
#else
#include <dnnl.hpp>
#endif

#include "../ops.h"
#include "context.h"
#include "isa.h"

namespace msm {
namespace {

constexpr size_t CACHED_PRIMITIVES = 256;  // a model and its gradients need about 40

bool enabled = false, forced = false;

dnnl_cpu_isa_t isa_limit() {
  const char* isa = isa_name();
  if (!strcmp(isa, "amx")) return dnnl_cpu_isa_avx512_core_amx;
  if (!strcmp(isa, "avx512bf16")) return dnnl_cpu_isa_avx512_core_bf16;
  if (!strcmp(isa, "avx512")) return dnnl_cpu_isa_avx512_core;
  if (!strcmp(isa, "avx2")) return dnnl_cpu_isa_avx2;
  return dnnl_cpu_isa_sse41;
}

dnnl::engine& engine() {
  static dnnl::engine* const cpu = new dnnl::engine(dnnl::engine::kind::cpu, 0);  // never destroyed: outlives every thread
  return *cpu;
}

dnnl::memory::data_type data_type(int dtype) { return dtype == MSM_BF16 ? dnnl::memory::data_type::bf16 : dnnl::memory::data_type::f32; }

dnnl::memory::desc matrix(int dtype, int64_t rows, int64_t cols, int64_t stride, bool transposed) {
  return dnnl::memory::desc({rows, cols}, data_type(dtype), transposed ? dnnl::memory::dims{1, stride} : dnnl::memory::dims{stride, 1});
}

struct Primitive {
  dnnl::matmul::primitive_desc desc;
  dnnl::matmul matmul;
};

// What one primitive is made for: dtypes, transpositions, alpha's bits, beta, sizes, strides.
typedef std::array<int64_t, 12> Key;

Primitive create(int dtype, int out_dtype, int64_t out_stride, int64_t a_stride, int trans_a, int64_t b_stride, int trans_b, float alpha,
                 float beta, int64_t M, int64_t N, int64_t K) {
  const dnnl::memory::desc a = matrix(dtype, M, K, a_stride, trans_a), b = matrix(dtype, K, N, b_stride, trans_b),
                           out = matrix(out_dtype, M, N, out_stride, false);
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  dnnl::post_ops steps;
#if DNNL_VERSION_MAJOR >= 3
  if (alpha != 1) steps.append_eltwise(dnnl::algorithm::eltwise_linear, alpha, 0);
#else
  if (alpha != 1) steps.append_eltwise(1, dnnl::algorithm::eltwise_linear, alpha, 0);
#endif
  if (beta != 0) steps.append_sum(beta);
  attributes.set_post_ops(steps);
#if DNNL_VERSION_MAJOR >= 3
  const dnnl::matmul::primitive_desc desc(engine(), a, b, out, attributes);
#else
  const dnnl::matmul::primitive_desc desc(dnnl::matmul::desc(a, b, out), attributes, engine());
#endif
  return {desc, dnnl::matmul(desc)};
}

}  // namespace

// One instruction set a process: a second library of another one may find oneDNN already set, and then goes without it.
void onednn_open() {
  const char* setting = getenv("MSM_ONEDNN");
  enabled = forced = false;
  if (setting && !strcmp(setting, "0")) return;
  const dnnl_cpu_isa_t limit = isa_limit();
  dnnl_set_max_cpu_isa(limit);
  enabled = (dnnl_get_effective_cpu_isa() & ~limit) == 0;
  forced = enabled && setting && !strcmp(setting, "always");
}

bool onednn_forced() { return forced; }

const char* onednn_version() {
  static char text[32];
  const dnnl_version_t* version = dnnl_version();
  snprintf(text, sizeof text, "%d.%d.%d", version->major, version->minor, version->patch);
  return enabled ? text : nullptr;
}

bool onednn_matmul(int dtype, int out_dtype, void* out, int64_t out_stride, const void* a, int64_t a_stride, int trans_a,
                   const void* b, int64_t b_stride, int trans_b, float alpha, float beta, int64_t M, int64_t N, int64_t K) {
  if (!enabled || K == 0) return false;
  static std::mutex mutex;
  static auto* const cache = new std::map<Key, Primitive>;
  uint32_t alpha_bits;
  memcpy(&alpha_bits, &alpha, sizeof alpha_bits);
  const Key key = {dtype, out_dtype, trans_a * 2 + trans_b, alpha_bits, beta != 0, M, N, K, a_stride, b_stride, out_stride};
  try {
    Primitive primitive;
    {
      std::lock_guard<std::mutex> lock(mutex);
      const auto found = cache->find(key);
      if (found != cache->end()) {
        primitive = found->second;
      } else {
        primitive = create(dtype, out_dtype, out_stride, a_stride, trans_a, b_stride, trans_b, alpha, beta, M, N, K);
        if (cache->size() >= CACHED_PRIMITIVES) cache->clear();
        cache->emplace(key, primitive);
      }
    }
    const dnnl::memory::desc scratchpad = primitive.desc.scratchpad_desc();
    dnnl::stream stream(engine());
    const auto memory = [](const dnnl::memory::desc& desc, const void* p) { return dnnl::memory(desc, engine(), const_cast<void*>(p)); };
    primitive.matmul.execute(stream, {{DNNL_ARG_SRC, memory(primitive.desc.src_desc(), a)},
                                      {DNNL_ARG_WEIGHTS, memory(primitive.desc.weights_desc(), b)},
                                      {DNNL_ARG_DST, memory(primitive.desc.dst_desc(), out)},
                                      {DNNL_ARG_SCRATCHPAD, memory(scratchpad, scratch(SCRATCH_PACK_B, scratchpad.get_size() + 64))}});
    stream.wait();
  } catch (const dnnl::error&) {
    return false;
  }
  return true;
}

}  // namespace msm

#else

namespace msm {
void onednn_open() {}
const char* onednn_version() { return nullptr; }
bool onednn_forced() { return false; }
bool onednn_matmul(int, int, void*, int64_t, const void*, int64_t, int, const void*, int64_t, int, float, float, int64_t, int64_t, int64_t) {
  return false;
}
}  // namespace msm
#endif
