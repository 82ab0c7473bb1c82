// Limit: memory. x is read and written once, in place: 4 bytes an element in bf16; cos and sin are 4 * E bytes a token
// (1 / G of the traffic) that neighbouring heads, and tokens at the same position, find in the caches. A thread holds
// the same 16 bytes of both halves of several heads, so it reads cos and sin once.
// defines: msm_rope
#include "tile.cuh"

namespace msm {
namespace {

constexpr int HEADS = 4;  // that a thread rotates: 128 bytes under way
constexpr unsigned THREADS = 128;

// blockDim.x threads share the pairs of a head, VEC<T> each; blockDim.y of the N * shares groups of heads a block.
template <class T, bool aligned>
__global__ void __launch_bounds__(THREADS)
    rope_kernel(T* x, int64_t x_stride, const float* cos, const float* sin, const int32_t* positions, float sign,
                int64_t N, int G, int half) {
  const uint32_t shares = (static_cast<uint32_t>(G) + HEADS - 1) / HEADS, item = blockIdx.x * blockDim.y + threadIdx.y;
  const int64_t n = item / shares;
  if (n >= N) return;
  const int first = static_cast<int>(item % shares) * HEADS;
  const int64_t angles = static_cast<int64_t>(positions[n]) * half;
  x += n * x_stride + static_cast<int64_t>(first) * 2 * half;
  for (int i = static_cast<int>(threadIdx.x) * VEC<T>; i < half; i += static_cast<int>(blockDim.x) * VEC<T>) {
    Packed low[HEADS], high[HEADS];
#pragma unroll
    for (int g = 0; g < HEADS; g++) {
      const int left = first + g < G ? half - i : 0;
      low[g] = load_vector<aligned>(x + 2 * g * half + i, left);
      high[g] = load_vector<aligned>(x + (2 * g + 1) * half + i, left);
    }
    float c[VEC<T>], s[VEC<T>];
#pragma unroll
    for (int j = 0; j < VEC<T>; j += 4) {
      float four[4];
      unpack(four, load_vector<aligned>(cos + angles + i + j, half - i - j));
#pragma unroll
      for (int k = 0; k < 4; k++) c[j + k] = four[k];
      unpack(four, load_vector<aligned>(sin + angles + i + j, half - i - j));
#pragma unroll
      for (int k = 0; k < 4; k++) s[j + k] = sign * four[k];
    }
#pragma unroll
    for (int g = 0; g < HEADS; g++) {
      float a[VEC<T>], b[VEC<T>];
      unpack(a, low[g]);
      unpack(b, high[g]);
#pragma unroll
      for (int j = 0; j < VEC<T>; j++) {
        // Spelled out: the compiler may contract the aligned and the unaligned kernel differently.
        const float rotated = __fmaf_rn(a[j], c[j], -__fmul_rn(b[j], s[j]));
        b[j] = __fmaf_rn(b[j], c[j], __fmul_rn(a[j], s[j]));
        a[j] = rotated;
      }
      const int left = first + g < G ? half - i : 0;
      store_vector<aligned>(x + 2 * g * half + i, pack(a), left);
      store_vector<aligned>(x + (2 * g + 1) * half + i, pack(b), left);
    }
  }
}

template <class T>
void rope(msm_context* context, void* x, int64_t x_stride, const float* cos, const float* sin, const int32_t* positions,
          float sign, int64_t N, int64_t G, int64_t half) {
  const bool aligned =
      half % VEC<T> == 0 && aligned16<T>(x, x_stride) && aligned16<float>(cos, 0) && aligned16<float>(sin, 0);
  const int64_t vectors = ceil_div(half, VEC<T>);
  const unsigned width = static_cast<unsigned>(vectors < THREADS ? vectors : THREADS);
  const dim3 block(width, THREADS / width);
  const dim3 grid(static_cast<unsigned>(ceil_div(N * ceil_div(G, HEADS), block.y)));
  launch(context, "rope", aligned ? rope_kernel<T, true> : rope_kernel<T, false>, grid, block, 0, static_cast<T*>(x),
         x_stride, cos, sin, positions, sign, N, G, half);
}

}  // namespace
}  // namespace msm

void msm_rope(msm_context* context, int dtype, void* x, int64_t x_stride, const float* cos, const float* sin,
              const int32_t* positions, int inverse, int64_t N, int64_t G, int64_t E) {
  const auto rope = dtype == MSM_F32 ? msm::rope<float> : msm::rope<msm::bf16>;
  rope(context, x, x_stride, cos, sin, positions, inverse ? -1.0f : 1.0f, N, G, E / 2);
}
