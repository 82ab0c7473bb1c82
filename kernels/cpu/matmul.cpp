// defines: msm_matmul
//
// The blocked product. Blocks of B, KC x NB, are packed to stay in L2; blocks of A, MC x KC, are copied; the f32 sums
// of an MC x NB tile wait in scratch until all of K is in, then they are scaled, biased and rounded once. Sums run over
// k in order whatever the blocking, so a row has the same bits for any M and any number of threads.
#include <algorithm>

#include "block.h"
#include "context.h"

namespace msm {
namespace {

// The arguments of msm_matmul.
struct Product {
  int dtype, out_dtype;
  void* out;
  int64_t out_stride;
  const void* a;
  int64_t a_stride;
  int trans_a;
  const void* b;
  int64_t b_stride;
  int trans_b;
  const void* bias;
  float alpha, beta;
  int64_t M, N, K;
};

constexpr int64_t MC = 112;    // rows of a tile: whole register tiles (14) and whole AMX tiles (16)
constexpr int64_t STRIP = 28;  // rows finished at a time, while their sums are in L1
constexpr int64_t NB = 384;    // columns of a tile
#if defined(MSM_AMX)
constexpr int64_t KC_BYTES =
    1024;  // depth of a block: 32 rows of A, and a panel of B, stay in L1, which AMX outruns L2 without
#else
constexpr int64_t KC_BYTES = 2304;  // depth of a block: KC * NB elements stay in 1 MB of L2
#endif
constexpr int64_t PACKED_BYTES = 8ll << 20;  // of B at a time
constexpr int64_t SMALL_M = 64;              // up to here B is read once, by the thread that packs it
constexpr int64_t SMALL_NT_NB = 32,
                  SMALL_NT_KC_BYTES = 4096;  // weights as they lie: few long rows, as the prefetchers like them
constexpr int64_t SMALL_NN_NB = 320, SMALL_NN_KC = 128;  // B [K, N]: few rows at a time, each on its own page

// Splits x into the fewest parts of at most `most`, nearly equal multiples of `step`: the size of a part.
int64_t part(int64_t x, int64_t most, int64_t step) {
  return std::max(step, round_up(divide_up(x, std::max<int64_t>(1, divide_up(x, most))), step));
}

// The product as computed: where A is transposed and N the smaller side, out^T = b^T a, so that the large operand needs
// no transposing.
template <class T>
struct Operands {
  const T *a, *b;
  int64_t a_stride, b_stride;
  bool trans_a, trans_b, trans_out;
  int64_t M, N, K;
};

template <class T>
Operands<T> operands(const Product& p) {
  const T *a = static_cast<const T*>(p.a), *b = static_cast<const T*>(p.b);
  if (p.trans_a && p.M > p.N) return {b, a, p.b_stride, p.a_stride, true, false, true, p.N, p.M, p.K};
  return {a, b, p.a_stride, p.b_stride, p.trans_a != 0, p.trans_b != 0, false, p.M, p.N, p.K};
}

// Whether rows of A can be read where they lie: not where they fall into the same few sets of L1.
template <class T>
bool in_place(const Operands<T>& o) {
  return !o.trans_a && o.a_stride * static_cast<int64_t>(sizeof(T)) % 2048 != 0;
}

// Copies `rows` rows of A from m on, `depth` columns from k on.
template <class T>
void copy_a(T* copy, int64_t stride, const Operands<T>& o, int64_t m, int64_t rows, int64_t k, int64_t depth) {
  if (o.trans_a) return transpose_rows(copy, stride, o.a + k * o.a_stride + m, o.a_stride, rows, depth);
  for (int64_t i = 0; i < rows; i++)
    memcpy(copy + i * stride, o.a + (m + i) * o.a_stride + k, static_cast<size_t>(depth) * sizeof(T));
}

// A line more than whole lines: the rows of a copy fall into different sets of L1, whatever A's stride is.
template <class T>
int64_t copy_stride(int64_t depth) {
  return round_up(depth, 32) +
         (round_up(depth, 32) * static_cast<int64_t>(sizeof(T)) % 128 ? 0 : 64 / static_cast<int64_t>(sizeof(T)));
}

template <class T>
void pack_b(T* packed, const Operands<T>& o, int64_t k, int64_t depth, int64_t n, int64_t columns) {
  if (o.trans_b) pack_nt(packed, o.b + n * o.b_stride + k, o.b_stride, depth, columns);
  else pack_nn(packed, o.b + k * o.b_stride + n, o.b_stride, depth, columns);
}

template <class T>
T* scratch_of(ScratchSlot slot, int64_t count) {
  return static_cast<T*>(scratch(slot, static_cast<size_t>(count) * sizeof(T)));
}

// out = alpha c + bias + beta out for a tile of sums. One expression for all cases, so that the compiler rounds them
// alike.
template <class T, class Out>
void finish_rows(const Product& p, const float* c, int64_t c_stride, int64_t m, int64_t rows, int64_t n,
                 int64_t columns) {
  const T* bias = p.bias ? static_cast<const T*>(p.bias) + n : nullptr;
  const vf alpha = splat(p.alpha), beta = splat(p.beta);
  for (int64_t i = 0; i < rows; i++) {
    const float* sums = c + i * c_stride;
    Out* out = static_cast<Out*>(p.out) + (m + i) * p.out_stride + n;
    for (int64_t j = 0; j < columns; j += W) {
      const int64_t left = columns - j;
      const bool whole = left >= W;
      const vf sum = whole ? load(sums + j) : load_partial(sums + j, left);
      const vf shift = !bias ? vf{} : whole ? load(bias + j) : load_partial(bias + j, left);
      const vf old = p.beta == 0 ? vf{} : whole ? load(out + j) : load_partial(out + j, left);
      const vf x = alpha * sum + shift + beta * old;
      if (whole) store(out + j, x);
      else store_partial(out + j, x, left);
    }
  }
}

// `spare` takes the transposed tile where the transposed result was computed.
template <class T>
void finish(const Product& p, const Operands<T>& o, const float* c, int64_t c_stride, int64_t m, int64_t rows,
            int64_t n, int64_t columns, float* spare) {
  if (o.trans_out) {
    transpose_rows(spare, rows, c, c_stride, columns, rows);
    c = spare;
    c_stride = rows;
    std::swap(m, n);
    std::swap(rows, columns);
  }
  if (p.out_dtype == MSM_F32) finish_rows<T, float>(p, c, c_stride, m, rows, n, columns);
  else finish_rows<T, bf16>(p, c, c_stride, m, rows, n, columns);
}

// Fetches the lines that finish will write while the sums are computed.
template <class T>
void prefetch_out(const Product& p, const Operands<T>& o, int64_t m, int64_t rows, int64_t n, int64_t columns) {
  if (o.trans_out) return;
  const int64_t bytes = p.out_dtype == MSM_F32 ? 4 : 2;
  for (int64_t i = 0; i < rows; i++) {
    const char* row = static_cast<const char*>(p.out) + ((m + i) * p.out_stride + n) * bytes;
    for (int64_t line = 0; line < columns * bytes; line += 64) __builtin_prefetch(row + line, 1);
  }
}

// Few rows: B's weights pass through the caches once, each thread packing slices of its own columns into L1.
template <class T>
void multiply_small(const Product& p, const Operands<T>& o) {
  const int64_t KC = o.trans_b ? SMALL_NT_KC_BYTES / static_cast<int64_t>(sizeof(T)) : SMALL_NN_KC;
  const int64_t columns_most =
      part(o.N, std::min(o.trans_b ? SMALL_NT_NB : SMALL_NN_NB, divide_up(o.N, threads())), PANEL<T>);
  const int64_t parts = divide_up(o.N, columns_most), stride = copy_stride<T>(o.K);
  T* a = scratch_of<T>(SCRATCH_PACK_A, o.M * stride);
#pragma omp parallel
  {
#pragma omp for schedule(static)
    for (int64_t k = 0; k < o.K; k += KC) copy_a(a + k, stride, o, 0, o.M, k, std::min(KC, o.K - k));
    T* packed = scratch_of<T>(SCRATCH_PACK_B, packed_size<T>(KC, columns_most));
    float* c = scratch_of<float>(SCRATCH_TILE, 2 * o.M * columns_most);
#pragma omp for schedule(static)
    for (int64_t i = 0; i < parts; i++) {
      const int64_t n = i * columns_most, columns = std::min(columns_most, o.N - n);
      int64_t k = 0;
      do {
        const int64_t depth = std::min(KC, o.K - k);
        if (o.trans_b) {
          pack_b(packed, o, k, depth, n, columns);
          block_matmul(c, columns_most, a + k, stride, packed, o.M, columns, depth, k > 0);
        } else {
          block_matmul_nn(c, columns_most, a + k, stride, o.b + k * o.b_stride + n, o.b_stride, o.M, columns, depth,
                          k > 0, packed);
        }
        k += depth;
      } while (k < o.K);
      finish(p, o, c, columns_most, 0, o.M, n, columns, c + o.M * columns_most);
    }
  }
}

template <class T>
void multiply_large(const Product& p, const Operands<T>& o) {
  const int64_t KC = part(o.K, KC_BYTES / static_cast<int64_t>(sizeof(T)), 32),
                slices = std::max<int64_t>(1, divide_up(o.K, KC));
  const int64_t columns_most = part(o.N, NB, PANEL<T>), tiles = divide_up(o.N, columns_most);
  int64_t rows_most = part(o.M, MC, 16);
  while (rows_most > STRIP && divide_up(o.M, rows_most) * tiles < 4 * threads())
    rows_most = part(o.M, rows_most / 2, 16);
  // Packed B: tiles side by side, each the slices of K one after the other.
  const int64_t slice = packed_size<T>(KC, columns_most), panel = packed_size<T>(KC, PANEL<T>);
  const int64_t tiles_once =
      std::max<int64_t>(1, std::min(tiles, PACKED_BYTES / (slices * slice * static_cast<int64_t>(sizeof(T)))));
  const int64_t row_tiles = divide_up(o.M, rows_most), stride = copy_stride<T>(KC), panels = columns_most / PANEL<T>;
  const bool direct = in_place(o);
  T* packed = scratch_of<T>(SCRATCH_PACK_B, tiles_once * slices * slice);
#pragma omp parallel
  for (int64_t first = 0; first < tiles; first += tiles_once) {
    const int64_t count = std::min(tiles_once, tiles - first);
#pragma omp for schedule(dynamic, 4)
    for (int64_t i = 0; i < count * slices * panels; i++) {
      const int64_t t = i / panels / slices, s = i / panels % slices, q = i % panels;
      const int64_t n = (first + t) * columns_most + q * PANEL<T>, k = s * KC, depth = std::min(KC, o.K - k);
      if (n < o.N && depth > 0)
        pack_b(packed + (t * slices + s) * slice + q * (depth == KC ? panel : packed_size<T>(depth, PANEL<T>)), o, k,
               depth, n, std::min(PANEL<T>, o.N - n));
    }
    T* copy = direct ? nullptr : scratch_of<T>(SCRATCH_PACK_A, rows_most * stride);
    float* c = scratch_of<float>(SCRATCH_TILE, 2 * rows_most * columns_most);
#pragma omp for schedule(dynamic)
    for (int64_t i = 0; i < row_tiles * count; i++) {
      const int64_t t = i / row_tiles, m = i % row_tiles * rows_most, n = (first + t) * columns_most;
      const int64_t rows = std::min(rows_most, o.M - m), columns = std::min(columns_most, o.N - n);
      for (int64_t s = 0; s < slices; s++) {
        const int64_t k = s * KC, depth = std::min(KC, o.K - k);
        const T* block = packed + (t * slices + s) * slice;
        const T* a = direct ? o.a + m * o.a_stride + k : copy;
        const int64_t a_stride = direct ? o.a_stride : stride;
        if (!direct) copy_a(copy, stride, o, m, rows, k, depth);
        if (s + 1 < slices) {
          block_matmul(c, columns_most, a, a_stride, block, rows, columns, depth, s > 0);
          continue;
        }
        for (int64_t r = 0; r < rows; r += STRIP) {
          const int64_t count = std::min(STRIP, rows - r);
          prefetch_out(p, o, m + r, count, n, columns);
          block_matmul(c + r * columns_most, columns_most, a + r * a_stride, a_stride, block, count, columns, depth,
                       s > 0);
          finish(p, o, c + r * columns_most, columns_most, m + r, count, n, columns, c + rows_most * columns_most);
        }
      }
    }
  }
}

template <class T>
void multiply(const Product& p) {
  const Operands<T> o = operands<T>(p);
  if (o.M <= SMALL_M) multiply_small(p, o);
  else multiply_large(p, o);
}

void matmul(const Product& p) {
  if (p.M == 0 || p.N == 0) return;
  dispatch(p.dtype, [&](auto zero) { multiply<decltype(zero)>(p); });
}

}  // namespace
}  // namespace msm

void msm_matmul(msm_context* context, int dtype, int out_dtype, void* out, int64_t out_stride, const void* a,
                int64_t a_stride, int trans_a, const void* b, int64_t b_stride, int trans_b, const void* bias,
                float alpha, float beta, int64_t M, int64_t N, int64_t K) {
  msm::Product product{};
  product.dtype = dtype;
  product.out_dtype = out_dtype;
  product.out = out;
  product.out_stride = out_stride;
  product.a = a;
  product.a_stride = a_stride;
  product.trans_a = trans_a;
  product.b = b;
  product.b_stride = b_stride;
  product.trans_b = trans_b;
  product.bias = bias;
  product.alpha = alpha;
  product.beta = beta;
  product.M = M;
  product.N = N;
  product.K = K;
  msm::enqueue(context, "matmul", [=] { msm::matmul(product); });
}
