// defines: msm_rmsnorm_forward, msm_rmsnorm_backward
#include "context.h"
#include "rows.h"
#include "vec.h"

namespace msm {
namespace {

// h = x + delta where there is a delta, then the norm of one group.
template <class T>
void forward_group(T* out, float* rstd, T* h, const T* x, const T* delta, const T* weight, float eps, int64_t D) {
  vf squares = {};
  each_vector(D, [&](int64_t d, auto n) {
    vf v = load(x + d, n);
    if (delta) {
      store(h + d, v + load(delta + d, n), n);
      v = load(h + d, n);  // as rounded: the backward sees no other
    }
    squares += v * v;
  });
  *rstd = 1.0f / sqrtf(sum(squares) / static_cast<float>(D) + eps);
  const T* in = delta ? h : x;
  const vf factor = splat(*rstd);
  each_vector(D, [&](int64_t d, auto n) { store(out + d, load(in + d, n) * factor * load(weight + d, n), n); });
}

template <class T>
void backward_group(T* dx, const T* dout, const T* h, const T* weight, float rstd, const T* dresidual, int64_t D) {
  vf products = {};
  each_vector(D, [&](int64_t d, auto n) { products += load(weight + d, n) * load(dout + d, n) * load(h + d, n); });
  // mean(weight dout xhat) times the rstd of xhat = h rstd
  const vf slope = splat(sum(products) / static_cast<float>(D) * rstd * rstd), factor = splat(rstd);
  each_vector(D, [&](int64_t d, auto n) {
    vf v = factor * (load(weight + d, n) * load(dout + d, n) - load(h + d, n) * slope);
    if (dresidual) v += load(dresidual + d, n);
    store(dx + d, v, n);
  });
}

}  // namespace
}  // namespace msm

void msm_rmsnorm_forward(msm_context* context, int dtype, void* out, int64_t out_stride, float* rstd, void* h,
                         int64_t h_stride, const void* x, int64_t x_stride, const void* delta, int64_t delta_stride,
                         const void* weight, float eps, int64_t N, int64_t G, int64_t D) {
  using namespace msm;
  enqueue(context, "rmsnorm_forward", [=] {
    dispatch(dtype, [&](auto zero) {
      using T = decltype(zero);
      each_row(N, G * D, [&](int64_t n) {
        for (int64_t g = 0; g < G; g++)
          forward_group(static_cast<T*>(out) + n * out_stride + g * D, rstd + n * G + g,
                        delta ? static_cast<T*>(h) + n * h_stride + g * D : nullptr,
                        static_cast<const T*>(x) + n * x_stride + g * D,
                        delta ? static_cast<const T*>(delta) + n * delta_stride + g * D : nullptr,
                        static_cast<const T*>(weight), eps, D);
      });
    });
  });
}

void msm_rmsnorm_backward(msm_context* context, int dtype, void* dx, int64_t dx_stride, const void* dout,
                          int64_t dout_stride, const void* h, int64_t h_stride, const void* weight, const float* rstd,
                          const void* dresidual, int64_t dresidual_stride, int64_t N, int64_t G, int64_t D) {
  using namespace msm;
  enqueue(context, "rmsnorm_backward", [=] {
    dispatch(dtype, [&](auto zero) {
      using T = decltype(zero);
      each_row(N, G * D, [&](int64_t n) {
        for (int64_t g = 0; g < G; g++)
          backward_group(
              static_cast<T*>(dx) + n * dx_stride + g * D, static_cast<const T*>(dout) + n * dout_stride + g * D,
              static_cast<const T*>(h) + n * h_stride + g * D, static_cast<const T*>(weight), rstd[n * G + g],
              dresidual ? static_cast<const T*>(dresidual) + n * dresidual_stride + g * D : nullptr, D);
      });
    });
  });
}
