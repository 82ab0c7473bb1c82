// The algorithms that timing chose, in a file that later runs read: the same product is computed by the same algorithm,
// and a resumed run has the bits of one that was not interrupted.
// defines: ProductKey, product_key, PlanFile
#pragma once
#include <array>
#include <map>
#include <string>

#include "cublaslt_api.h"
#include "product.h"

namespace msm {

// What an algorithm is chosen for: dtypes, transposes, bias, beta, M, N, K, strides, batch.
using ProductKey = std::array<int64_t, 16>;
constexpr size_t KEY_M = 6;

// With M (at KEY_M) rounded up to a multiple of an eighth of the power of two below it (of 128 at least): prompts of
// all lengths share a few algorithms, so few are timed and a row's bits rarely depend on how many rows there are.
ProductKey product_key(const Product& product);

struct ChosenAlgorithm {
  cublasLtMatmulAlgo_t algo;
  float microseconds;
};

// ~/.cache/train-msm/cublaslt-<device>-<driver>-<version>.txt (XDG_CACHE_HOME instead of ~/.cache). A file that is not
// as `save` writes it is ignored, and written anew by the next save.
class PlanFile {
 public:
  // `device`: what distinguishes the GPU and its driver.
  PlanFile(const std::string& device, const std::string& version);
  const ChosenAlgorithm* find(const ProductKey& key) const;
  // Keeps the choice and writes the file, with what other processes have added to it since. A file that cannot be
  // written is said once on stderr.
  void add(const ProductKey& key, const ChosenAlgorithm& chosen);
  const std::string& path() const { return path_; }

 private:
  std::string path_;  // empty: there is no home folder
  std::map<ProductKey, ChosenAlgorithm> chosen_;
};

}  // namespace msm
