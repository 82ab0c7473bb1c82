// defines: msm_swiglu_forward, msm_swiglu_backward
#include "context.h"
#include "rows.h"
#include "vec.h"

namespace msm {
namespace {

vf sigmoid(vf x) { return 1.0f / (1.0f + exp(-x)); }

template <class T>
void forward_row(T* out, const T* gate, const T* up, int64_t F) {
  each_vector(F, [&](int64_t f, auto n) {
    const vf g = load(gate + f, n);
    store(out + f, g * sigmoid(g) * load(up + f, n), n);
  });
}

// d silu(g) = s (1 + g (1 - s)), s = sigmoid(g)
template <class T>
void backward_row(T* dgate, T* dup, const T* dout, const T* gate, const T* up, int64_t F) {
  each_vector(F, [&](int64_t f, auto n) {
    const vf d = load(dout + f, n), g = load(gate + f, n), u = load(up + f, n), s = sigmoid(g);
    store(dgate + f, d * u * s * (1.0f + g * (1.0f - s)), n);
    store(dup + f, d * g * s, n);
  });
}

}  // namespace
}  // namespace msm

void msm_swiglu_forward(msm_context* context, int dtype, void* out, int64_t out_stride, const void* gate_up,
                        int64_t gate_up_stride, int64_t N, int64_t F) {
  using namespace msm;
  enqueue(context, "swiglu_forward", [=] {
    dispatch(dtype, [&](auto zero) {
      using T = decltype(zero);
      each_row(N, F, [&](int64_t n) {
        const T* gate = static_cast<const T*>(gate_up) + n * gate_up_stride;
        forward_row(static_cast<T*>(out) + n * out_stride, gate, gate + F, F);
      });
    });
  });
}

void msm_swiglu_backward(msm_context* context, int dtype, void* dgate_up, int64_t dgate_up_stride, const void* dout,
                         int64_t dout_stride, const void* gate_up, int64_t gate_up_stride, int64_t N, int64_t F) {
  using namespace msm;
  enqueue(context, "swiglu_backward", [=] {
    dispatch(dtype, [&](auto zero) {
      using T = decltype(zero);
      each_row(N, F, [&](int64_t n) {
        const T* gate = static_cast<const T*>(gate_up) + n * gate_up_stride;
        T* dgate = static_cast<T*>(dgate_up) + n * dgate_up_stride;
        backward_row(dgate, dgate + F, static_cast<const T*>(dout) + n * dout_stride, gate, gate + F, F);
      });
    });
  });
}
