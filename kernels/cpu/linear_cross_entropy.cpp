// defines: msm_linear_cross_entropy, msm_linear_cross_entropy_workspace
//
// The vocabulary passes in blocks of VB columns. A tile of logits (MC rows x VB) lives in L2: its exponentials,
// relative to the row's largest logit so far, are summed and multiplied with the same rows of w at once, as
// FlashAttention does with keys and values; a row whose
// maximum rises rescales what it has. So logits are computed once, and dx = dscale / sum * (sum_{v != t} e_v w_v -
// (sum_{v != t} e_v) w_t). Leaving out the target keeps the gradient of confident tokens exact: p_t - 1 is never
// rounded to bf16.
//
// The blocks form GROUPS groups that run beside each other and are combined in order at the end: parallel over few rows
// too. What happens to a row depends on D and V alone.
#include <algorithm>

#include "block.h"
#include "context.h"

namespace msm {
namespace {

constexpr int64_t VB = 384;         // vocabulary columns of a tile
constexpr int64_t MC = 112;         // rows of a tile
constexpr int64_t DB = 384;         // columns of dx at a time: DB * VB elements of w stay in L2
constexpr int64_t KC_BYTES = 2304;  // depth of a slice of w: KC * VB elements stay in L2
constexpr int64_t GROUPS = 4;
constexpr int64_t WORKSPACE_BYTES = 64 << 20;  // rows are done in chunks that fit

// One row in one group of blocks.
struct State {
  float max, sum;  // sum of e^(logit - max) without the target
  int32_t argmax;
};

struct Arguments {
  float* losses;
  int32_t* argmax;
  void* dx;
  int64_t dx_stride;
  const void* x;
  int64_t x_stride;
  const void* w;
  int64_t w_stride;
  const int32_t* targets;
  const float* dscale;
  int64_t N, D, V;
  void* workspace;
};

// The workspace: which rows have a target; then for a chunk of them x, the state, the target's logit and the sums of
// dx.
template <class T>
struct Workspace {
  int64_t x_stride, row_bytes, chunk;
  int32_t* rows;
  T* x;
  State* states;  // [GROUPS][chunk]
  float* target;  // [chunk]
  float* sums;    // [GROUPS][chunk][D]
  int64_t bytes;

  Workspace(int64_t N, int64_t D, void* memory) {
    // An odd number of lines: rows fall into different sets of L1.
    const int64_t line = 64 / static_cast<int64_t>(sizeof(T));
    x_stride = (divide_up(D, line) | 1) * line;
    row_bytes = x_stride * static_cast<int64_t>(sizeof(T)) + GROUPS * (static_cast<int64_t>(sizeof(State)) + D * 4) + 4;
    chunk = std::max<int64_t>(1, std::min(N, std::max(MC, WORKSPACE_BYTES / row_bytes)));
    bytes = 0;
    const auto take = [&](auto*& part, int64_t count) {
      part = reinterpret_cast<std::decay_t<decltype(part)>>(reinterpret_cast<uintptr_t>(memory) +
                                                            static_cast<uintptr_t>(bytes));
      bytes += round_up(count * static_cast<int64_t>(sizeof *part), 64);
    };
    take(rows, N);
    take(x, chunk * x_stride);
    take(states, GROUPS * chunk);
    take(target, chunk);
    take(sums, GROUPS * chunk * D);
  }
};

float exp_scalar(float x) { return exp(splat(x))[0]; }

// One row of a tile of logits: updates its state and target logit, writes e^(logit - max) to weights (unless null), and
// rescales the row's sums of dx (null where there are none yet).
template <class T>
void row_softmax(T* weights, float* logits, int64_t columns, int64_t v0, int32_t target, State& state,
                 float& target_logit, float* sums, int64_t D) {
  const int64_t padded = round_up(columns, W);
  for (int64_t j = columns; j < padded; j++) logits[j] = -INFINITY;
  vf largest = load(logits);
  for (int64_t j = W; j < padded; j += W) largest = max(largest, load(logits + j));
  const float block_max = max(largest);
  if (block_max > state.max) {
    const float factor = exp_scalar(state.max - block_max);
    state.max = block_max;
    state.sum *= factor;
    int64_t j = 0;
    while (logits[j] != block_max) j++;
    state.argmax = static_cast<int32_t>(v0 + j);
    if (sums) {
      int64_t d = 0;
      for (; d + W <= D; d += W) store(sums + d, load(sums + d) * factor);
      for (; d < D; d++) sums[d] *= factor;
    }
  }
  if (target >= v0 && target < v0 + columns) {
    target_logit = logits[target - v0];
    logits[target - v0] = -INFINITY;
  }
  const vf shift = splat(state.max);
  vf sum_of_row = {};
  for (int64_t j = 0; j < padded; j += W) {
    const vf e = exp(load(logits + j) - shift);
    sum_of_row += e;
    if (weights) store(weights + j, e);
  }
  state.sum += sum(sum_of_row);
}

template <class T>
struct Pass {
  const Arguments& p;
  const Workspace<T>& space;
  int64_t first = 0, count = 0;  // rows of this chunk
  int64_t blocks = 0, KC = 0, slices = 0, slice_elements = 0, panel_elements = 0;
  // Packed blocks of w, one for each group: [D, VB] in slices of KC, and [VB, D].
  T *logit_weights = nullptr, *dx_weights = nullptr;

  int64_t group_begin(int64_t g) const { return blocks * g / GROUPS; }
  bool used(int64_t g) const { return group_begin(g) < group_begin(g + 1); }
  int64_t logit_elements() const { return slices * slice_elements; }
  int64_t dx_elements() const { return divide_up(p.D, PANEL<T>) * panel_elements; }

  // The block of w that group g reads in this step: false where the group has no more.
  bool block(int64_t g, int64_t step, int64_t& v0, int64_t& columns) const {
    if (group_begin(g) + step >= group_begin(g + 1)) return false;
    v0 = (group_begin(g) + step) * VB;
    columns = std::min(VB, p.V - v0);
    return true;
  }

  // Work item i of packing: a panel of the logits' block, or (i beyond those) a panel of dx's.
  void pack(int64_t g, int64_t step, int64_t i) const {
    int64_t v0, columns;
    if (!block(g, step, v0, columns)) return;
    const T* w = static_cast<const T*>(p.w) + v0 * p.w_stride;
    const int64_t panels = VB / PANEL<T>;
    if (i < slices * panels) {
      const int64_t k = i / panels * KC, depth = std::min(KC, p.D - k), n = i % panels * PANEL<T>;
      if (n < columns)
        pack_nt(logit_weights + g * logit_elements() + i / panels * slice_elements + packed_size<T>(depth, n),
                w + n * p.w_stride + k, p.w_stride, depth, std::min(PANEL<T>, columns - n));
    } else {
      const int64_t d = (i - slices * panels) * PANEL<T>;
      pack_nn(dx_weights + g * dx_elements() + packed_size<T>(columns, d), w + d, p.w_stride, columns,
              std::min(PANEL<T>, p.D - d));
    }
  }

  void tile(int64_t g, int64_t step, int64_t m, int64_t rows) const {
    int64_t v0, columns;
    if (!block(g, step, v0, columns)) return;
    float* logits =
        static_cast<float*>(scratch(SCRATCH_TILE, static_cast<size_t>(MC * VB) * (sizeof(float) + sizeof(T))));
    T* weights = reinterpret_cast<T*>(logits + MC * VB);
    for (int64_t s = 0; s < slices; s++) {
      const int64_t k = s * KC;
      block_matmul(logits, VB, space.x + m * space.x_stride + k, space.x_stride,
                   logit_weights + g * logit_elements() + s * slice_elements, rows, columns, std::min(KC, p.D - k),
                   s > 0);
    }
    float* sums = p.dx ? space.sums + (g * space.chunk + m) * p.D : nullptr;
    for (int64_t i = 0; i < rows; i++)
      row_softmax(sums ? weights + i * VB : nullptr, logits + i * VB, columns, v0, p.targets[space.rows[first + m + i]],
                  space.states[g * space.chunk + m + i], space.target[m + i],
                  sums && step > 0 ? sums + i * p.D : nullptr, p.D);
    if (!sums) return;
    for (int64_t d = 0; d < p.D; d += DB)
      block_matmul(sums + d, p.D, weights, VB, dx_weights + g * dx_elements() + packed_size<T>(columns, d), rows,
                   std::min(DB, p.D - d), columns, step > 0);
  }

  // Combines the groups of a row, in order.
  void finish(int64_t i) const {
    const int64_t row = space.rows[first + i];
    const State* states = space.states + i;
    State total = states[0];
    for (int64_t g = 1; g < GROUPS; g++) {
      const State& other = states[g * space.chunk];
      if (other.max > total.max) {
        total.max = other.max;
        total.argmax = other.argmax;
      }
    }
    float factors[GROUPS];
    total.sum = 0;
    for (int64_t g = 0; g < GROUPS; g++) {
      const State& state = states[g * space.chunk];
      factors[g] = used(g) ? exp_scalar(state.max - total.max) : 0;
      if (used(g)) total.sum += state.sum * factors[g];
    }
    const float target = space.target[i], above = total.max - target;
    p.losses[row] = above == 0 ? log1pf(total.sum) : above + logf(total.sum + exp_scalar(-above));
    if (p.argmax) p.argmax[row] = total.argmax;
    if (!p.dx) return;
    const float scale = p.dscale[0] / (total.sum + exp_scalar(-above));
    const T* w = static_cast<const T*>(p.w) + p.targets[row] * p.w_stride;
    T* dx = static_cast<T*>(p.dx) + row * p.dx_stride;
    for (int64_t d = 0; d < p.D; d += W) {
      const int64_t left = p.D - d;
      vf x = -total.sum * (left >= W ? load(w + d) : load_partial(w + d, left));
      for (int64_t g = 0; g < GROUPS; g++) {
        const float* sums = space.sums + (g * space.chunk + i) * p.D + d;
        if (used(g)) x += factors[g] * (left >= W ? load(sums) : load_partial(sums, left));
      }
      x = scale * x;
      if (left >= W) store(dx + d, x);
      else store_partial(dx + d, x, left);
    }
  }
};

template <class T>
void linear_cross_entropy(const Arguments& p) {
  const Workspace<T> space(p.N, p.D, p.workspace);
  int64_t count = 0;
  for (int64_t n = 0; n < p.N; n++) {
    if (p.targets[n] >= 0) {
      space.rows[count++] = static_cast<int32_t>(n);
      continue;
    }
    p.losses[n] = 0;
    if (p.argmax) p.argmax[n] = -1;
    if (p.dx)
      memset(static_cast<void*>(static_cast<T*>(p.dx) + n * p.dx_stride), 0, static_cast<size_t>(p.D) * sizeof(T));
  }
  const int64_t slices = divide_up(p.D, KC_BYTES / static_cast<int64_t>(sizeof(T)));
  Pass<T> pass{p, space};
  pass.blocks = divide_up(p.V, VB);
  pass.KC = round_up(divide_up(p.D, slices), 32);
  pass.slices = divide_up(p.D, pass.KC);
  pass.slice_elements = packed_size<T>(pass.KC, VB);
  pass.panel_elements = packed_size<T>(VB, PANEL<T>);
  const int64_t packed_elements = GROUPS * (pass.logit_elements() + (p.dx ? pass.dx_elements() : 0));
  pass.logit_weights = static_cast<T*>(scratch(SCRATCH_PACK_B, static_cast<size_t>(packed_elements) * sizeof(T)));
  pass.dx_weights = pass.logit_weights + GROUPS * pass.logit_elements();
  const int64_t panels = VB / PANEL<T>, items = pass.slices * panels + (p.dx ? divide_up(p.D, PANEL<T>) : 0);
  const int64_t steps = divide_up(pass.blocks, GROUPS);
  const int64_t chunks = divide_up(count, space.chunk);
  for (int64_t c = 0; c < chunks; c++) {
    pass.first = count * c / chunks;
    pass.count = count * (c + 1) / chunks - pass.first;
    // Register tiles are 14 rows, AMX tiles 16: tiles of a multiple of either where there are rows enough for all
    // threads.
    const int64_t tiles = divide_up(
        pass.count, std::min(MC, std::max<int64_t>(32, round_up(divide_up(pass.count * GROUPS, 4 * threads()), 16))));
#pragma omp parallel
    {
#pragma omp for schedule(static)
      for (int64_t i = 0; i < pass.count; i++) {
        memcpy(static_cast<void*>(space.x + i * space.x_stride),
               static_cast<const T*>(p.x) + space.rows[pass.first + i] * p.x_stride,
               static_cast<size_t>(p.D) * sizeof(T));
        for (int64_t g = 0; g < GROUPS; g++) space.states[g * space.chunk + i] = {-INFINITY, 0, 0};
      }
      for (int64_t step = 0; step < steps; step++) {
#pragma omp for schedule(dynamic, 4)
        for (int64_t i = 0; i < GROUPS * items; i++) pass.pack(i / items, step, i % items);
#pragma omp for schedule(dynamic)
        for (int64_t i = 0; i < GROUPS * tiles; i++) {
          const int64_t t = i % tiles, m = pass.count * t / tiles;
          pass.tile(i / tiles, step, m, pass.count * (t + 1) / tiles - m);
        }
      }
#pragma omp for schedule(static)
      for (int64_t i = 0; i < pass.count; i++) pass.finish(i);
    }
  }
}

}  // namespace
}  // namespace msm

void msm_linear_cross_entropy(msm_context* context, int dtype, float* losses, int32_t* argmax, void* dx,
                              int64_t dx_stride, const void* x, int64_t x_stride, const void* w, int64_t w_stride,
                              const int32_t* targets, const float* dscale, int64_t N, int64_t D, int64_t V,
                              void* workspace, int64_t workspace_bytes) {
  using namespace msm;
  Arguments arguments{};
  arguments.losses = losses;
  arguments.argmax = argmax;
  arguments.dx = dx;
  arguments.dx_stride = dx_stride;
  arguments.x = x;
  arguments.x_stride = x_stride;
  arguments.w = w;
  arguments.w_stride = w_stride;
  arguments.targets = targets;
  arguments.dscale = dscale;
  arguments.N = N;
  arguments.D = D;
  arguments.V = V;
  arguments.workspace = workspace;
  const bool enough = workspace_bytes >= msm_linear_cross_entropy_workspace(dtype, N, D, V);
  enqueue(context, "linear_cross_entropy", [=] {
    if (!enough) fail("the workspace is too small");
    dispatch(dtype, [&](auto zero) { linear_cross_entropy<decltype(zero)>(arguments); });
  });
}

int64_t msm_linear_cross_entropy_workspace(int dtype, int64_t N, int64_t D, int64_t) {
  using namespace msm;
  return dtype == MSM_BF16 ? Workspace<bf16>(N, D, nullptr).bytes : Workspace<float>(N, D, nullptr).bytes;
}
