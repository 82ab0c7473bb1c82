/** @file The device in words, and what is missing on it. */
import type { BackendInfo } from "../backend/backend.js";

/** First log lines of every run: what computes, and what would make it faster. */
export function describeDevice(info: BackendInfo): string[] {
  const { backend, isa, threads, onednn } = info;
  const lines = [
    `${backend}: ${isa}, ${threads} thread${threads === 1 ? "" : "s"}${onednn ? `, oneDNN ${onednn}` : ""}`,
  ];
  if (backend === "cpu" && !onednn) lines.push(ONEDNN_HINT);
  return lines;
}

export const ONEDNN_HINT =
  "oneDNN is not used: large matrix products run on the built-in kernel. " +
  "`apt-get install libdnnl-dev`, then `npm run build` in the package's folder";
