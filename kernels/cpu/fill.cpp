// defines: msm_fill
#include "context.h"
#include "rows.h"

void msm_fill(msm_context* context, void* dst, int value, int64_t bytes) {
  using namespace msm;
  enqueue(context, "fill", [=] {
    each_chunk(bytes, [&](int64_t begin, int64_t end) {
      memset(static_cast<char*>(dst) + begin, value, static_cast<size_t>(end - begin));
    });
  });
}
