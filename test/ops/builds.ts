/** @file The builds of the kernels that the op tests run on, and how each is opened. */
import { spawnSync } from "node:child_process";
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import type { Backend } from "../../src/backend/backend.js";
import { availableIsas, openBackend } from "../../src/backend/open.js";
import { once } from "./harness.js";

const KERNELS = fileURLToPath(new URL("../../kernels", import.meta.url));

export interface Build {
  name: string;
  backend: "cpu" | "cuda" | "cuda-emulated";
  /** What it is opened with. */
  settings: Record<string, string>;
}

function emulatedBuild(order: "forward" | "reverse"): Build {
  const settings = { MSM_EMULATOR_ARCH: "sm_80", MSM_EMULATOR_ORDER: order };
  return { name: `cuda-emulated ${order}`, backend: "cuda-emulated", settings };
}

/** The emulated CUDA kernels where attention takes those for Hopper: other ops do not know the difference. */
export function hopperBuild(order: "forward" | "reverse"): Build {
  buildEmulated();
  const settings = { MSM_EMULATOR_ARCH: "sm_90", MSM_EMULATOR_ORDER: order, MSM_HOPPER: "1" };
  return { name: `cuda-emulated hopper ${order}`, backend: "cuda-emulated", settings };
}

/**
 * The CPU builds that this machine runs, and AMX's path in plain code, which runs anywhere; then the CUDA kernels on
 * the emulator, once more with the threads in reverse order: a missing barrier shows in one of the two. With
 * MSM_TEST_BACKEND=cuda the GPU alone. MSM_CPU_ISA leaves one CPU build, MSM_TEST_BUILD the builds whose names begin
 * so, MSM_TEST_BUILDS=quick what `npm run build` makes, MSM_TEST_BUILDS=others all but these.
 */
export function testedBuilds(): Build[] {
  const { MSM_TEST_BACKEND, MSM_CPU_ISA, MSM_TEST_BUILD, MSM_TEST_BUILDS } = process.env;
  if (MSM_TEST_BACKEND === "cuda") return [{ name: "cuda", backend: "cuda", settings: {} }];
  const { runnable } = availableIsas()!;
  const quick = ["portable", runnable[0]];
  const isas = MSM_CPU_ISA ? [MSM_CPU_ISA] : [...runnable, "amx-emulated"];
  const builds: Build[] = isas.map((isa) => ({ name: isa, backend: "cpu", settings: { MSM_CPU_ISA: isa } }));
  if (!MSM_CPU_ISA) builds.push(emulatedBuild("forward"), emulatedBuild("reverse"));
  const isWanted = ({ name }: Build): boolean => {
    if (MSM_TEST_BUILD) return name.startsWith(MSM_TEST_BUILD);
    if (MSM_CPU_ISA || !MSM_TEST_BUILDS) return true;
    return quick.includes(name) === (MSM_TEST_BUILDS === "quick");
  };
  const wanted = builds.filter(isWanted);
  // Here, when a test file is loaded: it takes longer than a hook may.
  const cpu = wanted.filter(({ backend }) => backend === "cpu").map(({ name }) => name);
  if (cpu.length > 0) buildCpu(cpu);
  if (wanted.some(({ backend }) => backend === "cuda-emulated")) buildEmulated();
  return wanted;
}

/** The builds with their own matrix products alone. */
export function ownBuilds(): Build[] {
  return testedBuilds().map((build) =>
    build.backend === "cuda" ? { ...build, settings: { ...build.settings, MSM_CUBLASLT: "0" } } : build,
  );
}

export async function openBuild({ backend, settings }: Build, threads = 0): Promise<Backend> {
  const wanted: Record<string, string> = { ...settings, ...(threads && { MSM_THREADS: `${threads}` }) };
  const before = Object.keys(wanted).map((name) => [name, process.env[name]] as const);
  Object.assign(process.env, wanted);
  try {
    return await openBackend(backend);
  } finally {
    for (const [name, value] of before) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  }
}

function make(...targets: string[]): void {
  const args = ["-C", KERNELS, `-j${availableParallelism()}`, "--silent", ...targets];
  const { status, stderr } = spawnSync("make", args, { encoding: "utf8" });
  if (status !== 0) throw new Error(`make ${targets.join(" ")} failed:\n${stderr}`);
}

// Users have no use for other instruction sets than their machine's best, nor for the emulator, so `npm run build`
// leaves them out. make does only what is out of date.
function buildCpu(isas: string[]): void {
  if (!process.env["MSM_CPU_BUILD"]) make("cpu-all", `ISAS=${isas.join(" ")}`);
}

export const buildEmulated = once(() => {
  if (!process.env["MSM_CUDA_BUILD"]) make("cuda-emulated");
});
