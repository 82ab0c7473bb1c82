/** @file Which backend to open: --backend, MSM_CPU_ISA, and what the machine can run. */
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { InputError } from "../errors.js";
import type { Backend } from "./backend.js";
import { BUILD_COMMAND, BUILD_FOLDER } from "./build.js";
import { cpuIsas, openNative } from "./native.js";

export type BackendName = "auto" | "cpu" | "cuda";

const LIBRARY = "libmsm_cpu.so";
const BUILD_HINT = `build the kernels with \`${BUILD_COMMAND}\` (needs g++ and make)`;

/** The CPU build: MSM_CPU_BUILD, or the one with oneDNN, or the one without it where libdnnl-dev was absent at build time. */
function cpuBuild(): string {
  const forced = process.env["MSM_CPU_BUILD"];
  if (forced) return resolve(forced);
  const builds = ["cpu", "cpu-builtin"].map((name) => join(BUILD_FOLDER, name));
  const folder = builds.find((path) => existsSync(join(path, "portable", LIBRARY)));
  if (!folder) throw new InputError(`no CPU kernels in ${BUILD_FOLDER}: ${BUILD_HINT}`);
  return folder;
}

function cpuLibrary(isa: string): string {
  return join(cpuBuild(), isa, LIBRARY);
}

/** The instruction sets that were built and that this processor runs, best first. */
export function availableIsas(): string[] {
  const portable = cpuLibrary("portable");
  if (!existsSync(portable)) throw new InputError(`${portable} is missing: ${BUILD_HINT}`);
  return cpuIsas(portable).filter((isa) => existsSync(cpuLibrary(isa)));
}

/**
 * Opens the backend. MSM_CPU_ISA forces an instruction set of the CPU build, MSM_THREADS a number of threads.
 * @throws InputError naming the offending value and what this machine can run
 */
export function openBackend(name: BackendName = "auto"): Backend {
  if (name === "cuda") throw new InputError("--backend cuda: this build has no CUDA kernels yet; use --backend cpu");
  const forced = process.env["MSM_CPU_ISA"];
  const isas = availableIsas();
  if (forced && !existsSync(cpuLibrary(forced)))
    throw new InputError(`MSM_CPU_ISA=${forced}: not built; this machine has ${isas.join(", ")}`);
  const threads = Number(process.env["MSM_THREADS"] ?? 0);
  if (!Number.isInteger(threads) || threads < 0)
    throw new InputError(`MSM_THREADS=${process.env["MSM_THREADS"]} is no number of threads`);
  return openNative(cpuLibrary(forced ?? isas[0]!), threads);
}
