#include "onednn.h"
namespace msm {
void onednn_open() {}
const char* onednn_version() { return nullptr; }
bool onednn_matmul(int, int, void*, int64_t, const void*, int64_t, int, const void*, int64_t, int, float, float, int64_t, int64_t, int64_t) { return false; }
}  // namespace msm
