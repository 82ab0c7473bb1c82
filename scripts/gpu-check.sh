#!/usr/bin/env bash
# Everything that needs a GPU, in one go, from a plain checkout on a machine with an NVIDIA driver, and without a
# network: builds, tests, measures.
#
#   scripts/gpu-check.sh [all | build | test | bench] [--backend cuda-emulated]
#
# Node comes from the PATH or from the bundle that scripts/gpu-bundle.sh packed (GPU_BUNDLE, or
# build/gpu-bundle.tar.xz), which also brings the packages, dist and the CUDA library. nvcc builds the library where the
# bundle has none. Python with PyTorch, transformers and peft are the peers; what is missing is said. Results go to
# $OUT, or to bench/results. `--backend cuda-emulated` goes through the same on the emulated GPU, as far as it can: a
# test of this script.
set -uo pipefail
cd "$(dirname "$0")/.."
what=all
backend=cuda
while [ $# -gt 0 ]; do
  case $1 in
    all | build | test | bench) what=$1 ;;
    --backend) backend=${2:?--backend needs a name}; shift ;;
    *) echo "gpu-check: unknown argument $1" >&2; exit 2 ;;
  esac
  shift
done
out=${OUT:-bench/results}
mkdir -p "$out"
failed=0

# step NAME COMMAND...: its output goes to the console and to a log.
step() {
  local name=$1 began=$SECONDS
  shift
  echo "=== $name: $*"
  if "$@" 2>&1 | tee "$out/$name.log"; then
    echo "=== $name: ok, $((SECONDS - began)) s"
  else
    failed=1
    echo "=== $name: FAILED, $((SECONDS - began)) s"
  fi
}

unpack() {
  if command -v xz >/dev/null; then tar -xJf "$1"; else python3 -m tarfile -e "$1"; fi
}

bundle=${GPU_BUNDLE:-build/gpu-bundle.tar.xz}
if [ ! -d node_modules ] && [ -f "$bundle" ]; then
  echo "unpacking $bundle"
  unpack "$bundle" || exit 1
fi
if ! command -v node >/dev/null && [ -x build/bundle/node ]; then PATH=$PWD/build/bundle:$PATH; fi
command -v node >/dev/null || { echo "gpu-check: no node, and no bundle with one at $bundle" >&2; exit 1; }
[ -d node_modules/vitest ] || { echo "gpu-check: no node_modules: run \`npm ci\`, or bring the bundle" >&2; exit 1; }
[ -f dist/cli.js ] || step compile node node_modules/typescript/bin/tsc -p tsconfig.build.json

step cpu make -C kernels --silent -j"$(nproc)" cpu
if [ "$backend" = cuda ]; then
  [ "$what" != build ] && [ -f build/cuda/libmsm_cuda.so ] || step build node scripts/build-kernels.mjs cuda-all
else
  step build make -C kernels --silent -j"$(nproc)" cuda-emulated
fi
step doctor node dist/cli.js doctor

export NO_COLOR=1
if [ "$what" = all ] || [ "$what" = test ]; then
  export MSM_TEST_BACKEND=$backend
  tests=()
  [ "$backend" = cuda ] || tests=(--project cuda-emulated)
  step test node node_modules/vitest/vitest.mjs run "${tests[@]}"
  unset MSM_TEST_BACKEND
fi
if [ "$what" = all ] || [ "$what" = bench ]; then
  step bench node scripts/bench-gpu.mjs --backend "$backend" --out "$out"
fi
exit "$failed"
