// Limit: memory. Forward: x and out once each, with a delta also delta and h: 4 (8) bytes an element in bf16. Backward:
// dout, h, dx and, if there is one, dresidual: 6 (8). One pass: what the sum needs stays in registers until the output.
// The weight comes from L1, rstd is 4 bytes a group.
// defines: msm_rmsnorm_forward, msm_rmsnorm_backward
#include "tile.cuh"

namespace msm {
namespace {

constexpr int VECTORS =
    2;  // of each input, that a thread holds: more would cost more warps than they bring bytes under way
constexpr unsigned MIN_LANES = 4;      // threads of a group: 64 consecutive bytes at a time
constexpr unsigned MAX_LANES = 512;    // groups of up to 8,192 bf16 are read once, longer ones twice
constexpr unsigned MIN_THREADS = 128;  // of a block: groups of few threads share it

__device__ __forceinline__ float sum_x(float x) {
  return reduce_x(x, [](float a, float b) { return a + b; });
}

// blockDim.x threads a group, blockDim.y groups a block. Threads beyond the last group only take part in the sums.
struct Group {
  int64_t index, row, column, size;

  __device__ Group(int64_t groups, uint32_t G, int64_t D)
      : index(static_cast<int64_t>(blockIdx.x) * blockDim.y + threadIdx.y), row(0), column(0), size(0) {
    if (index >= groups) return;
    const uint32_t i = static_cast<uint32_t>(index);  // more than 2^32 groups fit in no memory
    row = i / G;
    column = i % G * D;
    size = D;
  }
};

// once: a group is one tile.
template <class T, bool aligned, bool once>
__global__ void __launch_bounds__(MAX_LANES, aligned ? 2 : 1)
    forward_kernel(T* out, int64_t out_stride, float* rstd, T* h, int64_t h_stride, const T* x, int64_t x_stride,
                   const T* delta, int64_t delta_stride, const T* weight, float eps, int64_t groups, uint32_t G,
                   int64_t D) {
  const Group group(groups, G, D);
  x += group.row * x_stride + group.column;
  out += group.row * out_stride + group.column;
  if (delta) {
    delta += group.row * delta_stride + group.column;
    h += group.row * h_stride + group.column;
  }
  Tile<T, VECTORS, aligned> held, scale;
  float squares = 0;
  for (int64_t begin = 0; begin < D; begin = once ? D : begin + held.span()) {
    held.load(x, begin, group.size);
    scale.load(weight, begin, group.size);
    if (delta) {
      Tile<T, VECTORS, aligned> added;
      added.load(delta, begin, group.size);
#pragma unroll
      for (int v = 0; v < VECTORS; v++) {
        float a[VEC<T>], b[VEC<T>];
        unpack(a, held.at[v]);
        unpack(b, added.at[v]);
#pragma unroll
        for (int i = 0; i < VEC<T>; i++) a[i] += b[i];
        held.at[v] = pack(a);  // rounded: the backward sees no other
      }
      held.store(h, begin, group.size);
    }
#pragma unroll
    for (int v = 0; v < VECTORS; v++) {
      float a[VEC<T>];
      unpack(a, held.at[v]);
#pragma unroll
      for (int i = 0; i < VEC<T>; i++) squares = __fmaf_rn(a[i], a[i], squares);
    }
  }
  const float factor = 1.0f / sqrtf(sum_x(squares) / static_cast<float>(D) + eps);
  if (threadIdx.x == 0 && group.size > 0) rstd[group.index] = factor;
  for (int64_t begin = 0; begin < D; begin = once ? D : begin + held.span()) {
    if (!once) {
      held.load(delta ? h : x, begin, group.size);
      scale.load(weight, begin, group.size);
    }
#pragma unroll
    for (int v = 0; v < VECTORS; v++) {
      float a[VEC<T>], w[VEC<T>];
      unpack(a, held.at[v]);
      unpack(w, scale.at[v]);
#pragma unroll
      for (int i = 0; i < VEC<T>; i++) a[i] = a[i] * factor * w[i];
      held.at[v] = pack(a);
    }
    held.store(out, begin, group.size);
  }
}

// dx = dresidual + rstd (w dout - h slope), slope = rstd^2 mean(w dout h). Multiply-adds are spelled out: the compiler
// may contract the aligned and the unaligned kernel differently.
// once: a group is one tile.
template <class T, bool aligned, bool once>
__global__ void __launch_bounds__(MAX_LANES, aligned ? 2 : 1)
    backward_kernel(T* dx, int64_t dx_stride, const T* dout, int64_t dout_stride, const T* h, int64_t h_stride,
                    const T* weight, const float* rstd, const T* dresidual, int64_t dresidual_stride, int64_t groups,
                    uint32_t G, int64_t D) {
  const Group group(groups, G, D);
  dx += group.row * dx_stride + group.column;
  dout += group.row * dout_stride + group.column;
  h += group.row * h_stride + group.column;
  if (dresidual) dresidual += group.row * dresidual_stride + group.column;
  Tile<T, VECTORS, aligned> grad, held, scale, carried{};  // without a residual: zeros
  const auto load = [&](int64_t begin) {
    grad.load(dout, begin, group.size);
    held.load(h, begin, group.size);
    if (dresidual) carried.load(dresidual, begin, group.size);
    scale.load(weight, begin, group.size);
  };
  float products = 0;
  for (int64_t begin = 0; begin < D; begin = once ? D : begin + held.span()) {
    load(begin);
#pragma unroll
    for (int v = 0; v < VECTORS; v++) {
      float d[VEC<T>], a[VEC<T>], w[VEC<T>];
      unpack(d, grad.at[v]);
      unpack(a, held.at[v]);
      unpack(w, scale.at[v]);
#pragma unroll
      for (int i = 0; i < VEC<T>; i++) products = __fmaf_rn(__fmul_rn(w[i], d[i]), a[i], products);
    }
  }
  const float factor = group.size > 0 ? rstd[group.index] : 0.0f;
  const float slope = sum_x(products) / static_cast<float>(D) * factor * factor;
  for (int64_t begin = 0; begin < D; begin = once ? D : begin + held.span()) {
    if (!once) load(begin);
#pragma unroll
    for (int v = 0; v < VECTORS; v++) {
      float d[VEC<T>], a[VEC<T>], w[VEC<T>], r[VEC<T>];
      unpack(d, grad.at[v]);
      unpack(a, held.at[v]);
      unpack(w, scale.at[v]);
      unpack(r, carried.at[v]);
#pragma unroll
      for (int i = 0; i < VEC<T>; i++) r[i] = __fmaf_rn(factor, __fmaf_rn(w[i], d[i], -__fmul_rn(a[i], slope)), r[i]);
      grad.at[v] = pack(r);
    }
    grad.store(dx, begin, group.size);
  }
}

// Kernels: <aligned, once>, <aligned>, and for rows that are not aligned.
template <class T, class Kernel, class... A>
void launch_groups(msm_context* context, const char* op, const Kernel (&kernels)[3], bool aligned, int64_t groups,
                   int64_t D, A... args) {
  const int64_t wanted = ceil_div(ceil_div(D, VEC<T>), VECTORS);
  unsigned lanes = MIN_LANES;
  while (lanes < WARP && lanes < wanted) lanes *= 2;
  if (lanes < wanted) lanes = wanted < MAX_LANES ? static_cast<unsigned>(ceil_div(wanted, WARP)) * WARP : MAX_LANES;
  const dim3 block(lanes, lanes < MIN_THREADS ? MIN_THREADS / lanes : 1);
  const Kernel kernel = kernels[!aligned ? 2 : lanes < wanted ? 1 : 0];
  launch(context, op, kernel, dim3(static_cast<unsigned>(ceil_div(groups, block.y))), block, 0, args...);
}

template <class T>
void forward(msm_context* context, void* out, int64_t out_stride, float* rstd, void* h, int64_t h_stride, const void* x,
             int64_t x_stride, const void* delta, int64_t delta_stride, const void* weight, float eps, int64_t N,
             int64_t G, int64_t D) {
  static constexpr decltype(&forward_kernel<T, true, true>) kernels[] = {
      forward_kernel<T, true, true>, forward_kernel<T, true, false>, forward_kernel<T, false, false>};
  const bool aligned = D % VEC<T> == 0 && aligned16<T>(out, out_stride) && aligned16<T>(x, x_stride) &&
                       aligned16<T>(weight, 0) &&
                       (!delta || (aligned16<T>(h, h_stride) && aligned16<T>(delta, delta_stride)));
  launch_groups<T>(context, "rmsnorm_forward", kernels, aligned, N * G, D, static_cast<T*>(out), out_stride, rstd,
                   static_cast<T*>(h), h_stride, static_cast<const T*>(x), x_stride, static_cast<const T*>(delta),
                   delta_stride, static_cast<const T*>(weight), eps, N * G, G, D);
}

template <class T>
void backward(msm_context* context, void* dx, int64_t dx_stride, const void* dout, int64_t dout_stride, const void* h,
              int64_t h_stride, const void* weight, const float* rstd, const void* dresidual, int64_t dresidual_stride,
              int64_t N, int64_t G, int64_t D) {
  static constexpr decltype(&backward_kernel<T, true, true>) kernels[] = {
      backward_kernel<T, true, true>, backward_kernel<T, true, false>, backward_kernel<T, false, false>};
  const bool aligned = D % VEC<T> == 0 && aligned16<T>(dx, dx_stride) && aligned16<T>(dout, dout_stride) &&
                       aligned16<T>(h, h_stride) && aligned16<T>(weight, 0) &&
                       (!dresidual || aligned16<T>(dresidual, dresidual_stride));
  launch_groups<T>(context, "rmsnorm_backward", kernels, aligned, N * G, D, static_cast<T*>(dx), dx_stride,
                   static_cast<const T*>(dout), dout_stride, static_cast<const T*>(h), h_stride,
                   static_cast<const T*>(weight), rstd, static_cast<const T*>(dresidual), dresidual_stride, N * G, G,
                   D);
}

}  // namespace
}  // namespace msm

void msm_rmsnorm_forward(msm_context* context, int dtype, void* out, int64_t out_stride, float* rstd, void* h,
                         int64_t h_stride, const void* x, int64_t x_stride, const void* delta, int64_t delta_stride,
                         const void* weight, float eps, int64_t N, int64_t G, int64_t D) {
  const auto forward = dtype == MSM_F32 ? msm::forward<float> : msm::forward<msm::bf16>;
  forward(context, out, out_stride, rstd, h, h_stride, x, x_stride, delta, delta_stride, weight, eps, N, G, D);
}

void msm_rmsnorm_backward(msm_context* context, int dtype, void* dx, int64_t dx_stride, const void* dout,
                          int64_t dout_stride, const void* h, int64_t h_stride, const void* weight, const float* rstd,
                          const void* dresidual, int64_t dresidual_stride, int64_t N, int64_t G, int64_t D) {
  const auto backward = dtype == MSM_F32 ? msm::backward<float> : msm::backward<msm::bf16>;
  backward(context, dx, dx_stride, dout, dout_stride, h, h_stride, weight, rstd, dresidual, dresidual_stride, N, G, D);
}
