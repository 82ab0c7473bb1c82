// defines: msm_matmul, multiply
//
// Large products go to cuBLASLt (cublaslt.h) where it is found and the operands' alignment allows it. Built in are thin
// ones, whose one side is at most THIN: they are bound by memory, have too few tiles to fill a device unless K is split
// too, and are what decoding multiplies, whose rows must not depend on how many there are; and all others where there
// is no cuBLASLt.
#include "cublaslt.h"
#include "gemm_bf16.cuh"
#include "gemm_f32.cuh"
#ifdef MSM_EMULATED
#include "emulator/plain_gemm.h"
#endif

namespace msm {
namespace {

// Rows and columns of a block's tile of out, its warps, buffers, and how many such blocks share a multiprocessor of
// sm_80 and sm_90.
using Square = GemmTile<128, 128, 2, 4, 3, 1>;
using Tall = GemmTile<128, 64, 4, 2, 3, 2>;
using Wide = GemmTile<64, 128, 2, 4, 3, 2>;
using Row = GemmTile<16, 64, 1, 4, 4, 4>;  // decoding

constexpr int64_t THIN = 128;
constexpr int64_t MIN_DEPTH = 64;  // below it a product only writes out

template <class T>
using Kernel = void (*)(Operands<T>, Output);

template <class T>
void launch_tiles(msm_context* context, const char* op, Kernel<T> kernel, int64_t BM, int64_t BN, unsigned threads,
                  size_t shared_bytes, const Operands<T>& in, Output to) {
  const int64_t rows = ceil_div(in.M, BM), cols = ceil_div(in.N, BN), slices = ceil_div(in.K, in.slice);
  if (slices > 1 && rows * cols < 2 * device(context).multiprocessors && rows * cols <= COUNTERS &&
      slices * in.M * in.N * 4 <= WORKSPACE_BYTES) {
    to.partial = static_cast<float*>(workspace(context));
    to.counters = counters(context);
  }
  const dim3 grid(static_cast<unsigned>(rows), static_cast<unsigned>(cols),
                  static_cast<unsigned>(to.partial ? slices : 1));
  launch(context, op, kernel, grid, threads, shared_bytes, in, to);
}

template <class T, bool aligned>
void launch_bf16(msm_context* context, const char* op, const Product& p, const Operands<bf16>& in, const Output& to) {
  const Kernel<bf16> kernel = p.trans_a   ? gemm_bf16_kernel<T, true, false, aligned>
                              : p.trans_b ? gemm_bf16_kernel<T, false, true, aligned>
                                          : gemm_bf16_kernel<T, false, false, aligned>;
  launch_tiles(context, op, kernel, T::BM, T::BN, T::THREADS, T::SHARED_BYTES, in, to);
}

// Whether 16-byte copies can fetch the operands: rows begin at such addresses and have whole chunks.
template <class T>
bool has_whole_chunks(const Product& p) {
  const int64_t a_cols = p.trans_a ? p.M : p.K, b_cols = p.trans_b ? p.K : p.N;
  return aligned16<T>(p.a, p.a_stride) && aligned16<T>(p.b, p.b_stride) && a_cols % VEC<T> == 0 && b_cols % VEC<T> == 0;
}

template <class T>
Operands<T> operands(const Product& p) {
  return {static_cast<const T*>(p.a), static_cast<const T*>(p.b), p.a_stride, p.b_stride, p.M, p.N, p.K, slice_of(p.K)};
}

void multiply_built_in(msm_context* context, const char* op, const Product& p) {
  const Output to = {p.out, p.out_stride, p.bias, p.alpha, p.beta, p.out_dtype == MSM_F32, nullptr, nullptr};
#ifdef MSM_EMULATED
  if (p.M * p.N * p.K > PLAIN_GEMM) return multiply_plainly(context, op, p, to);
#endif
  if (p.dtype == MSM_F32) {
    const Kernel<float> kernel = p.trans_a   ? gemm_f32_kernel<true, false>
                                 : p.trans_b ? gemm_f32_kernel<false, true>
                                             : gemm_f32_kernel<false, false>;
    return launch_tiles(context, op, kernel, F32_TILE, F32_TILE, F32_THREADS, 0, operands<float>(p), to);
  }
  const Operands<bf16> in = operands<bf16>(p);
  if (!has_whole_chunks<bf16>(p)) return launch_bf16<Tall, false>(context, op, p, in, to);
  if (p.M <= Row::BM) return launch_bf16<Row, true>(context, op, p, in, to);
  if (p.M <= Wide::BM) return launch_bf16<Wide, true>(context, op, p, in, to);
  if (p.N <= Tall::BN) return launch_bf16<Tall, true>(context, op, p, in, to);
  launch_bf16<Square, true>(context, op, p, in, to);
}

// The i-th product of a batch.
Product element(Product p, int64_t i) {
  const int64_t size = p.dtype == MSM_F32 ? 4 : 2, out_size = p.out_dtype == MSM_F32 ? 4 : 2;
  p.out = static_cast<char*>(p.out) + i * p.out_batch * out_size;
  p.a = static_cast<const char*>(p.a) + i * p.a_batch * size;
  p.b = static_cast<const char*>(p.b) + i * p.b_batch * size;
  p.batch = 1;
  return p;
}

}  // namespace

void multiply(msm_context* context, const char* op, const Product& p) {
  if (p.M == 0 || p.N == 0) return;
  const bool is_large = p.M > THIN && p.N > THIN && p.K >= MIN_DEPTH;
  if (is_large && cublaslt_multiply(context, op, p)) return count_call(context, op, "cuBLASLt");
  count_call(context, op, is_large ? "built in" : "built in, thin");
  for (int64_t i = 0; i < p.batch; i++) multiply_built_in(context, op, element(p, i));
}

}  // namespace msm

void msm_matmul(msm_context* context, int dtype, int out_dtype, void* out, int64_t out_stride, const void* a,
                int64_t a_stride, int trans_a, const void* b, int64_t b_stride, int trans_b, const void* bias,
                float alpha, float beta, int64_t M, int64_t N, int64_t K) {
  msm::Product product{};
  product.dtype = dtype;
  product.out_dtype = out_dtype;
  product.out = out;
  product.out_stride = out_stride;
  product.a = a;
  product.a_stride = a_stride;
  product.trans_a = trans_a != 0;
  product.b = b;
  product.b_stride = b_stride;
  product.trans_b = trans_b != 0;
  product.bias = bias;
  product.alpha = alpha;
  product.beta = beta;
  product.M = M;
  product.N = N;
  product.K = K;
  msm::multiply(context, "matmul", product);
}
