/** @file Which backend to open: --backend, --device, MSM_CPU_ISA, and what the machine can run. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { InputError, messageOf } from "../base/errors.js";
import type { Backend } from "./backend.js";
import { checked } from "./checked.js";
import { buildKernels } from "./native/build.js";
import { hasCudaDriver } from "./native/cuda-driver.js";
import { buildFolder, findKernels } from "./native/kernels.js";
import { cpuIsas, openNative } from "./native/native.js";

/** What --backend takes. "cuda-emulated" runs the CUDA kernels on the processor, thread by thread: for tests. */
export const BACKENDS = ["auto", "cpu", "cuda", "cuda-emulated"] as const;
export type BackendName = (typeof BACKENDS)[number];

/** Whether a job that is asked to use this backend must have a GPU, whatever the machine has that plans it. */
export function asksForGpu(name: BackendName): boolean {
  return name === "cuda";
}

const CPU_LIBRARY = "libmsm_cpu.so";

const print = (line: string): void => console.error(line);

/** The instruction sets that this processor runs, best first, and those of them that are in `folder`. */
function isasOf(folder: string): { runnable: string[]; built: string[] } {
  const runnable = cpuIsas(join(folder, "portable", CPU_LIBRARY));
  return { runnable, built: runnable.filter((isa) => existsSync(join(folder, isa, CPU_LIBRARY))) };
}

/**
 * The folder of the CPU kernels, which are built where there are none yet, or where those of the user's own build are
 * not the best that this processor runs. What a platform package brings is taken as it is.
 */
async function cpuKernels(): Promise<string> {
  const found = findKernels("cpu");
  if (found === null) return buildKernels("cpu", print);
  const { runnable, built } = isasOf(found);
  if (found !== join(buildFolder(), "cpu") || built[0] === runnable[0]) return found;
  // Of another machine: a home or a clone that several share.
  return buildKernels("cpu", print).catch((error: unknown) => {
    if (!(error instanceof InputError)) throw error;
    print(`using ${built[0]}, though this processor runs ${runnable[0]}: ${error.message}`);
    return found;
  });
}

/** The instruction sets that this processor runs, best first, and those that are built; null where nothing is yet. */
export function availableIsas(): { runnable: string[]; built: string[] } | null {
  const folder = findKernels("cpu");
  return folder === null ? null : isasOf(folder);
}

async function openCpu(device: number, threads: number): Promise<Backend> {
  const forced = process.env["MSM_CPU_ISA"];
  const folder = await cpuKernels();
  const { built } = isasOf(folder);
  const isa = forced || built[0]!;
  const library = join(folder, isa, CPU_LIBRARY);
  if (!existsSync(library))
    throw new InputError(
      `MSM_CPU_ISA=${forced}: not built; this machine has ${built.join(", ")} ` +
        "(`make -C kernels cpu-all` builds every instruction set)",
    );
  return openNative(library, device, threads);
}

async function openCuda(name: "cuda" | "cuda-emulated", device: number, threads: number): Promise<Backend> {
  const found = findKernels(name);
  if (found === null && name === "cuda-emulated")
    throw new InputError("its kernels are for tests, which build them: `make -C kernels cuda-emulated`");
  if (found === null && !hasCudaDriver()) throw new InputError("there is no NVIDIA driver; use --backend cpu");
  const folder = found ?? (await buildKernels("cuda", print));
  return openNative(join(folder, `libmsm_${name.replace("-", "_")}.so`), device, threads);
}

/** "auto": the GPU where there is a driver and CUDA kernels that can use one, else the processor. */
async function openBest(device: number, threads: number): Promise<Backend> {
  if (!hasCudaDriver()) return openCpu(device, threads);
  try {
    return await openCuda("cuda", device, threads);
  } catch (error) {
    // Who asks for another device than the first means a GPU.
    if (!(error instanceof InputError) || device > 0) throw error;
    print(`using the CPU: ${error.message}`);
    return openCpu(device, threads);
  }
}

/** A whole number of the environment, 0 where it is not set. */
function numberFrom(variable: string, what: string): number {
  const text = process.env[variable] ?? "";
  if (!/^\d*$/.test(text)) throw new InputError(`${variable}=${text} is no ${what}`);
  return Number(text);
}

/**
 * Opens the backend, its ops behind their checks. `device`: which of the GPUs that the process sees, MSM_DEVICE unless
 * given, else the first. MSM_CPU_ISA forces an instruction set of the CPU build, MSM_THREADS a number of threads.
 * Rejects with an InputError naming the offending value and what this machine can run.
 */
export async function openBackend(
  name: BackendName = "auto",
  { device = null }: { device?: number | null | undefined } = {},
): Promise<Backend> {
  const threads = numberFrom("MSM_THREADS", "number of threads");
  const backend = await openUnchecked(name, device ?? numberFrom("MSM_DEVICE", "device's index"), threads);
  return { ...backend, ops: checked(backend.ops) };
}

async function openUnchecked(name: BackendName, device: number, threads: number): Promise<Backend> {
  if (name === "auto") return openBest(device, threads);
  if (name === "cpu") return openCpu(device, threads);
  try {
    return await openCuda(name, device, threads);
  } catch (error) {
    throw new InputError(`--backend ${name}: ${messageOf(error)}`);
  }
}
