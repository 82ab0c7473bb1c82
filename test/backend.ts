/** @file The backend that tests of whole models run on: that of the vitest project (vitest.config.ts). */
import type { Backend } from "../src/backend/backend.js";
import { type BackendName, openBackend } from "../src/backend/open.js";
import { buildEmulated } from "./ops/builds.js";

export const TEST_BACKEND = (process.env["MSM_TEST_BACKEND"] ?? "cpu") as BackendName;

/**
 * Awaited when the file is loaded, because the emulated library may have to be built first, which takes longer than a
 * hook may.
 */
export function openTestBackend(): Promise<Backend> {
  if (TEST_BACKEND === "cuda-emulated") buildEmulated();
  return openBackend(TEST_BACKEND);
}

/**
 * Whether a row's bits are the same however many rows there are: cuBLASLt takes other sums for few rows than for many.
 */
export function rowsKeepTheirBits({ info }: Backend): boolean {
  return !info.cublaslt;
}
