// Instructions of sm_90a under their PTX names: mbarrier, the bulk copies of the tensor memory accelerator (TMA),
// wgmma, setmaxnreg (PTX ISA, "Parallel Synchronization and Communication: mbarrier", "Data Movement: bulk copy",
// "Asynchronous Warpgroup Level Matrix Instructions"). emulator/hopper.h gives them their documented meaning on the
// CPU.
#pragma once
#include "ptx.cuh"

// Set where a kernel's body can use them. The library is compiled for other architectures too, where the kernel must be
// a trap.
#if defined(MSM_EMULATED) || defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define MSM_SM90A
#endif

#ifdef MSM_EMULATED
#include "emulator/hopper.h"
#else
#include <cuda.h>

namespace msm {

// ------------------------------------------------------------------------------------------------------------ mbarrier
// 8 bytes of shared memory. A phase is complete when `count` arrivals and all announced bytes have come; the next
// begins at once.

__device__ __forceinline__ void mbarrier_init(uint64_t* barrier, int count) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;\n" ::"r"(shared_address(barrier)), "r"(count) : "memory");
}
// To be called by the thread that initialised barriers, before the __syncthreads() after which others use them: TMA
// sees them too.
__device__ __forceinline__ void fence_mbarrier_init() {
  asm volatile("fence.mbarrier_init.release.cluster;\n" ::: "memory");
}

__device__ __forceinline__ void mbarrier_arrive(uint64_t* barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];\n" ::"r"(shared_address(barrier)) : "memory");
}
// Arrives, and lets the phase wait for `bytes` more.
__device__ __forceinline__ void mbarrier_arrive_expect_tx(uint64_t* barrier, int bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;\n" ::"r"(shared_address(barrier)), "r"(bytes)
               : "memory");
}
// Waits until the phase of this parity (0 for the first, 1 for the second, 0 ...) is complete: at most one phase
// behind.
__device__ __forceinline__ void mbarrier_wait(uint64_t* barrier, int parity) {
  uint32_t complete;
  do {
    asm volatile(
        "{\n.reg .pred complete;\nmbarrier.try_wait.parity.shared::cta.b64 complete, [%1], %2;\nselp.u32 %0, 1, 0, "
        "complete;\n}\n"
        : "=r"(complete)
        : "r"(shared_address(barrier)), "r"(parity)
        : "memory");
  } while (!complete);
}

// ----------------------------------------------------------------------------------------------------------------- TMA

// Copies the box at (col, row) of the map's matrix to shared memory (aligned to 1024 bytes where the map swizzles) and
// reports its bytes to the barrier; zeros where the box leaves the matrix, counted too.
__device__ __forceinline__ void cp_async_bulk_tensor_2d(void* shared, const CUtensorMap* map, int col, int row,
                                                        uint64_t* barrier) {
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4}], "
      "[%2];\n" ::"r"(shared_address(shared)),
      "l"(map), "r"(shared_address(barrier)), "r"(col), "r"(row)
      : "memory");
}
// Copies `bytes` (a multiple of 16) to shared memory and reports them to the barrier. Both addresses are multiples of
// 16.
__device__ __forceinline__ void cp_async_bulk(void* shared, const void* source, int bytes, uint64_t* barrier) {
  asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];\n" ::"r"(
                   shared_address(shared)),
               "l"(source), "r"(bytes), "r"(shared_address(barrier))
               : "memory");
}
__device__ __forceinline__ void prefetch_tensormap(const CUtensorMap* map) {
  asm volatile("prefetch.tensormap [%0];\n" ::"l"(map) : "memory");
}
// Makes this thread's ordinary stores to shared memory visible to TMA and wgmma, once a barrier has ordered them.
__device__ __forceinline__ void fence_proxy_async() { asm volatile("fence.proxy.async.shared::cta;\n" ::: "memory"); }

// ---------------------------------------------------------------------------------------------------------- warpgroups

// Registers a thread of the calling warpgroup from here on; a multiple of 8.
template <int registers>
__device__ __forceinline__ void setmaxnreg_inc() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;\n" ::"n"(registers));
}
template <int registers>
__device__ __forceinline__ void setmaxnreg_dec() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;\n" ::"n"(registers));
}

// Orders register accesses before a wgmma: to be called before the first of a group.
__device__ __forceinline__ void wgmma_fence() { asm volatile("wgmma.fence.sync.aligned;\n" ::: "memory"); }
// Closes a group of the wgmmas that this warpgroup began.
__device__ __forceinline__ void wgmma_commit_group() {
  asm volatile("wgmma.commit_group.sync.aligned;\n" ::: "memory");
}
// Waits until at most `pending` groups are under way. `sums` are the accumulators that are complete then: the compiler
// may not read them earlier.
template <int pending, int... registers>
__device__ __forceinline__ void wgmma_wait_group(float (&... sums)[registers]) {
  asm volatile("wgmma.wait_group.sync.aligned %0;\n" ::"n"(pending) : "memory");
  const auto fence = [](float* sum, int count) {
#pragma unroll
    for (int i = 0; i < count; i++) asm volatile("" : "+f"(sum[i])::"memory");
  };
  (fence(sums, registers), ...);
}

// Keeps waits that follow in the code behind the computation of x. ptxas knows no reason not to wait at once, and what
// should overlap with a wgmma would come after it: this is a scheduling border that depends on x. It sleeps for a
// nanosecond where x is one certain NaN.
__device__ __forceinline__ void wait_after(float x) {
  asm volatile("{\n.reg .pred certain;\nsetp.eq.b32 certain, %0, 0xffbadbad;\n@certain nanosleep.u32 1;\n}\n" ::"r"(
                   __float_as_uint(x))
               : "memory");
}

// d += a b (wgmma_first: d = a b), a 64x16 (row), b 16xn (column), d 64xn f32, bf16 inputs: wgmma.m64nNk16, n = 2 *
// registers of d. d of a warp's rows as mma_bf16 has it, 8 columns after the other; a in registers as mma_bf16 has it,
// or by a descriptor. `b_n_major`: n is contiguous in shared memory, not k. Done when waited for; until then neither d
// nor the operands in shared memory may be touched.
#define MSM_D8(c, i) c(d[i]), c(d[i + 1]), c(d[i + 2]), c(d[i + 3]), c(d[i + 4]), c(d[i + 5]), c(d[i + 6]), c(d[i + 7])
#define MSM_D32(c, i) MSM_D8(c, i), MSM_D8(c, i + 8), MSM_D8(c, i + 16), MSM_D8(c, i + 24)
// clang-format off
#define MSM_R32                                                                                                      \
  "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "                                           \
  "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
#define MSM_R64                                                                                                      \
  MSM_R32 ", %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "                       \
          "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
// clang-format on

template <bool b_n_major>
__device__ __forceinline__ void wgmma_first(float (&d)[32], uint64_t a, uint64_t b) {
  asm volatile(
      "{\n.reg .pred add;\nsetp.ne.b32 add, 0, 0;\nwgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {" MSM_R32
      "}, %32, %33, add, 1, 1, 0, %34;\n}\n"
      : MSM_D32("=f", 0)
      : "l"(a), "l"(b), "n"(static_cast<int>(b_n_major)));
}
template <bool b_n_major>
__device__ __forceinline__ void wgmma(float (&d)[32], uint64_t a, uint64_t b) {
  asm volatile(
      "{\n.reg .pred add;\nsetp.eq.b32 add, 0, 0;\nwgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {" MSM_R32
      "}, %32, %33, add, 1, 1, 0, %34;\n}\n"
      : MSM_D32("+f", 0)
      : "l"(a), "l"(b), "n"(static_cast<int>(b_n_major)));
}
template <bool b_n_major>
__device__ __forceinline__ void wgmma(float (&d)[32], const uint32_t (&a)[4], uint64_t b) {
  asm volatile(
      "{\n.reg .pred add;\nsetp.eq.b32 add, 0, 0;\nwgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {" MSM_R32
      "}, {%32, %33, %34, %35}, %36, add, 1, 1, %37;\n}\n"
      : MSM_D32("+f", 0)
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "n"(static_cast<int>(b_n_major)));
}
template <bool b_n_major>
__device__ __forceinline__ void wgmma_first(float (&d)[64], uint64_t a, uint64_t b) {
  asm volatile(
      "{\n.reg .pred add;\nsetp.ne.b32 add, 0, 0;\nwgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {" MSM_R64
      "}, %64, %65, add, 1, 1, 0, %66;\n}\n"
      : MSM_D32("=f", 0), MSM_D32("=f", 32)
      : "l"(a), "l"(b), "n"(static_cast<int>(b_n_major)));
}
template <bool b_n_major>
__device__ __forceinline__ void wgmma(float (&d)[64], uint64_t a, uint64_t b) {
  asm volatile(
      "{\n.reg .pred add;\nsetp.eq.b32 add, 0, 0;\nwgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {" MSM_R64
      "}, %64, %65, add, 1, 1, 0, %66;\n}\n"
      : MSM_D32("+f", 0), MSM_D32("+f", 32)
      : "l"(a), "l"(b), "n"(static_cast<int>(b_n_major)));
}
template <bool b_n_major>
__device__ __forceinline__ void wgmma(float (&d)[64], const uint32_t (&a)[4], uint64_t b) {
  asm volatile(
      "{\n.reg .pred add;\nsetp.eq.b32 add, 0, 0;\nwgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {" MSM_R64
      "}, {%64, %65, %66, %67}, %68, add, 1, 1, %69;\n}\n"
      : MSM_D32("+f", 0), MSM_D32("+f", 32)
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "n"(static_cast<int>(b_n_major)));
}
#undef MSM_D8
#undef MSM_D32
#undef MSM_R32
#undef MSM_R64

}  // namespace msm
#endif

namespace msm {

// Descriptor of a wgmma operand in shared memory, in rows of 128 bytes with the 128-byte swizzle, that begins at
// `shared` (in a matrix aligned to 1024): 8 rows lie `stride` bytes after the 8 before them; where m or n is
// contiguous, its next 64 elements lie `leading` bytes further. PTX ISA, "Matrix descriptor format": start address,
// leading and stride byte offset in units of 16 bytes, swizzle mode 1 in the top bits.
__device__ __forceinline__ uint64_t wgmma_descriptor(const void* shared, int leading, int stride) {
  const auto field = [](uint32_t bytes) { return static_cast<uint64_t>((bytes & 0x3ffff) >> 4); };
  return field(shared_address(shared)) | field(static_cast<uint32_t>(leading)) << 16 |
         field(static_cast<uint32_t>(stride)) << 32 | 1ull << 62;
}
// The descriptor of what begins `bytes` further: an addition in its lower half, so that a product of many parts
// computes its addresses but once.
__device__ __forceinline__ uint64_t descriptor_at(uint64_t descriptor, int bytes) {
  return (descriptor & 0xffffffff00000000) | (static_cast<uint32_t>(descriptor) + static_cast<uint32_t>(bytes >> 4));
}

}  // namespace msm
