// Exact, and without sorting a row: the weights of its tokens become whole numbers, and ranges of tokens are narrowed
// down by sums of weights.
//   1. peak_kernel       a block per chunk of a row: largest logit, its index, sum of exponentials. Temperature 0 needs
//   no more.
//   2. histogram_kernel  a block per chunk: weight = exp((logit - largest) / temperature) in units of 2^-44, summed by
//   distance from the largest logit. 3. pick_kernel       a block per row: adds the chunks' histograms; finds the
//   bucket in which a sum ends, and in it the token, first for top_p, which
//                        says what is kept, then for the uniform number. It reads the chunks that have a part of the
//                        bucket, in most cases few.
// Limit: memory, 4 bytes a logit for 1; 2 and 3 find them in L2 and are limited by arithmetic and latency, some
// microseconds each.
// defines: msm_sample
#include "sample_select.cuh"

namespace msm {
namespace sampling {
namespace {

template <bool aligned>
__global__ void __launch_bounds__(MAX_THREADS)
    peak_kernel(Peak* peaks, const float* logits, int64_t logits_stride, int32_t V) {
  Chunk<aligned> chunk;
  chunk.read(logits + blockIdx.y * logits_stride, blockIdx.x, V);
  float largest = -INFINITY, sum = 0;
  int32_t id = V;
  each_logit(chunk, [&](float logit, int32_t) { largest = fmaxf(largest, logit); });
  largest = reduce_x(largest, [](float a, float b) { return fmaxf(a, b); });
  each_logit(chunk, [&](float logit, int32_t i) {
    sum += expf(logit - finite(largest));
    if (logit == largest && i < id) id = i;
  });
  sum = reduce_x(sum, [](float a, float b) { return a + b; });
  id = reduce_x(id, [](int32_t a, int32_t b) { return a < b ? a : b; });
  if (threadIdx.x == 0) peaks[blockIdx.y * gridDim.x + blockIdx.x] = {largest, sum, id};
}

// Of a row, from those of its chunks.
__device__ __forceinline__ Peak row_peak(const Peak* peaks, int chunks, int32_t V) {
  Peak row{-INFINITY, 0, V};
  for (int c = 0; c < chunks; c++) {
    if (!(peaks[c].largest > row.largest) && row.id < V) continue;
    row.largest = peaks[c].largest;
    row.id = peaks[c].id;
  }
  for (int c = 0; c < chunks; c++) row.sum += peaks[c].sum * expf(peaks[c].largest - finite(row.largest));
  return row;
}

template <bool aligned>
__global__ void __launch_bounds__(MAX_THREADS)
    histogram_kernel(Sum* histograms, const Peak* peaks, const float* logits, int64_t logits_stride,
                     const float* temperature, float unit, int32_t V) {
  const float t = temperature[blockIdx.y];
  if (!(t > 0)) return;
  __shared__ Sum buckets[BUCKETS];
  Chunk<aligned> chunk;
  chunk.read(logits + blockIdx.y * logits_stride, blockIdx.x, V);
  for (int b = threadIdx.x; b < BUCKETS; b += blockDim.x) buckets[b].set(0);
  __syncthreads();
  const Weights weights{row_peak(peaks + blockIdx.y * gridDim.x, gridDim.x, V).largest, 1.0f / t, unit};
  each_logit(chunk, [&](float logit, int32_t) { buckets[weights.bucket(logit)].add(weights.of(logit)); });
  __syncthreads();
  histograms += static_cast<int64_t>(blockIdx.y * gridDim.x + blockIdx.x) * BUCKETS;
  for (int b = threadIdx.x; b < BUCKETS; b += blockDim.x) histograms[b] = buckets[b];
}

template <bool aligned>
__global__ void __launch_bounds__(MAX_THREADS)
    pick_kernel(int32_t* ids, float* logprobs, const Sum* histograms, const Peak* peaks, const float* logits,
                int64_t logits_stride, const float* temperature, const float* top_p, const float* uniforms, float unit,
                int32_t V, int chunks) {
  __shared__ Selection shared;
  const int64_t b = blockIdx.x;
  const Peak peak = row_peak(peaks + b * chunks, chunks, V);
  int32_t id = peak.id < V ? peak.id : 0;
  logits += b * logits_stride;
  if (temperature[b] > 0) {
    const Row<aligned> row{
        logits, histograms + b * chunks * BUCKETS, {peak.largest, 1.0f / temperature[b], unit}, V, chunks};
    uint64_t kept = row.add_up(shared);
    // What top_p keeps, then the token. A sum of 0: there is no finite logit to draw.
    for (int step = top_p[b] < 1 ? 0 : 1; step < 2 && kept > 0; step++) {
      const double part = static_cast<double>(step == 0 ? top_p[b] : uniforms[b]) * static_cast<double>(kept);
      const uint64_t need = static_cast<uint64_t>(step == 0 ? ceil(part) : floor(part) + 1);
      const Choice choice = row.select(need < 1 ? 1 : need < kept ? need : kept, shared);
      if (step == 0) kept = choice.sum;
      else id = choice.id;
    }
  }
  if (threadIdx.x != 0) return;
  ids[b] = id;
  logprobs[b] = logits[id] - peak.largest - logf(peak.sum);
}

template <bool aligned>
void sample(msm_context* context, int32_t* ids, float* logprobs, const float* logits, int64_t logits_stride,
            const float* temperature, const float* top_p, const float* uniforms, int64_t B, int32_t V) {
  unsigned threads = WARP;
  while (threads < MAX_THREADS && threads * VECTORS * VEC<float> < static_cast<unsigned>(V)) threads *= 2;
  const int64_t chunks = ceil_div(V, threads * VECTORS * VEC<float>);
  float unit = 0x1p44f;  // the sum of V weights stays below 2^63
  for (int64_t size = 1 << 18; size < V; size *= 2) unit /= 2;

  constexpr int64_t MAX_GRID_Y = 65535;
  int64_t rows = WORKSPACE_BYTES / (chunks * static_cast<int64_t>(BUCKETS * sizeof(Sum) + sizeof(Peak)));
  if (rows == 0) return fail(context, "sample", "the vocabulary is too large");
  if (rows > MAX_GRID_Y) rows = MAX_GRID_Y;
  for (int64_t b = 0; b < B; b += rows, logits += rows * logits_stride) {
    const unsigned count = static_cast<unsigned>(B - b < rows ? B - b : rows);
    Sum* const histograms = static_cast<Sum*>(workspace(context));
    Peak* const peaks = reinterpret_cast<Peak*>(histograms + count * chunks * BUCKETS);
    const dim3 grid(static_cast<unsigned>(chunks), count);
    launch(context, "sample", peak_kernel<aligned>, grid, dim3(threads), 0, peaks, logits, logits_stride, V);
    launch(context, "sample", histogram_kernel<aligned>, grid, dim3(threads), 0, histograms, peaks, logits,
           logits_stride, temperature + b, unit, V);
    launch(context, "sample", pick_kernel<aligned>, dim3(count), dim3(threads), 0, ids + b, logprobs + b, histograms,
           peaks, logits, logits_stride, temperature + b, top_p + b, uniforms + b, unit, V, chunks);
  }
}

}  // namespace
}  // namespace sampling
}  // namespace msm

void msm_sample(msm_context* context, int32_t* ids, float* logprobs, const float* logits, int64_t logits_stride,
                const float* temperature, const float* top_p, const float* uniforms, int64_t B, int64_t V) {
  using namespace msm;
  const bool aligned = V % VEC<float> == 0 && aligned16<float>(logits, logits_stride);
  const auto run = aligned ? sampling::sample<true> : sampling::sample<false>;
  run(context, ids, logprobs, logits, logits_stride, temperature, top_p, uniforms, B, static_cast<int32_t>(V));
}
