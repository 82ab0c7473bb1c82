#!/usr/bin/env bash
# Packs what scripts/gpu-check.sh needs besides a plain checkout, for a machine without a network: node, the packages,
# dist and the kernels.
#
#   scripts/gpu-bundle.sh [FILE]     (default build/gpu-bundle.tar.xz; 43 MB at most)
#
# Unpack it in the checkout's root, or let gpu-check.sh do so. `npm ci`, `npm run build` and `npm run build:cuda` come
# first.
set -euo pipefail
cd "$(dirname "$0")/.."
MAX_BYTES=43000000
file=${1:-build/gpu-bundle.tar.xz}
library=build/cuda/libmsm_cuda.so

for needed in node_modules/vitest dist/cli.js build/cpu/portable/libmsm_cpu.so; do
  [ -e "$needed" ] || { echo "gpu-bundle: $needed is missing: run \`npm ci\` and \`npm run build\` first" >&2; exit 1; }
done
[ -e "$library" ] || echo "gpu-bundle: there is no $library: the other machine must build it (nvcc)" >&2

mkdir -p build/bundle
strip -o build/bundle/node "$(command -v node)"
{
  echo build/bundle/node
  echo dist
  [ ! -e "$library" ] || echo "$library"
  find build/cpu -name '*.so'
  node scripts/bundle-packages.mjs
} >build/bundle/contents
# Types, maps and documents are for reading; echarts' dist repeats its lib.
tar --exclude='*.map' --exclude='*.d.ts' --exclude='*.d.mts' --exclude='*.d.cts' --exclude='*.md' \
  --exclude='node_modules/echarts/dist' --exclude='node_modules/zrender/dist' \
  --owner=0 --group=0 --sort=name -cf - -T build/bundle/contents | xz -T0 -6 >"$file"

bytes=$(stat -c %s "$file")
echo "$file: $((bytes / 1000000)) MB"
if [ "$bytes" -gt "$MAX_BYTES" ]; then
  echo "gpu-bundle: more than $((MAX_BYTES / 1000000)) MB" >&2
  exit 1
fi
