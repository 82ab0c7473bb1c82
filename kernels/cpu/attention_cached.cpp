// defines: msm_attention_cached
#include "softmax.h"

namespace msm {
namespace {

// A query row alone (decode) with more keys than SPLIT has them cut into chunks of SPLIT, so that a few long sequences
// still keep the threads busy. The cut depends on the row's own ranges alone.
constexpr int32_t SPLIT = 1024;

// ranges[n] of the contract.
struct Keys {
  int32_t a, a_end, b, b_end;
};

// What one task does for one kv head: rows of a sequence with all their keys, or one row with some of its keys.
struct Piece {
  int32_t row, rows;
  int32_t first, count;  // keys, where it is only some
  int32_t part;          // where they go; -1: all keys
};

// The parts of a split row: first, first + 1 ... of the partial results.
struct SplitRow {
  int32_t row, first, parts;
};

struct Plan {
  Piece* pieces;
  SplitRow* split_rows;
  int64_t num_pieces = 0, num_split_rows = 0, num_parts = 0;

  // With null arrays it only counts.
  void lay_out(const Keys* keys, int64_t N, int64_t step) {
    num_pieces = num_split_rows = num_parts = 0;
    for (int64_t n = 0; n < N;) {
      const Keys first = keys[n];
      int64_t rows = 1;
      while (n + rows < N && keys[n + rows].a == first.a && keys[n + rows].a_end == first.a_end &&
             keys[n + rows].b == first.b && keys[n + rows].b_end == first.b_end + rows)
        rows++;
      if (rows > 1 || first.a_end - first.a + first.b_end - first.b <= SPLIT) {
        for (int64_t r = 0; r < rows; r += step)
          add({static_cast<int32_t>(n + r), static_cast<int32_t>(std::min(rows - r, step)), 0, 0, -1});
      } else {
        const int32_t row = static_cast<int32_t>(n), part = static_cast<int32_t>(num_parts);
        cut(row, first.a, first.a_end);
        cut(row, first.b, first.b_end);
        if (split_rows) split_rows[num_split_rows] = {row, part, static_cast<int32_t>(num_parts) - part};
        num_split_rows++;
      }
      n += rows;
    }
  }

  void cut(int32_t row, int32_t begin, int32_t end) {
    for (; begin < end; begin += SPLIT)
      add({row, 1, begin, std::min(end - begin, SPLIT), static_cast<int32_t>(num_parts++)});
  }

  void add(Piece piece) {
    if (pieces) pieces[num_pieces] = piece;
    num_pieces++;
  }
};

template <class T>
struct Cached {
  T* out;
  int64_t out_stride;
  const T* q;
  int64_t q_stride;
  const T *k, *v;
  int64_t k_stride, v_stride;
  const Keys* keys;
  float scale;
  int64_t N, H, K, E;
  float* partial;  // [part, H, E + 2]: sums, top, mass

  float* partial_at(int64_t part, int64_t h) const { return partial + (part * H + h) * (E + 2); }

  void run_piece(Piece piece, int64_t kv) const {
    const int64_t group = H / K, h = kv * group;
    const Keys range = keys[piece.row];
    Attend<T> attend;
    attend.q = q + piece.row * q_stride + h * E;
    attend.E = E;
    attend.scale2 = scale * LOG2E;
    // The heads of a single row are rows of one product.
    const bool single = piece.rows == 1;
    attend.rows = single ? group : piece.rows;
    attend.heads = single ? 1 : group;
    attend.q_stride = single ? E : q_stride;
    attend.begin();
    const auto add = [&](int64_t first, int64_t count, int64_t visible, int64_t growth) {
      attend.add(k + first * k_stride + kv * E, k_stride, v + first * v_stride + kv * E, v_stride, count, visible,
                 growth);
    };
    if (piece.part >= 0) {
      add(piece.first, piece.count, piece.count, 0);
      for (int64_t i = 0; i < group; i++) {
        float* to = partial_at(piece.part, h + i);
        memcpy(to, attend.sums + i * E, static_cast<size_t>(E) * sizeof(float));
        to[E] = attend.top[i];
        to[E + 1] = sum(attend.mass[i]);
      }
      return;
    }
    add(range.a, range.a_end - range.a, range.a_end - range.a, 0);
    add(range.b, range.b_end - range.b + piece.rows - 1, range.b_end - range.b, single ? 0 : 1);
    attend.finish(out + piece.row * out_stride + h * E, single ? E : out_stride, nullptr, 0);
  }

  void merge(SplitRow split, int64_t h) const {
    float top = -INFINITY, mass = 0;
    for (int64_t i = 0; i < split.parts; i++) top = std::max(top, partial_at(split.first + i, h)[E]);
    float* sums = partial_at(split.first, h);
    for (int64_t i = 0; i < split.parts; i++) {
      const float* part = partial_at(split.first + i, h);
      const float weight = exp2f(part[E] - top);
      mass += weight * part[E + 1];
      each_vector(E, [&](int64_t e, auto n) {
        store(sums + e, (i ? load(sums + e, n) : vf{}) + weight * load(part + e, n), n);
      });
    }
    const vf inverse = splat(1.0f / mass);
    each_vector(
        E, [&](int64_t e, auto n) { store(out + split.row * out_stride + h * E + e, load(sums + e, n) * inverse, n); });
  }
};

}  // namespace
}  // namespace msm

void msm_attention_cached(msm_context* context, int dtype, void* out, int64_t out_stride, const void* q,
                          int64_t q_stride, const void* k_cache, int64_t k_stride, const void* v_cache,
                          int64_t v_stride, const int32_t* ranges, float scale, int64_t N, int64_t H, int64_t K,
                          int64_t E) {
  using namespace msm;
  enqueue(context, "attention_cached", [=] {
    dispatch(dtype, [&](auto zero) {
      using T = decltype(zero);
      const Keys* keys = reinterpret_cast<const Keys*>(ranges);
      Plan plan{nullptr, nullptr};
      plan.lay_out(keys, N, task_rows(N, K));
      const size_t bytes = static_cast<size_t>(plan.num_pieces) * sizeof(Piece) +
                           static_cast<size_t>(plan.num_split_rows) * sizeof(SplitRow) + 128;
      Carver carver{static_cast<char*>(scratch(SCRATCH_ROW, bytes))};
      plan.pieces = carver.take<Piece>(plan.num_pieces);
      plan.split_rows = carver.take<SplitRow>(plan.num_split_rows);
      plan.lay_out(keys, N, task_rows(N, K));
      Cached<T> cached{};
      cached.out = static_cast<T*>(out);
      cached.out_stride = out_stride;
      cached.q = static_cast<const T*>(q);
      cached.q_stride = q_stride;
      cached.k = static_cast<const T*>(k_cache);
      cached.v = static_cast<const T*>(v_cache);
      cached.k_stride = k_stride;
      cached.v_stride = v_stride;
      cached.keys = keys;
      cached.scale = scale;
      cached.N = N;
      cached.H = H;
      cached.K = K;
      cached.E = E;
      const size_t partial_bytes = static_cast<size_t>(plan.num_parts * H * (E + 2)) * sizeof(float);
      cached.partial = static_cast<float*>(scratch(SCRATCH_PACK_A, partial_bytes));
      run_in_order(plan.num_pieces * K, [&](int64_t task) { cached.run_piece(plan.pieces[task / K], task % K); });
      run_in_order(plan.num_split_rows * H, [&](int64_t task) { cached.merge(plan.split_rows[task / H], task % H); });
    });
  });
}
