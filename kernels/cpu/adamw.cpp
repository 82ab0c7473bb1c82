// defines: msm_adamw
#include <cmath>

#include "context.h"
#include "rows.h"
#include "vec.h"

void msm_adamw(msm_context* context, float* params, const float* grads, float* m, float* v, const float* gradnorm,
               const float* hyper, int64_t count) {
  using namespace msm;
  enqueue(context, "adamw", [=] {
    if (!std::isfinite(*gradnorm)) return;
    const float lr = hyper[0], correction1 = hyper[1], correction2 = hyper[2], beta1 = hyper[3], beta2 = hyper[4],
                eps = hyper[5], weight_decay = hyper[6], clip_norm = hyper[7];
    const float factor = clip_norm / (*gradnorm + 1e-6f);
    const float clip = clip_norm > 0 && factor < 1 ? factor : 1;
    const float decay = 1 - lr * weight_decay, rate = lr / correction1, root = 1 / sqrtf(correction2);
    each_chunk(count, [&](int64_t begin, int64_t end) {
      each_vector(end - begin, [&](int64_t offset, auto n) {
        const int64_t i = begin + offset;
        const vf g = load(grads + i, n) * clip;
        const vf first = beta1 * load(m + i, n) + (1 - beta1) * g;
        const vf second = beta2 * load(v + i, n) + (1 - beta2) * g * g;
        store(m + i, first, n);
        store(v + i, second, n);
        store(params + i, load(params + i, n) * decay - rate * first / (msm::sqrt(second) * root + eps), n);
      });
    });
  });
}
