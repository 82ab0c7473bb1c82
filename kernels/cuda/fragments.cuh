// Tiles in shared memory, and how the operands of mma.m16n8k16 are read from them. A tile is rows of whole 16-byte chunks; the chunks of a row are
// permuted so that the eight rows of an ldmatrix lie in different banks.
// defines: chunk_at, block_at, load_a, load_b
#pragma once
#include "ptx.cuh"

namespace msm {

// What chunks of a row are exchanged with: 8 / turn consecutive rows lie in different banks by themselves.
template <int chunks>
constexpr int TURN = (chunks & -chunks) < 8 ? (chunks & -chunks) : 8;

// Element offset of a chunk in a tile whose rows have `chunks` of them.
template <int chunks, class T = bf16>
__device__ __forceinline__ unsigned chunk_at(unsigned row, unsigned chunk) {
  constexpr unsigned turn = TURN<chunks>;
  return (row * chunks + (chunk ^ (row / (8 / turn) % turn))) * VEC<T>;
}

// What a lane reads of a tile's block at (row, col), multiples of 8 and 16: its chunk at row + own_row, col / 8 + own_chunk (0 or 1). Few addresses depend
// on the lane; what depends on the block is added to them, so that in unrolled loops it becomes part of the instruction.
template <int chunks>
__device__ __forceinline__ const bf16* block_at(const bf16* tile, int row, int col, unsigned own_row, unsigned own_chunk) {
  constexpr int turn = TURN<chunks>;
  const int chunk = col / VEC<bf16>, within = chunk % turn;
  return tile + opaque(chunk_at<chunks>(own_row, static_cast<unsigned>(within) ^ own_chunk)) + (row * chunks + chunk - within) * VEC<bf16>;
}

// The a fragments (see mma_bf16) of the 16 x 16 block at (m, k). The tile's rows are m; with `trans` they are k.
template <int chunks, bool trans>
__device__ __forceinline__ void load_a(uint32_t (&fragment)[4], const bf16* tile, int m, int k, unsigned lane) {
  if (trans) ldmatrix_x4_trans(fragment, block_at<chunks>(tile, k, m, lane / 16 * 8 + lane % 8, lane / 8 % 2));
  else ldmatrix_x4(fragment, block_at<chunks>(tile, m, k, lane % 16, lane / 16));
}

// The b fragments of the two 16 x 8 blocks at (k, n) and (k, n + 8). The tile's rows are n; with `trans` they are k.
template <int chunks, bool trans>
__device__ __forceinline__ void load_b(uint32_t (&fragment)[4], const bf16* tile, int k, int n, unsigned lane) {
  if (trans) ldmatrix_x4_trans(fragment, block_at<chunks>(tile, k, n, lane % 16, lane / 16));
  else ldmatrix_x4(fragment, block_at<chunks>(tile, n, k, lane / 16 * 8 + lane % 8, lane / 8 % 2));
}

}  // namespace msm
