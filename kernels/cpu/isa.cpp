// defines: isa_name, isa_supported, msm_cpu_isas
#include "isa.h"

#include <string.h>

#include "../ops.h"
#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace {

#if defined(__x86_64__)
// AMX tiles are 8 kB of state that Linux hands out on request only (arch_prctl ARCH_REQ_XCOMP_PERM, XTILEDATA).
bool amx_permitted() {
  unsigned a, b, c, d;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
  const bool amx_bf16 = d & (1u << 22), amx_tile = d & (1u << 24);
  return amx_bf16 && amx_tile && syscall(SYS_arch_prctl, 0x1023, 18) == 0;
}

bool avx512_bf16() {
  unsigned a, b, c, d;
  return __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & (1u << 5));
}
#endif

bool supports(const char* isa) {
  if (!strcmp(isa, "portable") || !strcmp(isa, "amx-emulated")) return true;
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
  if (!strcmp(isa, "avx2")) return avx2;
  if (!strcmp(isa, "avx512")) return avx512;
  if (!strcmp(isa, "avx512bf16")) return avx512 && avx512_bf16();
  if (!strcmp(isa, "amx")) return avx512 && avx512_bf16() && amx_permitted();
#endif
  return false;
}

const char* const BEST_FIRST[] = {"amx", "avx512bf16", "avx512", "avx2", "portable"};

}  // namespace

// The instruction sets that this processor runs, best first, comma-separated.
const char* msm_cpu_isas(void) {
  static char names[64];
  names[0] = 0;
  for (const char* isa : BEST_FIRST) {
    if (!supports(isa)) continue;
    if (names[0]) strcat(names, ",");
    strcat(names, isa);
  }
  return names;
}

namespace msm {
const char* isa_name() { return MSM_ISA; }
bool isa_supported() { return supports(MSM_ISA); }
}  // namespace msm
