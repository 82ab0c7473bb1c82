// defines: msm_rope
#include "context.h"
#include "rows.h"
#include "vec.h"

namespace msm {
namespace {

template <class T>
void rotate(T* x, const float* cos, const float* sin, vf sign, int64_t half) {
  each_vector(half, [&](int64_t i, auto n) {
    const vf a = load(x + i, n), b = load(x + half + i, n), c = load(cos + i, n), s = sign * load(sin + i, n);
    store(x + i, a * c - b * s, n);
    store(x + half + i, b * c + a * s, n);
  });
}

}  // namespace
}  // namespace msm

void msm_rope(msm_context* context, int dtype, void* x, int64_t x_stride, const float* cos, const float* sin,
              const int32_t* positions, int inverse, int64_t N, int64_t G, int64_t E) {
  using namespace msm;
  enqueue(context, "rope", [=] {
    dispatch(dtype, [&](auto zero) {
      using T = decltype(zero);
      const int64_t half = E / 2;
      const vf sign = splat(inverse ? -1.0f : 1.0f);
      each_row(N, G * E, [&](int64_t n) {
        for (int64_t g = 0; g < G; g++)
          rotate(static_cast<T*>(x) + n * x_stride + g * E, cos + positions[n] * half, sin + positions[n] * half, sign,
                 half);
      });
    });
  });
}
