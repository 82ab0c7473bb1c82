// Attention for Hopper (sm_90a): bf16, heads of 64 and 128 elements, operands aligned to 16 bytes. Same contract and
// same formulas as attention_forward.cu and attention_backward.cu, which ask here first.
// defines: hopper_attention_forward, hopper_attention_backward, hopper_attention_backward_workspace
#pragma once
#include "context.h"

namespace msm {

// The arguments of msm_attention_forward. Returns false, with nothing enqueued, where the device, the switch
// MSM_HOPPER, the shape or an alignment rules this path out.
bool hopper_attention_forward(msm_context* context, int dtype, void* out, int64_t out_stride, float* lse, const void* q,
                              int64_t q_stride, const void* k, int64_t k_stride, const void* v, int64_t v_stride,
                              const int32_t* starts, float scale, int64_t N, int64_t H, int64_t K, int64_t E);

// The arguments of msm_attention_backward; false as above.
bool hopper_attention_backward(msm_context* context, int dtype, void* dq, int64_t dq_stride, void* dk,
                               int64_t dk_stride, void* dv, int64_t dv_stride, const void* dout, int64_t dout_stride,
                               const void* out, int64_t out_stride, const float* lse, const void* q, int64_t q_stride,
                               const void* k, int64_t k_stride, const void* v, int64_t v_stride, const int32_t* starts,
                               float scale, int64_t N, int64_t H, int64_t K, int64_t E, void* workspace,
                               int64_t workspace_bytes);

// Bytes that it needs of the op's workspace: msm_attention_backward_workspace is at least that.
int64_t hopper_attention_backward_workspace(int64_t N, int64_t H);

}  // namespace msm
