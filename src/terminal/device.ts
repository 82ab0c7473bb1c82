/** @file The device in words, and what is missing on it. */
import type { BackendInfo } from "../backend/backend.js";
import { BUILD_COMMAND } from "../backend/native/build.js";
import { formatBytes } from "../train/memory.js";

/** First log lines of every run: what computes, and what would make it faster. */
export function describeDevice(info: BackendInfo): string[] {
  const { backend, isa, threads, onednn } = info;
  if (backend === "cuda") return describeGpu(info);
  const lines = [
    `${backend}: ${isa}, ${threads} thread${threads === 1 ? "" : "s"}${onednn ? `, oneDNN ${onednn}` : ""}`,
  ];
  if (backend === "cpu" && !onednn) lines.push(ONEDNN_HINT);
  return lines;
}

function describeGpu({ name, isa, memoryBytes, freeBytes, cublaslt, cublasltProblem }: BackendInfo): string[] {
  const memory = `${formatBytes(freeBytes ?? memoryBytes)} of ${formatBytes(memoryBytes)} free`;
  const lines = [`cuda: ${name}, ${isa}, ${memory}${cublaslt ? `, cuBLASLt ${cublaslt}` : ""}`];
  if (!cublaslt)
    lines.push(`large matrix products are built in, which is slower: ${cublasltProblem ?? "MSM_CUBLASLT=0"}`);
  return lines;
}

/**
 * The built-in kernel reaches 95 to 100 % of oneDNN's rate on AVX-512 (bench/LOG.md); its AMX path has not been
 * measured.
 */
export const ONEDNN_HINT =
  "oneDNN is not there. On a processor with AMX it does the large bf16 products, and without it they may take " +
  "several times as long; on others " +
  `the built-in kernel is as fast. To have it: \`apt-get install libdnnl-dev\`, then \`${BUILD_COMMAND}\``;
