// Limit: memory, 4 bytes a gradient. f64 costs a conversion and a fused multiply-add each, a quarter of what an H100
// has time for (and the limit itself on GPUs that have almost no f64). Two launches: partial sums, as many as the count
// alone says, then one block that adds them.
// defines: msm_gradnorm
#include "tile.cuh"

namespace msm {
namespace {

constexpr unsigned THREADS = 256;
constexpr int VECTORS = 4;  // that a thread has under way
constexpr int64_t MAX_PARTIALS =
    1024;  // fills the large GPUs once; a constant, so that every GPU adds in the same order

__device__ __forceinline__ double sum_x(double x) {
  return reduce_x(x, [](double a, double b) { return a + b; });
}

template <bool aligned>
__global__ void __launch_bounds__(THREADS) partial_kernel(double* partial, const float* grads, int64_t count) {
  using Part = Tile<float, VECTORS, aligned>;
  double squares = 0;
  for (int64_t begin = static_cast<int64_t>(blockIdx.x) * Part::span(); begin < count;
       begin += static_cast<int64_t>(gridDim.x) * Part::span()) {
    Part part;
    part.load(grads, begin, count);
#pragma unroll
    for (int v = 0; v < VECTORS; v++) {
      float g[4];
      unpack(g, part.at[v]);
#pragma unroll
      for (int i = 0; i < 4; i++) squares += static_cast<double>(g[i]) * static_cast<double>(g[i]);
    }
  }
  squares = sum_x(squares);
  if (threadIdx.x == 0) partial[blockIdx.x] = squares;
}

__global__ void __launch_bounds__(THREADS) total_kernel(float* out, const double* partial, int partials) {
  double squares = 0;
  for (int i = static_cast<int>(threadIdx.x); i < partials; i += static_cast<int>(THREADS)) squares += partial[i];
  squares = sum_x(squares);
  if (threadIdx.x == 0) *out = static_cast<float>(sqrt(squares));
}

}  // namespace
}  // namespace msm

void msm_gradnorm(msm_context* context, float* out, const float* grads, int64_t count) {
  using namespace msm;
  double* const partial = static_cast<double*>(workspace(context));
  const int64_t tiles = ceil_div(count, THREADS * VECTORS * VEC<float>),
                partials = tiles < MAX_PARTIALS ? tiles : MAX_PARTIALS;
  const bool aligned = count % VEC<float> == 0 && aligned16<float>(grads, 0);
  launch(context, "gradnorm", aligned ? partial_kernel<true> : partial_kernel<false>,
         dim3(static_cast<unsigned>(partials)), dim3(THREADS), 0, partial, grads, count);
  launch(context, "gradnorm", total_kernel, dim3(1), dim3(THREADS), 0, out, partial, partials);
}
