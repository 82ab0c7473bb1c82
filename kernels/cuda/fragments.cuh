// Tiles in shared memory, and how the operands of mma.m16n8k16 are read from them. A tile is rows of whole 16-byte
// chunks; the chunks of a row are permuted so that the eight rows of an ldmatrix lie in different banks.
// defines: chunk_at, ReadA, ReadB
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

// Where a lane reads the blocks of a tile: a chunk at row own_row, chunk own_chunk (0 or 1) of each. In loops the
// compiler would keep every address in a register of its own; what depends on the lane is hidden from it (opaque), so
// that it keeps one and computes the others where they are needed.
template <int chunks>
struct BlockReader {
  const bf16* own;
  unsigned turned;
  __device__ __forceinline__ BlockReader(const bf16* tile, unsigned own_row, unsigned own_chunk)
      : own(tile + own_row * chunks * VEC<bf16>),
        turned(opaque(own_chunk ^ (own_row / (8 / TURN<chunks>) % TURN<chunks>))) {}
  // row, col: multiples of 8 and 16.
  __device__ __forceinline__ const bf16* at(int row, int col) const {
    const unsigned chunk = static_cast<unsigned>(col) / VEC<bf16>, within = chunk % TURN<chunks>;
    return own + (within ^ turned) * VEC<bf16> + (row * chunks + static_cast<int>(chunk - within)) * VEC<bf16>;
  }
};

// Reads a fragments (see mma_bf16) of a tile whose rows are m.
template <int chunks>
struct ReadA : BlockReader<chunks> {
  __device__ __forceinline__ explicit ReadA(const bf16* tile)
      : BlockReader<chunks>(tile, threadIdx.x % 16, threadIdx.x % WARP / 16) {}
  // Of the 16 x 16 block at (m, k).
  __device__ __forceinline__ void load(uint32_t (&fragment)[4], int m, int k) const {
    ldmatrix_x4(fragment, this->at(m, k));
  }
};

// Reads b fragments of a tile whose rows are n; with `trans` they are k.
template <int chunks, bool trans>
struct ReadB : BlockReader<chunks> {
  __device__ __forceinline__ explicit ReadB(const bf16* tile)
      : BlockReader<chunks>(tile, trans ? threadIdx.x % 16 : threadIdx.x % WARP / 16 * 8 + threadIdx.x % 8,
                            trans ? threadIdx.x % WARP / 16 : threadIdx.x / 8 % 2) {}
  // Of the two 16 x 8 blocks at (k, n) and (k, n + 8).
  __device__ __forceinline__ void load(uint32_t (&fragment)[4], int k, int n) const {
    if (trans) ldmatrix_x4_trans(fragment, this->at(k, n));
    else ldmatrix_x4(fragment, this->at(n, k));
  }
};

}  // namespace msm
