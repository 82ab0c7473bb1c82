// Limit: memory. Forward: gate, up and out once: 6 bytes an element of F in bf16. Backward: dout, gate, up, dgate and
// dup: 10.
// defines: msm_swiglu_forward, msm_swiglu_backward
#include "tile.cuh"

namespace msm {
namespace {

constexpr unsigned THREADS = 128;
constexpr int VECTORS = 2;  // of each input that a thread holds
// The 1 of __launch_bounds__ keeps the compiler from saving registers by loading one vector after the other.

// exp(-x) overflows below -88: 1 / inf = 0 is right there.
__device__ __forceinline__ float sigmoid(float x) { return __fdividef(1.0f, 1.0f + expf(-x)); }

// A block takes one of the `tiles` parts of a row.
template <class T, bool aligned>
__global__ void __launch_bounds__(THREADS, 1)
    forward_kernel(T* out, int64_t out_stride, const T* gate_up, int64_t gate_up_stride, uint32_t tiles, int64_t F) {
  using Part = Tile<T, VECTORS, aligned>;
  const int64_t n = blockIdx.x / tiles, begin = static_cast<int64_t>(blockIdx.x % tiles) * Part::span();
  const T* const row = gate_up + n * gate_up_stride;
  Part gate, up;
  gate.load(row, begin, F);
  up.load(row + F, begin, F);
#pragma unroll
  for (int v = 0; v < VECTORS; v++) {
    float g[VEC<T>], u[VEC<T>];
    unpack(g, gate.at[v]);
    unpack(u, up.at[v]);
#pragma unroll
    for (int i = 0; i < VEC<T>; i++) g[i] = g[i] * sigmoid(g[i]) * u[i];
    gate.at[v] = pack(g);
  }
  gate.store(out + n * out_stride, begin, F);
}

// dgate = dout up s (1 + gate (1 - s)), dup = dout gate s, s = sigmoid(gate)
template <class T, bool aligned>
__global__ void __launch_bounds__(THREADS, 1)
    backward_kernel(T* dgate_up, int64_t dgate_up_stride, const T* dout, int64_t dout_stride, const T* gate_up,
                    int64_t gate_up_stride, uint32_t tiles, int64_t F) {
  using Part = Tile<T, VECTORS, aligned>;
  const int64_t n = blockIdx.x / tiles, begin = static_cast<int64_t>(blockIdx.x % tiles) * Part::span();
  const T* const row = gate_up + n * gate_up_stride;
  Part gate, up, grad;
  gate.load(row, begin, F);
  up.load(row + F, begin, F);
  grad.load(dout + n * dout_stride, begin, F);
#pragma unroll
  for (int v = 0; v < VECTORS; v++) {
    float g[VEC<T>], u[VEC<T>], d[VEC<T>];
    unpack(g, gate.at[v]);
    unpack(u, up.at[v]);
    unpack(d, grad.at[v]);
#pragma unroll
    for (int i = 0; i < VEC<T>; i++) {
      const float s = sigmoid(g[i]), up_grad = d[i] * g[i] * s;
      g[i] = d[i] * u[i] * s * (1.0f + g[i] * (1.0f - s));
      u[i] = up_grad;
    }
    gate.at[v] = pack(g);
    up.at[v] = pack(u);
  }
  T* const target = dgate_up + n * dgate_up_stride;
  gate.store(target, begin, F);
  up.store(target + F, begin, F);
}

template <class T>
uint32_t tiles_of(int64_t F) {
  return static_cast<uint32_t>(ceil_div(F, THREADS * VECTORS * VEC<T>));
}

template <class T>
void forward(msm_context* context, void* out, int64_t out_stride, const void* gate_up, int64_t gate_up_stride,
             int64_t N, int64_t F) {
  const bool aligned = F % VEC<T> == 0 && aligned16<T>(out, out_stride) && aligned16<T>(gate_up, gate_up_stride);
  launch(context, "swiglu_forward", aligned ? forward_kernel<T, true> : forward_kernel<T, false>,
         dim3(static_cast<unsigned>(N * tiles_of<T>(F))), dim3(THREADS), 0, static_cast<T*>(out), out_stride,
         static_cast<const T*>(gate_up), gate_up_stride, tiles_of<T>(F), F);
}

template <class T>
void backward(msm_context* context, void* dgate_up, int64_t dgate_up_stride, const void* dout, int64_t dout_stride,
              const void* gate_up, int64_t gate_up_stride, int64_t N, int64_t F) {
  const bool aligned = F % VEC<T> == 0 && aligned16<T>(dgate_up, dgate_up_stride) && aligned16<T>(dout, dout_stride) &&
                       aligned16<T>(gate_up, gate_up_stride);
  launch(context, "swiglu_backward", aligned ? backward_kernel<T, true> : backward_kernel<T, false>,
         dim3(static_cast<unsigned>(N * tiles_of<T>(F))), dim3(THREADS), 0, static_cast<T*>(dgate_up), dgate_up_stride,
         static_cast<const T*>(dout), dout_stride, static_cast<const T*>(gate_up), gate_up_stride, tiles_of<T>(F), F);
}

}  // namespace
}  // namespace msm

void msm_swiglu_forward(msm_context* context, int dtype, void* out, int64_t out_stride, const void* gate_up,
                        int64_t gate_up_stride, int64_t N, int64_t F) {
  const auto forward = dtype == MSM_F32 ? msm::forward<float> : msm::forward<msm::bf16>;
  forward(context, out, out_stride, gate_up, gate_up_stride, N, F);
}

void msm_swiglu_backward(msm_context* context, int dtype, void* dgate_up, int64_t dgate_up_stride, const void* dout,
                         int64_t dout_stride, const void* gate_up, int64_t gate_up_stride, int64_t N, int64_t F) {
  const auto backward = dtype == MSM_F32 ? msm::backward<float> : msm::backward<msm::bf16>;
  backward(context, dgate_up, dgate_up_stride, dout, dout_stride, gate_up, gate_up_stride, N, F);
}
