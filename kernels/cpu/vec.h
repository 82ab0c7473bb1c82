// Vectors of f32 by the compiler's vector extensions: the same source becomes AVX-512, AVX2, NEON or SSE. bf16 is widened on
// load and rounded to nearest even on store.
// defines: bf16, vf, load, store, load_partial, store_partial, sum, max, exp, dispatch
#pragma once
#include <math.h>
#include <stdint.h>
#include <string.h>
#if defined(__AVX512BF16__)
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
inline void store(bf16* p, vf v) {
#if defined(__AVX512BF16__)
  const __m256bh h = _mm512_cvtneps_pbh(__builtin_bit_cast(__m512, v));
  memcpy(p, &h, sizeof h);
#else
  const vu u = __builtin_bit_cast(vu, v);
  const vu rounded = (u + 0x7fff + ((u >> 16) & 1)) >> 16;
  const vu quiet = (u >> 16) | 0x40;  // rounding would carry a NaN's mantissa into infinity or zero
  const vh h = __builtin_convertvector(v == v ? rounded : quiet, vh);
  memcpy(p, &h, sizeof h);
#endif
}

// The first n < W elements; the others read as 0.
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

inline float sum(vf v) {
  float s[W];
  store(s, v);
  for (int w = W / 2; w > 0; w /= 2)
    for (int i = 0; i < w; i++) s[i] += s[i + w];
  return s[0];
}
inline float max(vf v) {
  float s[W];
  store(s, v);
  for (int w = W / 2; w > 0; w /= 2)
    for (int i = 0; i < w; i++) s[i] = s[i] > s[i + w] ? s[i] : s[i + w];
  return s[0];
}
inline vf max(vf a, vf b) { return a > b ? a : b; }

// e^x to about 1 ulp: 2^n * p(r), |r| <= ln 2 / 2, r by a two-part ln 2 (Cody and Waite). 0 below -87.3, inf above 88.7; NaN stays.
inline vf exp(vf x) {
  const vf low = splat(-87.33654f), high = splat(88.72283f);
  const vf clamped = x < low ? low : x > high ? high : x;
  const vf scaled = clamped * 1.44269504f;
  const vf magic = splat(12582912.0f);  // 1.5 * 2^23: adding it rounds to the nearest integer
  const vf n = (scaled + magic) - magic;
  const vf r = (clamped - n * 0.693359375f) + n * 2.12194440e-4f;
  vf p = splat(1.9875691500e-4f);
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  // 2^n in two factors: n may be 128, one past the largest exponent.
  const vi half = __builtin_convertvector(n, vi) >> 1, rest = __builtin_convertvector(n, vi) - half;
  const vi bits_half = (half + 127) << 23, bits_rest = (rest + 127) << 23;
  p = p * __builtin_bit_cast(vf, bits_half) * __builtin_bit_cast(vf, bits_rest);
  p = x < low ? vf{} : p;
  p = x > high ? splat(INFINITY) : p;
  return x == x ? p : x;
}

// Calls body with a value of the dtype's element type: dispatch(dtype, [&](auto zero) { using T = decltype(zero); ... }).
template <class F>
inline void dispatch(int dtype, F body) {
  if (dtype == MSM_BF16)
    body(bf16{});
  else
    body(float{});
}

}  // namespace msm
