// defines: msm_fill
#include "context.h"

namespace msm {
namespace {

constexpr int THREADS = 256;

// Whole 16-byte units by one thread each; the bytes before the first (`head`) and after the last by the first block.
__global__ void __launch_bounds__(THREADS) fill_kernel(unsigned char* dst, unsigned word, int64_t bytes, int64_t head) {
  const int64_t units = (bytes - head) / 16, rest = bytes - head - units * 16;
  const int64_t unit = static_cast<int64_t>(blockIdx.x) * THREADS + threadIdx.x;
  if (unit < units) reinterpret_cast<uint4*>(dst + head)[unit] = make_uint4(word, word, word, word);
  const unsigned char value = static_cast<unsigned char>(word);
  if (unit < head) dst[unit] = value;
  if (unit < rest) dst[bytes - 1 - unit] = value;
}

}  // namespace
}  // namespace msm

void msm_fill(msm_context* context, void* dst, int value, int64_t bytes) {
  using namespace msm;
  if (bytes == 0) return;
  const int64_t misaligned = static_cast<int64_t>(-reinterpret_cast<uintptr_t>(dst) % 16);
  const int64_t head = misaligned < bytes ? misaligned : bytes;
  const int64_t blocks = ceil_div((bytes - head) / 16, THREADS);
  launch(context, "fill", fill_kernel, static_cast<unsigned>(blocks > 0 ? blocks : 1), THREADS, 0,
         static_cast<unsigned char*>(dst), (value & 0xffu) * 0x01010101u, bytes, head);
}
