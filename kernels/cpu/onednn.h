// oneDNN for large matrix products, where libdnnl was there at build time and it is the faster one (matmul.cpp). MSM_ONEDNN=0 turns it off,
// MSM_ONEDNN=always asks it for every product.
#pragma once
#include <stdint.h>

namespace msm {

// Reads MSM_ONEDNN and limits oneDNN to the instruction set of this build. Called once by msm_open.
void onednn_open();

// "2.6.0", or null where it is absent or turned off.
const char* onednn_version();

// Whether every product is to go to oneDNN (to test it where it would not be chosen).
bool onednn_forced();

// out = alpha a' b' + beta out as msm_matmul (without the bias). False where oneDNN does not do this product: nothing was written.
bool onednn_matmul(int dtype, int out_dtype, void* out, int64_t out_stride, const void* a, int64_t a_stride, int trans_a,
                   const void* b, int64_t b_stride, int trans_b, float alpha, float beta, int64_t M, int64_t N, int64_t K);

}  // namespace msm
