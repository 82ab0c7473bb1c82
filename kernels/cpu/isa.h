// Which instruction set this build of the library is for. The Makefile compiles the same sources once for each
// (build/cpu/<isa>/libmsm_cpu.so); the host asks the portable one which is the best that the processor runs
// (msm_cpu_isas) and loads that.
#pragma once

namespace msm {
const char* isa_name();
bool isa_supported();
}  // namespace msm
