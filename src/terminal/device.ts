/** @file The device in words, and what is missing on it. */
import type { BackendInfo } from "../backend/backend.js";
import { formatBytes } from "../base/bytes.js";

/** First log lines of every run: what computes, and what would make it faster. */
export function describeDevice(info: BackendInfo): string[] {
  const { backend, isa, threads } = info;
  if (backend === "cuda") return describeGpu(info);
  return [`${backend}: ${isa}, ${threads} thread${threads === 1 ? "" : "s"}`];
}

function describeGpu({ name, isa, memoryBytes, freeBytes, cublaslt, cublasltProblem }: BackendInfo): string[] {
  const memory = `${formatBytes(freeBytes ?? memoryBytes)} of ${formatBytes(memoryBytes)} free`;
  const lines = [`cuda: ${name}, ${isa}, ${memory}${cublaslt ? `, cuBLASLt ${cublaslt}` : ""}`];
  if (!cublaslt)
    lines.push(`large matrix products are built in, which is slower: ${cublasltProblem ?? "MSM_CUBLASLT=0"}`);
  return lines;
}
