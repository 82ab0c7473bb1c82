// defines: msm_sample
#include <algorithm>

#include "context.h"
#include "vec.h"

namespace msm {
namespace {

// Tokens are sorted by distance from the largest logit into buckets 1 / RESOLUTION wide (the last takes the rest), so
// that only the bucket that a cumulative sum ends in has to be sorted.
constexpr int BUCKETS = 2048;
constexpr float RESOLUTION = 64.0f;

struct Token {
  float logit;
  int32_t id;
};

struct Row {
  const float* logits;
  int64_t V;
  float largest, inverse_temperature;
  double* mass;   // [BUCKETS], relative to the largest
  Token* tokens;  // room for V

  vf distance(vf logit) const { return (largest - logit) * inverse_temperature; }

  static int bucket(float distance) {
    const float x = distance * RESOLUTION;
    return x < BUCKETS - 1 ? static_cast<int>(x) : BUCKETS - 1;  // the last for NaN too
  }

  void fill_buckets() {
    std::fill(mass, mass + BUCKETS, 0.0);
    each_vector(V, [&](int64_t i, auto n) {
      const vf far = distance(load(logits + i, n)), weight = exp(-far);
      for (int64_t j = 0; j < std::min<int64_t>(V - i, W); j++) mass[bucket(far[j])] += weight[j];
    });
  }

  // A bucket's tokens, most likely first.
  int64_t sort_bucket(int wanted) {
    int64_t count = 0;
    each_vector(V, [&](int64_t i, auto n) {
      const vf far = distance(load(logits + i, n));
      for (int64_t j = 0; j < std::min<int64_t>(V - i, W); j++)
        if (bucket(far[j]) == wanted) tokens[count++] = {logits[i + j], static_cast<int32_t>(i + j)};
    });
    std::sort(tokens, tokens + count,
              [](Token a, Token b) { return a.logit != b.logit ? a.logit > b.logit : a.id < b.id; });
    return count;
  }

  // The first token, most likely first, at which the cumulative sum is `enough` (-1: none is). Returns the sum.
  template <class F>
  double walk(F enough, int32_t& id) {
    double before = 0;
    id = -1;
    for (int b = 0; b < BUCKETS; b++) {
      if (!enough(before + mass[b])) {
        before += mass[b];
        continue;
      }
      const int64_t count = sort_bucket(b);
      for (int64_t i = 0; i < count; i++) {
        before += exp(-distance(splat(tokens[i].logit)))[0];
        id = tokens[i].id;
        if (enough(before)) break;
      }
      return before;
    }
    return before;
  }

  int32_t draw(float top_p, float uniform) {
    fill_buckets();
    double kept = 0;
    int32_t id;
    if (top_p < 1) {
      for (int b = 0; b < BUCKETS; b++) kept += mass[b];
      const double target = top_p * kept;
      kept = walk([=](double sum) { return sum >= target; }, id);
    } else {
      for (int b = 0; b < BUCKETS; b++) kept += mass[b];
    }
    const double target = uniform * kept;
    walk([=](double sum) { return sum > target; }, id);
    return id;
  }
};

float largest_of(const float* x, int64_t count) {
  vf largest = splat(-INFINITY);
  each_vector(count, [&](int64_t i, auto n) {
    const vf v = load(x + i, n);
    if constexpr (std::is_same<decltype(n), Whole>::value) largest = max(largest, v);
    else largest = max(largest, lanes() < static_cast<int32_t>(n) ? v : splat(-INFINITY));
  });
  return max(largest);
}

double exp_sum(const float* x, int64_t count, float largest) {
  constexpr int64_t SHORT = 1024;  // few enough for a sum in f32
  double total = 0;
  for (int64_t begin = 0; begin < count; begin += SHORT) {
    vf part = {};
    each_vector(std::min(count - begin, SHORT), [&](int64_t i, auto n) {
      const vf e = exp(load(x + begin + i, n) - largest);
      if constexpr (std::is_same<decltype(n), Whole>::value) part += e;
      else part += lanes() < static_cast<int32_t>(n) ? e : vf{};
    });
    total += sum(part);
  }
  return total;
}

}  // namespace
}  // namespace msm

void msm_sample(msm_context* context, int32_t* ids, float* logprobs, const float* logits, int64_t logits_stride,
                const float* temperature, const float* top_p, const float* uniforms, int64_t B, int64_t V) {
  using namespace msm;
  enqueue(context, "sample", [=] {
#pragma omp parallel for schedule(dynamic) if (B > 1)
    for (int64_t b = 0; b < B; b++) {
      const float* row = logits + b * logits_stride;
      const float largest = largest_of(row, V);
      int32_t id = -1;
      if (temperature[b] > 0) {
        double* mass = static_cast<double*>(scratch(SCRATCH_ROW, BUCKETS * sizeof(double)));
        Token* tokens = static_cast<Token*>(scratch(SCRATCH_TILE, static_cast<size_t>(V) * sizeof(Token)));
        id = Row{row, V, largest, 1.0f / temperature[b], mass, tokens}.draw(top_p[b], uniforms[b]);
      }
      if (id < 0) {  // greedy, or nothing to draw from: no finite logit
        for (id = 0; id < V && row[id] != largest;) id++;
        if (id == V) id = 0;
      }
      ids[b] = id;
      logprobs[b] = row[id] - largest - static_cast<float>(::log(exp_sum(row, V, largest)));
    }
  });
}
