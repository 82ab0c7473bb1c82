// Vectors of f32 by the compiler's vector extensions: the same source becomes AVX-512, AVX2, NEON or SSE. bf16 and f16
// are widened on load, bf16 is rounded to nearest even on store.
// defines: bf16, f16, vf, load, store, store_exact, load_partial, store_partial, each_vector, sum, max, sqrt,
// transpose, exp, exp2_below, dispatch
#pragma once
#include <math.h>
#include <stdint.h>
#include <string.h>

#include <utility>
#if defined(__AVX512F__) || defined(__F16C__)
#include <immintrin.h>
#endif

#include "../ops.h"

namespace msm {

#if defined(__AVX512F__)
constexpr int W = 16;
#elif defined(__AVX2__)
constexpr int W = 8;
#else
constexpr int W = 4;
#endif

struct bf16 {
  uint16_t bits;
};
struct f16 {
  uint16_t bits;
};

typedef float vf __attribute__((vector_size(4 * W)));
typedef int32_t vi __attribute__((vector_size(4 * W)));
typedef uint32_t vu __attribute__((vector_size(4 * W)));
typedef uint16_t vh __attribute__((vector_size(2 * W)));

inline vf splat(float x) { return x - vf{}; }

inline vf load(const float* p) {
  vf v;
  memcpy(&v, p, sizeof v);
  return v;
}
inline void store(float* p, vf v) { memcpy(p, &v, sizeof v); }

inline vf load(const bf16* p) {
  vh h;
  memcpy(&h, p, sizeof h);
  const vu u = __builtin_convertvector(h, vu) << 16;
  return __builtin_bit_cast(vf, u);
}
// Subnormal results too, which VCVTNEPS2BF16 makes 0.
inline void store_exact(bf16* p, vf v) {
  const vu u = __builtin_bit_cast(vu, v);
  const vu rounded = (u + 0x7fff + ((u >> 16) & 1)) >> 16;
  const vu quiet = (u >> 16) | 0x40;  // rounding would carry a NaN's mantissa into infinity or zero
  const vh h = __builtin_convertvector(v == v ? rounded : quiet, vh);
  memcpy(p, &h, sizeof h);
}
inline void store_exact(float* p, vf v) { store(p, v); }

inline void store(bf16* p, vf v) {
#if defined(__AVX512BF16__)
  const __m256bh h = _mm512_cvtneps_pbh(__builtin_bit_cast(__m512, v));
  memcpy(p, &h, sizeof h);
#else
  store_exact(p, v);
#endif
}

inline vf load(const f16* p) {
  vh h;
  memcpy(&h, p, sizeof h);
#if defined(__AVX512F__)
  return __builtin_bit_cast(vf, _mm512_maskz_cvtph_ps(0xffff, __builtin_bit_cast(__m256i, h)));
#elif defined(__F16C__)
  return __builtin_bit_cast(vf, _mm256_cvtph_ps(__builtin_bit_cast(__m128i, h)));
#else
  const vu u = __builtin_convertvector(h, vu), magnitude = u & 0x7fff;
  const vu normal = (magnitude << 13) + (112u << 23);  // the exponent's bias: 15 -> 127
  const vu nonfinite = (normal + (112u << 23)) | (magnitude > 0x7c00 ? vu{} + 0x400000 : vu{});
  const vf subnormal = __builtin_convertvector(__builtin_bit_cast(vi, magnitude), vf) * 0x1p-24f;
  vu bits = magnitude < 0x400 ? __builtin_bit_cast(vu, subnormal) : normal;
  bits = magnitude >= 0x7c00 ? nonfinite : bits;
  return __builtin_bit_cast(vf, bits | ((u & 0x8000) << 16));
#endif
}

// The first n < W elements; the others read as 0, and are not touched.
#if defined(__AVX512BW__) && defined(__AVX512VL__)
inline __mmask16 first(int64_t n) { return static_cast<__mmask16>((1u << n) - 1); }
inline vf load_partial(const float* p, int64_t n) { return __builtin_bit_cast(vf, _mm512_maskz_loadu_ps(first(n), p)); }
inline void store_partial(float* p, vf v, int64_t n) {
  _mm512_mask_storeu_ps(p, first(n), __builtin_bit_cast(__m512, v));
}
template <class T>
inline vf load_partial(const T* p, int64_t n) {
  T padded[W];
  const __m256i h = _mm256_maskz_loadu_epi16(first(n), p);
  memcpy(padded, &h, sizeof h);
  return load(padded);
}
inline void store_partial(bf16* p, vf v, int64_t n) {
  bf16 padded[W];
  store(padded, v);
  __m256i h;
  memcpy(&h, padded, sizeof h);
  _mm256_mask_storeu_epi16(p, first(n), h);
}
#else
template <class T>
inline vf load_partial(const T* p, int64_t n) {
  T padded[W] = {};
  memcpy(padded, p, static_cast<size_t>(n) * sizeof(T));
  return load(padded);
}
template <class T>
inline void store_partial(T* p, vf v, int64_t n) {
  T padded[W];
  store(padded, v);
  memcpy(p, padded, static_cast<size_t>(n) * sizeof(T));
}
#endif

// A row as vectors: body(i, n) for each; load and store take n as a third argument. n is a type in the whole vectors,
// so that they cost no test, and a number in the last, partial one.
struct Whole {};
template <class T>
inline vf load(const T* p, Whole) {
  return load(p);
}
template <class T>
inline vf load(const T* p, int64_t n) {
  return load_partial(p, n);
}
template <class T>
inline void store(T* p, vf v, Whole) {
  store(p, v);
}
template <class T>
inline void store(T* p, vf v, int64_t n) {
  store_partial(p, v, n);
}
template <class F>
inline void each_vector(int64_t cols, F body) {
  int64_t i = 0;
  for (; i + W <= cols; i += W) body(i, Whole{});
  if (i < cols) body(i, cols - i);
}

inline float to_float(float x) { return x; }
inline float to_float(bf16 x) {
  const uint32_t u = static_cast<uint32_t>(x.bits) << 16;
  float f;
  memcpy(&f, &u, sizeof f);
  return f;
}
template <class T>
inline T from_float(float x);
template <>
inline float from_float<float>(float x) {
  return x;
}
template <>
inline bf16 from_float<bf16>(float x) {
  uint32_t u;
  memcpy(&u, &x, sizeof u);
  if (x != x) return bf16{static_cast<uint16_t>((u >> 16) | 0x40)};
  return bf16{static_cast<uint16_t>((u + 0x7fff + ((u >> 16) & 1)) >> 16)};
}

inline vf max(vf a, vf b) { return a > b ? a : b; }

// Adds (or f) each lane to the one H away, then H / 2 ...: all lanes end up with the total.
template <int H, class F, size_t... I>
inline vf fold(vf v, F f, std::index_sequence<I...> lanes) {
  v = f(v, __builtin_shufflevector(v, v, static_cast<int>(I ^ H)...));
  if constexpr (H > 1) return fold<H / 2>(v, f, lanes);
  else return v;
}
inline float sum(vf v) {
  return fold<W / 2>(v, [](vf a, vf b) { return a + b; }, std::make_index_sequence<W>())[0];
}
inline float max(vf v) {
  return fold<W / 2>(v, [](vf a, vf b) { return max(a, b); }, std::make_index_sequence<W>())[0];
}
inline vf sqrt(vf v) {
  for (int i = 0; i < W; i++) v[i] = __builtin_sqrtf(v[i]);
  return v;
}

// 0, 1, 2 ...
inline vi lanes() {
  vi v;
  for (int i = 0; i < W; i++) v[i] = i;
  return v;
}

// One step of a transposition: swaps the off-diagonal blocks of H x H in every 2H x 2H block of rows r and r + H.
template <int H, size_t... I>
inline void transpose_step(vf (&rows)[W], std::index_sequence<I...> columns) {
#pragma GCC unroll 16
  for (int r = 0; r < W; r++) {
    if (r & H) continue;
    const vf a = rows[r], b = rows[r + H];
    rows[r] = __builtin_shufflevector(a, b, static_cast<int>(I & H ? I - H + W : I)...);
    rows[r + H] = __builtin_shufflevector(a, b, static_cast<int>(I & H ? I + W : I + H)...);
  }
  if constexpr (H > 1) transpose_step<H / 2>(rows, columns);
}
inline void transpose(vf (&rows)[W]) { transpose_step<W / 2>(rows, std::make_index_sequence<W>()); }

// p 2^n for a whole number n of -126 .. 128.
inline vf scale_by_power(vf p, vf n) {
#if defined(__AVX512F__)
  return __builtin_bit_cast(
      vf, _mm512_maskz_scalef_ps(0xffff, __builtin_bit_cast(__m512, p), __builtin_bit_cast(__m512, n)));
#else
  // In two factors: 128 is one past the largest exponent.
  const vi whole = __builtin_convertvector(n, vi), half = whole >> 1;
  return p * __builtin_bit_cast(vf, (half + 127) << 23) * __builtin_bit_cast(vf, (whole - half + 127) << 23);
#endif
}

// e^x to about 1 ulp: 2^n * p(r), |r| <= ln 2 / 2, r by a two-part ln 2 (Cody and Waite). 0 below -87.3, inf above
// 88.7; NaN stays.
inline vf exp(vf x) {
  const vf low = splat(-87.33654f), high = splat(89.0f);
  const vf above = low > x ? low : x, clamped = high < above ? high : above;  // in this order a NaN passes
  const vf magic = splat(12582912.0f);  // 1.5 * 2^23: adding it rounds to the nearest integer
  const vf n = (clamped * 1.44269504f + magic) - magic;
  const vf r = (clamped - n * 0.693359375f) + n * 2.12194440e-4f;
  vf p = splat(1.9875691500e-4f);
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  return x < low ? vf{} : scale_by_power(p, n);
}

// 2^x for the softmax, x <= 0 up to rounding: 4e-7 relative, 1 at 0, 2^-125 for all below (never subnormal: those are
// slow).
inline vf exp2_below(vf x) {
  const vf magic = splat(12582912.0f), clamped = max(x, splat(-125.0f));
  const vf shifted = clamped + magic;  // the nearest integer n in the lowest bits
  const vf r = clamped - (shifted - magic);
  vf p = splat(1.11255077e-3f);
  p = p * r + 9.666282525e-3f;
  p = p * r + 5.557400473e-2f;
  p = p * r + 2.402235065e-1f;
  p = p * r + 6.931428306e-1f;
  p = p * r + 1.0f;
  // Unsigned: in lanes that hold no score x is anything, and its result is not used.
  return __builtin_bit_cast(vf, __builtin_bit_cast(vu, p) + (__builtin_bit_cast(vu, shifted) << 23));
}

// Calls body with a value of the dtype's element type: dispatch(dtype, [&](auto zero) { using T = decltype(zero); ...
// }).
template <class F>
inline void dispatch(int dtype, F body) {
  if (dtype == MSM_BF16) body(bf16{});
  else body(float{});
}

}  // namespace msm
