// defines: msm_swiglu_forward, msm_swiglu_backward
#include "context.h"
#include "vec.h"

namespace msm {
namespace {

vf sigmoid(vf x) { return 1.0f / (1.0f + exp(-x)); }

// Calls body(load, store offsets) over a row in whole vectors and one partial.
template <class T>
void forward_row(T* out, const T* gate, const T* up, int64_t F) {
  const auto step = [](vf g, vf u) { return g * sigmoid(g) * u; };
  int64_t f = 0;
  for (; f + W <= F; f += W) store(out + f, step(load(gate + f), load(up + f)));
  if (f < F) store_partial(out + f, step(load_partial(gate + f, F - f), load_partial(up + f, F - f)), F - f);
}

// d silu(g) = s (1 + g (1 - s)), s = sigmoid(g)
template <class T>
void backward_row(T* dgate, T* dup, const T* dout, const T* gate, const T* up, int64_t F) {
  const auto step = [](vf d, vf g, vf u, vf& dg, vf& du) {
    const vf s = sigmoid(g);
    du = d * g * s;
    dg = d * u * s * (1.0f + g * (1.0f - s));
  };
  vf dg, du;
  int64_t f = 0;
  for (; f + W <= F; f += W) {
    step(load(dout + f), load(gate + f), load(up + f), dg, du);
    store(dgate + f, dg);
    store(dup + f, du);
  }
  if (f < F) {
    const int64_t n = F - f;
    step(load_partial(dout + f, n), load_partial(gate + f, n), load_partial(up + f, n), dg, du);
    store_partial(dgate + f, dg, n);
    store_partial(dup + f, du, n);
  }
}

}  // namespace
}  // namespace msm

void msm_swiglu_forward(msm_context* context, int dtype, void* out, int64_t out_stride, const void* gate_up,
                        int64_t gate_up_stride, int64_t N, int64_t F) {
  using namespace msm;
  enqueue(context, "swiglu_forward", [=] {
    dispatch(dtype, [&](auto zero) {
      using T = decltype(zero);
#pragma omp parallel for schedule(static)
      for (int64_t n = 0; n < N; n++) {
        const T* gate = static_cast<const T*>(gate_up) + n * gate_up_stride;
        forward_row(static_cast<T*>(out) + n * out_stride, gate, gate + F, F);
      }
    });
  });
}

void msm_swiglu_backward(msm_context* context, int dtype, void* dgate_up, int64_t dgate_up_stride, const void* dout,
                         int64_t dout_stride, const void* gate_up, int64_t gate_up_stride, int64_t N, int64_t F) {
  using namespace msm;
  enqueue(context, "swiglu_backward", [=] {
    dispatch(dtype, [&](auto zero) {
      using T = decltype(zero);
#pragma omp parallel for schedule(static)
      for (int64_t n = 0; n < N; n++) {
        const T* gate = static_cast<const T*>(gate_up) + n * gate_up_stride;
        T* dgate = static_cast<T*>(dgate_up) + n * dgate_up_stride;
        backward_row(dgate, dgate + F, static_cast<const T*>(dout) + n * dout_stride, gate, gate + F, F);
      }
    });
  });
}
