// The arguments of the backward's kernels.
// defines: Backward
#pragma once
#include "attention.cuh"

namespace msm {

template <class T>
struct Backward {
  Matrix<T> dq, dk, dv;
  Matrix<const T> dout, out, q, k, v;
  const float* lse;
  const int32_t* starts;
  float scale;
  int N, H, group, E;
  bool aligned;
  // The workspace.
  float* delta;   // dout . out [H, N]
  int32_t* ends;  // at a segment's first row, its end [N]
};

}  // namespace msm
