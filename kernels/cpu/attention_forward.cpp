// defines: msm_attention_forward
#include "softmax.h"

void msm_attention_forward(msm_context* context, int dtype, void* out, int64_t out_stride, float* lse, const void* q,
                           int64_t q_stride, const void* k, int64_t k_stride, const void* v, int64_t v_stride,
                           const int32_t* starts, float scale, int64_t N, int64_t H, int64_t K, int64_t E) {
  using namespace msm;
  enqueue(context, "attention_forward", [=] {
    dispatch(dtype, [&](auto zero) {
      using T = decltype(zero);
      const int64_t group = H / K, step = task_rows(N, K);
      Range* ranges = static_cast<Range*>(scratch(SCRATCH_ROW, static_cast<size_t>(N) * sizeof(Range)));
      const int64_t count = cut_segments(ranges, starts, N, step);
      std::sort(ranges, ranges + count, [](Range a, Range b) {  // the most keys first
        const int32_t keys_a = a.begin - a.start, keys_b = b.begin - b.start;
        return keys_a != keys_b ? keys_a > keys_b : a.begin < b.begin;
      });
      run_in_order(count * K, [&](int64_t task) {
        const Range range = ranges[task / K];
        const int64_t kv = task % K, h = kv * group, rows = std::min<int64_t>(step, range.end - range.begin);
        Attend<T> attend;
        attend.q = static_cast<const T*>(q) + range.begin * q_stride + h * E;
        attend.q_stride = q_stride;
        attend.rows = rows;
        attend.heads = group;
        attend.E = E;
        attend.scale2 = scale * LOG2E;
        attend.begin();
        attend.add(static_cast<const T*>(k) + range.start * k_stride + kv * E, k_stride,
                   static_cast<const T*>(v) + range.start * v_stride + kv * E, v_stride, range.end - range.start,
                   range.begin - range.start + 1, 1);
        attend.finish(static_cast<T*>(out) + range.begin * out_stride + h * E, out_stride, lse + h * N + range.begin,
                      N);
      });
    });
  });
}
