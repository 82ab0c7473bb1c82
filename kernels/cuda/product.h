// A matrix product as msm_matmul describes it, and a batch of them; for the ops that are made of products.
// defines: Product, multiply
#pragma once
#include "context.h"

namespace msm {

// out[m, n] = alpha * sum_k a'[m, k] b'[k, n] + bias[n] + beta * out[m, n]: the arguments of msm_matmul.
struct Product {
  int dtype, out_dtype;
  void* out;
  int64_t out_stride;
  const void* a;
  int64_t a_stride;
  bool trans_a;
  const void* b;
  int64_t b_stride;
  bool trans_b;
  const void* bias;
  float alpha, beta;
  int64_t M, N, K;
  // Products of one shape side by side, elements apart.
  int64_t batch = 1, out_batch = 0, a_batch = 0, b_batch = 0;
};

// Enqueues the product under the op's name. May use workspace(context). A row's bits depend on K and the operands alone
// where the product is built in; cuBLASLt (cublaslt.h) promises that for a given shape.
void multiply(msm_context* context, const char* op, const Product& product);

}  // namespace msm
