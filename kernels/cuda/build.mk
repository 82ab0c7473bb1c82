# The CUDA kernels, included by ../Makefile.
#   make cuda            BUILD/cuda/libmsm_cuda.so with nvcc, for every architecture that it knows, and
#                        BUILD/cuda/report.txt: registers, shared memory and spills of every kernel
#   make cuda ARCHS=90a  for one of them
#   make cuda-check      the same, and fails where a kernel spills
#   make cuda-emulated   the same sources with the C++ compiler: BUILD/cuda-emulated/libmsm_cuda_emulated.so runs
#                        them on the CPU (SANITIZE=1: BUILD/cuda-emulated-sanitized)
NVCC ?= nvcc

CUDA_SOURCES := $(wildcard cuda/*.cu)
# Compilers write what each object includes beside it.
DEPENDENCIES := -MMD -MP

# ------------------------------------------------------------------------------------------------------------------ GPU

CUDA_OUT := $(BUILD)/cuda
# Hopper's own instructions (wgmma, TMA) need 90a. Code for 8.0 runs on all of 8.x, for 10.0 on all of 10.x; 8.6 and 8.9
# have less shared memory, for which the compiler schedules otherwise.
ARCHS ?= $(foreach arch,80 86 89 90a 100 120,$(if $(filter sm_$(arch:a=),$(NVCC_ARCHS)),$(arch)))
NVCC_ARCHS = $(shell $(NVCC) --list-gpu-code)
# The driver compiles PTX of the newest one for what comes after it.
GENCODE = $(foreach arch,$(ARCHS),-gencode arch=compute_$(arch),code=sm_$(arch)) \
          $(foreach arch,$(PTX),-gencode arch=compute_$(arch),code=compute_$(arch))
PTX = $(filter-out %a,$(lastword $(ARCHS)))
# Objects of each choice of architectures, so that one does not link another's.
empty :=
CUDA_OBJECTS_OUT = $(CUDA_OUT)/$(subst $(empty) ,-,$(strip $(ARCHS)))
CUDA_OBJECTS = $(CUDA_SOURCES:cuda/%.cu=$(CUDA_OBJECTS_OUT)/%.o)
CUDA_LIBRARY := $(CUDA_OUT)/libmsm_cuda.so
CUDA_FLAGS := -std=c++17 -O3 -Xptxas -v -Werror all-warnings \
              -Xcompiler -fPIC,-fvisibility=hidden,-fno-gnu-unique,-Wall,-Wextra,-Werror
ifeq ($(PACKAGE),1)
CUDA_FLAGS += -Xfatbin -compress-all
endif

cuda:
	@$(MAKE) --no-print-directory cuda-library ARCHS="$(ARCHS)"

cuda-check: cuda
	@node ../scripts/cuda-report.mjs --check $(CUDA_OUT)/report.txt

# Rules name ARCHS, for which nvcc must be asked: only where it is there for sure.
ifneq ($(filter cuda-library,$(MAKECMDGOALS)),)
cuda-library: $(CUDA_OUT)/report.txt

$(CUDA_OUT)/report.txt: $(CUDA_LIBRARY) ../scripts/cuda-report.mjs
	@node ../scripts/cuda-report.mjs $(CUDA_OBJECTS:=.ptxas) > $@

$(CUDA_LIBRARY): $(CUDA_OUT)/archs $(CUDA_OBJECTS)
	@echo "  ld  $@"
	@$(NVCC) -shared -cudart static $(CUDA_OBJECTS) -Xlinker --exclude-libs,ALL -o $@

# Written when other architectures are asked for than the library has.
$(CUDA_OUT)/archs: FORCE
	@mkdir -p $(@D)
	@echo "$(ARCHS)" | cmp -s - $@ || echo "$(ARCHS)" > $@

# What ptxas says of the kernels comes with the errors; it is kept for the report, and shown where there are any.
$(CUDA_OBJECTS_OUT)/%.o: cuda/%.cu cuda/build.mk
	@mkdir -p $(@D)
	@echo "  nvcc $@"
	@$(NVCC) $(CUDA_FLAGS) $(DEPENDENCIES) $(GENCODE) -c $< -o $@ 2> $@.ptxas || { cat $@.ptxas; exit 1; }

-include $(CUDA_OBJECTS:.o=.d)
endif

# ------------------------------------------------------------------------------------------------------------- emulated

EMULATED_OUT := $(BUILD)/cuda-emulated
# cuda.h gives CUDA's names their meaning. Pragmas are nvcc's. Built for this machine: the emulator only ever tests
# here.
EMULATED_FLAGS := -std=c++17 -march=native -fPIC -fopenmp -fno-math-errno -fvisibility=hidden -fno-gnu-unique \
                  -Wall -Wextra -Werror -Wno-unknown-pragmas -Wno-psabi -DMSM_EMULATED -include cuda/emulator/cuda.h
ifeq ($(SANITIZE),1)
EMULATED_OUT := $(BUILD)/cuda-emulated-sanitized
EMULATED_FLAGS += -fsanitize=address,undefined -fno-sanitize-recover=undefined -g1 -O1 -DMSM_EMULATED_BLACKWELL
EMULATED_LDFLAGS := -fsanitize=address,undefined
else
EMULATED_FLAGS += -O2
endif
EMULATED_SOURCES := $(filter-out cuda/context.cu,$(CUDA_SOURCES)) $(wildcard cuda/emulator/*.cpp)
EMULATED_OBJECTS := $(EMULATED_SOURCES:cuda/%=$(EMULATED_OUT)/%.o)
EMULATED_LIBRARY := $(EMULATED_OUT)/libmsm_cuda_emulated.so

cuda-emulated: $(EMULATED_LIBRARY)

$(EMULATED_LIBRARY): $(EMULATED_OBJECTS)
	@echo "  ld  $@"
	@$(CXX) $^ -shared -fopenmp -Wl,-z,nodelete $(EMULATED_LDFLAGS) -o $@

$(EMULATED_OUT)/%.o: cuda/% cuda/build.mk
	@mkdir -p $(@D)
	@echo "  c++ $@"
	@$(CXX) $(EMULATED_FLAGS) $(DEPENDENCIES) -x c++ -c $< -o $@

# Kernels with defects that the emulator must show: test/ops/{emulator,hopper}.slow.test.ts.
emulator-test hopper-test: %: $(EMULATED_OUT)/%
$(EMULATED_OUT)/%-test: ../test/ops/%.cu $(EMULATED_OBJECTS)
	@$(CXX) $(EMULATED_FLAGS) -x c++ $< -x none $(EMULATED_OBJECTS) -ldl $(EMULATED_LDFLAGS) -o $@

-include $(EMULATED_OBJECTS:.o=.d)

.PHONY: cuda cuda-check cuda-library cuda-emulated emulator-test hopper-test FORCE
