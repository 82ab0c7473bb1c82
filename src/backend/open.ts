/** @file Which backend to open: --backend, MSM_CPU_ISA, and what the machine can run. */
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { InputError, messageOf } from "../base/errors.js";
import type { Backend } from "./backend.js";
import { checked } from "./checked.js";
import { BUILD_COMMAND, BUILD_CUDA_COMMAND, BUILD_FOLDER, KERNELS_FOLDER } from "./native/build.js";
import { hasCudaDriver } from "./native/cuda-driver.js";
import { cpuIsas, openNative } from "./native/native.js";

/** What --backend takes. "cuda-emulated" runs the CUDA kernels on the processor, thread by thread: for tests. */
export const BACKENDS = ["auto", "cpu", "cuda", "cuda-emulated"] as const;
export type BackendName = (typeof BACKENDS)[number];

/** Whether a job that is asked to use this backend must have a GPU, whatever the machine has that plans it. */
export function asksForGpu(name: BackendName): boolean {
  return name === "cuda";
}

const LIBRARY = "libmsm_cpu.so";
const BUILD_HINT = `build the kernels with \`${BUILD_COMMAND}\` (needs g++ and make)`;

/** MSM_CPU_BUILD forces the folder of the CPU builds. */
function cpuLibrary(isa: string): string {
  const folder = process.env["MSM_CPU_BUILD"];
  return join(folder ? resolve(folder) : join(BUILD_FOLDER, "cpu"), isa, LIBRARY);
}

/** The instruction sets that this processor runs, best first, and those of them that were built. */
export function availableIsas(): { runnable: string[]; built: string[] } {
  const portable = cpuLibrary("portable");
  if (!existsSync(portable)) throw new InputError(`${portable} is missing: ${BUILD_HINT}`);
  const runnable = cpuIsas(portable);
  return { runnable, built: runnable.filter((isa) => existsSync(cpuLibrary(isa))) };
}

function openCpu(threads: number): Backend {
  const forced = process.env["MSM_CPU_ISA"];
  const { runnable, built } = availableIsas();
  if (forced && !existsSync(cpuLibrary(forced)))
    throw new InputError(
      `MSM_CPU_ISA=${forced}: not built; this machine has ${built.join(", ")} ` +
        `(\`make -C ${KERNELS_FOLDER} cpu-all\` builds every instruction set)`,
    );
  // A folder that machines share was built on another one.
  if (!forced && built[0] !== runnable[0])
    console.error(`using ${built[0]}, though this processor runs ${runnable[0]}: \`${BUILD_COMMAND}\` builds it`);
  return openNative(cpuLibrary(forced ?? built[0]!), threads);
}

/** The library of a CUDA build and the make target it comes from; MSM_CUDA_BUILD forces its folder. */
export function cudaLibrary(name: "cuda" | "cuda-emulated"): string {
  const folder = process.env["MSM_CUDA_BUILD"];
  return join(folder ? resolve(folder) : join(BUILD_FOLDER, name), `libmsm_${name.replace("-", "_")}.so`);
}

function openCuda(name: "cuda" | "cuda-emulated", threads: number): Backend {
  const library = cudaLibrary(name);
  if (existsSync(library)) return openNative(library, threads);
  const build =
    name === "cuda"
      ? `\`${BUILD_CUDA_COMMAND}\` (needs nvcc and make)`
      : `\`make -C ${KERNELS_FOLDER} ${name}\` (needs g++ and make)`;
  throw new InputError(`${library} is missing: build it with ${build}, or use --backend cpu`);
}

/** "auto": the GPU where there is a driver and the CUDA kernels were built and can use one, else the processor. */
function openBest(threads: number): Backend {
  if (!existsSync(cudaLibrary("cuda")) || !hasCudaDriver()) return openCpu(threads);
  try {
    return openCuda("cuda", threads);
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    console.error(`using the CPU: ${error.message}`);
    return openCpu(threads);
  }
}

/**
 * Opens the backend, its ops behind their checks. MSM_CPU_ISA forces an instruction set of the CPU build, MSM_THREADS a
 * number of threads. Rejects with an InputError naming the offending value and what this machine can run.
 */
export async function openBackend(name: BackendName = "auto"): Promise<Backend> {
  const backend = openUnchecked(name);
  return { ...backend, ops: checked(backend.ops) };
}

function openUnchecked(name: BackendName): Backend {
  const threads = Number(process.env["MSM_THREADS"] ?? 0);
  if (!Number.isInteger(threads) || threads < 0)
    throw new InputError(`MSM_THREADS=${process.env["MSM_THREADS"]} is no number of threads`);
  if (name === "auto") return openBest(threads);
  if (name === "cpu") return openCpu(threads);
  try {
    return openCuda(name, threads);
  } catch (error) {
    throw new InputError(`--backend ${name}: ${messageOf(error)}`);
  }
}
