// Instructions of sm_80 and newer that CUDA C++ has no function for, under their PTX names (PTX ISA, "Warp-level matrix
// instructions" and "Data movement: cp.async"). emulator/ptx.h gives them their documented meaning on the CPU.
#pragma once
#include "device.cuh"

#ifdef MSM_EMULATED
#include "emulator/ptx.h"
#else
namespace msm {

__device__ __forceinline__ uint32_t shared_address(const void* pointer) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(pointer));
}

// Copies 16 bytes from global to shared memory without registers; 16 zeros where `valid` is false (`source` is then not
// read). Both aligned to 16.
__device__ __forceinline__ void cp_async16(void* shared, const void* source, bool valid = true) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;\n" ::"r"(shared_address(shared)), "l"(source),
               "r"(valid ? 16 : 0)
               : "memory");
}
// Closes a group of the copies that this thread began.
__device__ __forceinline__ void cp_async_commit() { asm volatile("cp.async.commit_group;\n" ::: "memory"); }
// Waits until at most `pending` of this thread's groups are under way; a __syncthreads() must follow before others
// read.
template <int pending>
__device__ __forceinline__ void cp_async_wait() {
  asm volatile("cp.async.wait_group %0;\n" ::"n"(pending) : "memory");
}

// Barrier `id` (1 to 15; 0 is __syncthreads) for `threads` threads, a multiple of 32: sync waits until that many have
// come, arrive does not wait.
__device__ __forceinline__ void named_barrier_sync(int id, int threads) {
  asm volatile("bar.sync %0, %1;\n" ::"r"(id), "r"(threads) : "memory");
}
__device__ __forceinline__ void named_barrier_arrive(int id, int threads) {
  asm volatile("bar.arrive %0, %1;\n" ::"r"(id), "r"(threads) : "memory");
}

// Four 8x8 matrices of 16-bit elements: lane i gives the address of row i % 8 of matrix i / 8, and receives in out[m]
// elements 2 * (lane % 4) and the next of row lane / 4 of matrix m. `_trans`: of the transposed matrices.
__device__ __forceinline__ void ldmatrix_x4(uint32_t (&out)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];\n"
               : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
               : "r"(shared_address(row))
               : "memory");
}
__device__ __forceinline__ void ldmatrix_x4_trans(uint32_t (&out)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];\n"
               : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
               : "r"(shared_address(row))
               : "memory");
}

// d += a b: a 16x16 (row), b 16x8 (column), d 16x8 f32, bf16 inputs. mma.m16n8k16:
// a[0], a[1], a[2], a[3]: rows lane / 4, + 8, and the same rows at columns + 8; columns 2 * (lane % 4) and the next.
// b[0], b[1]: rows 2 * (lane % 4) and the next, + 8; column lane / 4.  d[0..1]: row lane / 4, columns 2 * (lane % 4)
// and the next; d[2..3]: row + 8.
__device__ __forceinline__ void mma_bf16(float (&d)[4], const uint32_t (&a)[4], const uint32_t b0, const uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, "
      "%3};\n"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// 2^x by the hardware's approximation (2 ulp); 0 for -inf.
__device__ __forceinline__ float exp2_approx(float x) {
  float out;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(out) : "f"(x));
  return out;
}

// x, of which the compiler forgets that it was the same before: nothing that is computed from it is kept over a loop.
__device__ __forceinline__ unsigned opaque(unsigned x) {
  asm volatile("" : "+r"(x));
  return x;
}

// The block's dynamic shared memory, aligned to 1024 bytes at most by the launch (128 guaranteed).
__device__ __forceinline__ unsigned char* dynamic_shared() {
  extern __shared__ __align__(1024) unsigned char memory[];
  return memory;
}

}  // namespace msm
#endif
