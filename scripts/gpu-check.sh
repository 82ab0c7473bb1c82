#!/usr/bin/env bash
# What only a GPU can show, in stages of under four minutes, each useful alone: from a plain checkout on a machine with
# an NVIDIA driver, without a network. Results are written as they come, so an end at any moment leaves figures.
#
#   scripts/gpu-check.sh [STAGE ...] [--backend cuda-emulated]
#
#   ops        doctor, and every op against double precision
#   hopper     Hopper's kernels against those of every GPU; a test that hangs is ended and named
#   kernels    every kernel measured, with and without Hopper's, and PyTorch's beside
#   training   tokens/s of 0.6B and 7B models, PEFT beside
#   models     whole models, trajectories and generation against transformers + PEFT
#   widths     a step at real widths against transformers + PEFT
#   decoding   tokens/s of generation, transformers beside; loading; larger models
#   sanitizer  small op cases under compute-sanitizer: only where it is asked for
#
# Without a STAGE: all but the last, in this order. Node comes from the PATH or from the bundle that
# scripts/gpu-bundle.sh packed (GPU_BUNDLE, or build/gpu-bundle.tar.xz), which also brings the packages, dist and the
# kernels; what the bundle has not is built. Python with PyTorch, transformers and peft are the peers; what is missing
# is said. Results go to $OUT, or to bench/results. `--backend cuda-emulated` goes through the same on the emulated GPU,
# as far as it can: a rehearsal.
set -uo pipefail
cd "$(dirname "$0")/.."
STAGES=(ops hopper kernels training models widths decoding)
LIMIT_SECONDS=${GPU_CHECK_LIMIT:-235}
backend=cuda
stages=()
while [ $# -gt 0 ]; do
  case $1 in
    ops | hopper | kernels | training | models | widths | decoding | sanitizer) stages+=("$1") ;;
    --backend) backend=${2:?--backend needs a name}; shift ;;
    *) echo "gpu-check: unknown stage $1 (${STAGES[*]} sanitizer)" >&2; exit 2 ;;
  esac
  shift
done
[ ${#stages[@]} -gt 0 ] || stages=("${STAGES[@]}")
out=${OUT:-bench/results}
mkdir -p "$out"
failed=0

# step NAME COMMAND...: its output goes to the console and to a log; at the limit it is ended.
step() {
  local name=$1 began=$SECONDS status=0
  shift
  echo "=== $name: $*"
  export MSM_TEST_AT=$out/$name.at
  timeout -k 5 "$LIMIT_SECONDS" "$@" 2>&1 | tee "$out/$name.log" || status=$?
  if [ "$status" -eq 0 ]; then
    echo "=== $name: ok, $((SECONDS - began)) s"
  else
    failed=1
    [ "$status" -lt 124 ] ||
      echo "=== $name: ended at its limit of $LIMIT_SECONDS s, in: $(cat "$MSM_TEST_AT" 2>/dev/null)"
    echo "=== $name: FAILED, $((SECONDS - began)) s"
  fi
  rm -f "$MSM_TEST_AT"
}

# tests NAME FILE...: on the GPU; of the emulated one, ops and models.
tests() {
  local name=$1 vitest=(node node_modules/vitest/vitest.mjs run)
  shift
  case $backend/$name in
    cuda/*) MSM_TEST_BACKEND=cuda step "$name" "${vitest[@]}" "$@" ;;
    */ops) MSM_TEST_BUILD=cuda-emulated step "$name" "${vitest[@]}" --project slow "$@" ;;
    */models) step "$name" "${vitest[@]}" --project cuda-emulated test/model test/train ;;
    *) echo "=== $name: only on a GPU" ;;
  esac
}

bench() {
  step "$1" node scripts/bench-gpu.mjs "$1" --backend "$backend" --out "$out" --seconds "$((LIMIT_SECONDS - 10))"
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
[ -f build/cpu/portable/libmsm_cpu.so ] || step cpu node scripts/build-kernels.mjs
if [ "$backend" = cuda ]; then
  [ -f build/cuda/libmsm_cuda.so ] || step cuda node scripts/build-kernels.mjs cuda-all
else
  step cuda make -C kernels --silent -j"$(nproc)" cuda-emulated
fi

export NO_COLOR=1
for stage in "${stages[@]}"; do
  case $stage in
    ops)
      step doctor node dist/cli.js doctor
      tests ops test/ops/parity.test.ts
      ;;
    hopper) tests hopper test/gpu/hopper.test.ts test/gpu/built-in-products.test.ts ;;
    models) tests models test/model test/train test/ops/determinism.test.ts test/ops/independence.test.ts \
      test/ops/recording.test.ts test/ops/sample.test.ts ;;
    widths) tests widths test/gpu/real-widths.test.ts ;;
    sanitizer) tests sanitizer test/gpu/sanitizer.test.ts ;;
    kernels | training | decoding) bench "$stage" ;;
  esac
done
exit "$failed"
