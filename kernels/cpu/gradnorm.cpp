// defines: msm_gradnorm
#include "context.h"
#include "rows.h"
#include "vec.h"

namespace msm {
namespace {

typedef double vd __attribute__((vector_size(8 * W)));

double square_sum(const float* x, int64_t count) {
  vd squares = {};
  each_vector(count, [&](int64_t i, auto n) {
    const vd v = __builtin_convertvector(load(x + i, n), vd);
    squares += v * v;
  });
  double total = 0;
  for (int i = 0; i < W; i++) total += squares[i];
  return total;
}

}  // namespace
}  // namespace msm

void msm_gradnorm(msm_context* context, float* out, const float* grads, int64_t count) {
  using namespace msm;
  enqueue(context, "gradnorm", [=] {
    const int64_t chunks = (count + CHUNK - 1) / CHUNK;
    double* partial = static_cast<double*>(scratch(SCRATCH_ROW, static_cast<size_t>(chunks + 1) * sizeof(double)));
    each_chunk(count,
               [&](int64_t begin, int64_t end) { partial[begin / CHUNK] = square_sum(grads + begin, end - begin); });
    double total = 0;
    for (int64_t i = 0; i < chunks; i++) total += partial[i];
    *out = static_cast<float>(::sqrt(total));
  });
}
