// The matrix product inside a task of the stream (as msm_matmul, which enqueues it).
// defines: matmul
#pragma once
#include "vec.h"

namespace msm {

// The arguments of msm_matmul.
struct Product {
  int dtype, out_dtype;
  void* out;
  int64_t out_stride;
  const void* a;
  int64_t a_stride;
  int trans_a;
  const void* b;
  int64_t b_stride;
  int trans_b;
  const void* bias;
  float alpha, beta;
  int64_t M, N, K;
};

void matmul(const Product& product);

}  // namespace msm
