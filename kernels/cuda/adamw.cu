// Limit: memory. params, m and v read and written, grads read: 28 bytes a parameter, 64 under way in each thread. The
// eight numbers of `hyper` come from L1.
// defines: msm_adamw
#include "tile.cuh"

namespace msm {
namespace {

constexpr unsigned THREADS = 256;

template <bool aligned>
__global__ void __launch_bounds__(THREADS) adamw_kernel(float* params, const float* grads, float* m, float* v,
                                                        const float* gradnorm, const float* hyper, int64_t count) {
  using Part = Tile<float, 1, aligned>;
  const int64_t begin = static_cast<int64_t>(blockIdx.x) * Part::span();
  Part param, grad, first, second;
  param.load(params, begin, count);
  grad.load(grads, begin, count);
  first.load(m, begin, count);
  second.load(v, begin, count);
  // After the loads, which need not wait for it.
  const float norm = *gradnorm;
  if (!(fabsf(norm) < INFINITY)) return;
  const float lr = hyper[0], correction1 = hyper[1], correction2 = hyper[2], beta1 = hyper[3], beta2 = hyper[4],
              eps = hyper[5], weight_decay = hyper[6], clip_norm = hyper[7];
  const float factor = clip_norm / (norm + 1e-6f), clip = clip_norm > 0 && factor < 1 ? factor : 1;
  const float decay = 1 - lr * weight_decay, rate = lr / correction1;
  float p[4], g[4], m1[4], m2[4];
  unpack(p, param.at[0]);
  unpack(g, grad.at[0]);
  unpack(m1, first.at[0]);
  unpack(m2, second.at[0]);
#pragma unroll
  for (int i = 0; i < 4; i++) {
    g[i] *= clip;
    // Spelled out: the compiler may contract the aligned and the unaligned kernel differently.
    m1[i] = __fmaf_rn(beta1, m1[i], __fmul_rn(1 - beta1, g[i]));
    m2[i] = __fmaf_rn(beta2, m2[i], __fmul_rn(__fmul_rn(1 - beta2, g[i]), g[i]));
    p[i] = __fmaf_rn(p[i], decay, -__fmul_rn(rate, m1[i] / (sqrtf(m2[i] / correction2) + eps)));
  }
  param.at[0] = pack(p);
  first.at[0] = pack(m1);
  second.at[0] = pack(m2);
  param.store(params, begin, count);
  first.store(m, begin, count);
  second.store(v, begin, count);
}

}  // namespace
}  // namespace msm

void msm_adamw(msm_context* context, float* params, const float* grads, float* m, float* v, const float* gradnorm,
               const float* hyper, int64_t count) {
  using namespace msm;
  bool aligned = count % VEC<float> == 0;
  for (const float* buffer :
       {static_cast<const float*>(params), grads, static_cast<const float*>(m), static_cast<const float*>(v)})
    aligned = aligned && aligned16<float>(buffer, 0);
  launch(context, "adamw", aligned ? adamw_kernel<true> : adamw_kernel<false>,
         dim3(static_cast<unsigned>(ceil_div(count, THREADS * VEC<float>))), dim3(THREADS), 0, params, grads, m, v,
         gradnorm, hyper, count);
}
