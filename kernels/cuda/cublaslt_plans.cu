// defines: product_key, PlanFile
#include "cublaslt_plans.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

namespace msm {

namespace {

// The first line; the number changes with ProductKey and the lines below.
constexpr char HEADER[] = "train-msm cublaslt algorithms 1\n";

int64_t shared_rows(int64_t M) {
  int64_t step = 128;
  while (step * 16 <= M) step *= 2;
  return ceil_div(M, step) * step;
}

std::string folder() {
  const char* const cache = getenv("XDG_CACHE_HOME");
  if (cache && *cache) return std::string(cache) + "/train-msm";
  const char* const home = getenv("HOME");
  return home && *home ? std::string(home) + "/.cache/train-msm" : "";
}

using Chosen = std::map<ProductKey, ChosenAlgorithm>;

// A line is the key, the algorithm's bytes and the time: decimal, hexadecimal, decimal numbers with one space between
// them.
void write_line(FILE* file, const ProductKey& key, const ChosenAlgorithm& chosen) {
  for (const int64_t field : key) fprintf(file, "%lld ", static_cast<long long>(field));
  for (const uint64_t word : chosen.algo.data) fprintf(file, "%016llx ", static_cast<unsigned long long>(word));
  fprintf(file, "%.1f\n", static_cast<double>(chosen.microseconds));
}

bool read_line(FILE* file, ProductKey& key, ChosenAlgorithm& chosen) {
  for (int64_t& field : key) {
    long long value;
    if (fscanf(file, "%lld", &value) != 1) return false;
    field = value;
  }
  for (uint64_t& word : chosen.algo.data) {
    unsigned long long value;
    if (fscanf(file, "%llx", &value) != 1) return false;
    word = value;
  }
  return fscanf(file, "%f", &chosen.microseconds) == 1 && fgetc(file) == '\n';
}

// Nothing where there is no file, or one that was not written as it is now.
Chosen read_file(const std::string& path) {
  Chosen chosen;
  FILE* const file = fopen(path.c_str(), "r");
  if (!file) return chosen;
  char header[sizeof HEADER] = {};
  bool is_whole = fgets(header, sizeof header, file) && strcmp(header, HEADER) == 0;
  for (int next; is_whole && (next = fgetc(file)) != EOF;) {
    ungetc(next, file);
    ProductKey key;
    ChosenAlgorithm one;
    is_whole = read_line(file, key, one);
    if (is_whole) chosen[key] = one;
  }
  fclose(file);
  return is_whole ? chosen : Chosen{};
}

// Under a temporary name, then renamed: readers see the old file or the new one. Returns 0 or an errno.
int write_file(const std::string& path, const Chosen& chosen) {
  const std::string parent = path.substr(0, path.rfind('/')), temporary = path + "." + std::to_string(getpid());
  mkdir(parent.substr(0, parent.rfind('/')).c_str(), 0777);  // where these fail, fopen says why
  mkdir(parent.c_str(), 0777);
  FILE* const file = fopen(temporary.c_str(), "w");
  if (!file) return errno;
  fputs(HEADER, file);
  for (const auto& [key, one] : chosen) write_line(file, key, one);
  const bool is_written = fflush(file) == 0 && fsync(fileno(file)) == 0;
  if (fclose(file) == 0 && is_written && rename(temporary.c_str(), path.c_str()) == 0) return 0;
  const int problem = errno;
  unlink(temporary.c_str());
  return problem;
}

}  // namespace

ProductKey product_key(const Product& p) {
  return {p.dtype,    p.out_dtype, p.trans_a,    p.trans_b, p.bias != nullptr, p.beta != 0, shared_rows(p.M), p.N, p.K,
          p.a_stride, p.b_stride,  p.out_stride, p.batch,   p.a_batch,         p.b_batch,   p.out_batch};
}

PlanFile::PlanFile(const std::string& device, const std::string& version) {
  std::string name = "cublaslt-" + device + "-" + version;
  for (char& letter : name)
    if (!isalnum(static_cast<unsigned char>(letter)) && letter != '.' && letter != '-') letter = '_';
  const std::string parent = folder();
  if (parent.empty()) return;
  path_ = parent + "/" + name + ".txt";
  chosen_ = read_file(path_);
}

const ChosenAlgorithm* PlanFile::find(const ProductKey& key) const {
  const auto found = chosen_.find(key);
  return found == chosen_.end() ? nullptr : &found->second;
}

void PlanFile::add(const ProductKey& key, const ChosenAlgorithm& chosen) {
  chosen_[key] = chosen;
  Chosen all = chosen_;
  if (!path_.empty()) all.merge(read_file(path_));
  const int problem = path_.empty() ? ENOENT : write_file(path_, all);
  static bool is_said = false;
  if (problem && !is_said)
    fprintf(stderr,
            "cuBLASLt algorithms cannot be kept in %s (%s): each run times them again, and a resumed run may differ in "
            "the last bits\n",
            path_.empty() ? "XDG_CACHE_HOME or HOME, which are not set" : path_.c_str(), strerror(problem));
  is_said = is_said || problem;
}

}  // namespace msm
