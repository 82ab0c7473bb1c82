/** @file The builds of the kernels that the op tests run on, and how each is opened. */
import { spawnSync } from "node:child_process";
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import type { Backend } from "../../src/backend/backend.js";
import { availableIsas, openBackend } from "../../src/backend/open.js";
import { once } from "./harness.js";

const KERNELS = fileURLToPath(new URL("../../kernels", import.meta.url));

/** Which matrix products go to oneDNN: none, those that the library chooses, or all that it can do. */
type Onednn = "none" | "chosen" | "all";

const ONEDNN_SETTINGS: Record<Onednn, string> = { none: "0", chosen: "1", all: "always" };

export interface Build {
  name: string;
  backend: "cpu" | "cuda" | "cuda-emulated";
  onednn: Onednn;
  /** What it is opened with. */
  settings: Record<string, string>;
}

function cpuBuild(isa: string, onednn: Onednn): Build {
  const settings = { MSM_CPU_ISA: isa, MSM_ONEDNN: ONEDNN_SETTINGS[onednn] };
  if (onednn === "none") return { name: isa, backend: "cpu", onednn, settings };
  return { name: `${isa} with oneDNN`, backend: "cpu", onednn, settings };
}

function emulatedBuild(order: "forward" | "reverse"): Build {
  const settings = { MSM_EMULATOR_ARCH: "sm_80", MSM_EMULATOR_ORDER: order };
  return { name: `cuda-emulated ${order}`, backend: "cuda-emulated", onednn: "none", settings };
}

/** The emulated CUDA kernels where attention takes those for Hopper: other ops do not know the difference. */
export function hopperBuild(order: "forward" | "reverse"): Build {
  buildEmulated();
  const settings = { MSM_EMULATOR_ARCH: "sm_90", MSM_EMULATOR_ORDER: order, MSM_HOPPER: "1" };
  return { name: `cuda-emulated hopper ${order}`, backend: "cuda-emulated", onednn: "none", settings };
}

/**
 * The CPU builds that this machine runs, and AMX's path in plain code, which runs anywhere, with their own matrix
 * products; then the best with oneDNN's (one instruction set a process: oneDNN chooses once); then the CUDA kernels on
 * the emulator, once more with the threads in reverse order: a missing barrier shows in one of the two. With
 * MSM_TEST_BACKEND=cuda the GPU alone. MSM_CPU_ISA leaves one CPU build, MSM_ONEDNN=0 leaves oneDNN out, MSM_TEST_BUILD
 * leaves the builds whose names begin so.
 */
export function testedBuilds(onednn: "chosen" | "all"): Build[] {
  if (process.env["MSM_TEST_BACKEND"] === "cuda")
    return [{ name: "cuda", backend: "cuda", onednn: "none", settings: {} }];
  const forced = process.env["MSM_CPU_ISA"];
  const isas = forced ? [forced] : [...availableIsas(), "amx-emulated"];
  const builds = isas.map((isa) => cpuBuild(isa, "none"));
  if (process.env["MSM_ONEDNN"] !== "0") builds.push(cpuBuild(isas[0]!, onednn));
  if (!forced) builds.push(emulatedBuild("forward"), emulatedBuild("reverse"));
  const wanted = builds.filter(({ name }) => name.startsWith(process.env["MSM_TEST_BUILD"] ?? ""));
  // Here, when a test file is loaded: it takes longer than a hook may.
  if (wanted.some(({ backend }) => backend === "cuda-emulated")) buildEmulated();
  return wanted;
}

/** The builds with their own matrix products alone. */
export function ownBuilds(): Build[] {
  const own = testedBuilds("chosen").filter(({ onednn }) => onednn === "none");
  return own.map((build) =>
    build.backend === "cuda" ? { ...build, settings: { ...build.settings, MSM_CUBLASLT: "0" } } : build,
  );
}

/** Whether the build has its own kernels for the op: oneDNN's are for products alone. */
export function differsIn({ onednn }: Build, op: string): boolean {
  return onednn === "none" || op === "matmul";
}

/** Whether a build's tests would repeat those without oneDNN: it is not compiled in. */
export function lacksOnednn(build: Build, backend: Backend): boolean {
  return build.onednn !== "none" && backend.info.onednn === null;
}

export function openBuild({ backend, settings }: Build, threads = 0): Backend {
  const wanted: Record<string, string> = { ...settings, ...(threads && { MSM_THREADS: `${threads}` }) };
  const before = Object.keys(wanted).map((name) => [name, process.env[name]] as const);
  Object.assign(process.env, wanted);
  try {
    return openBackend(backend);
  } finally {
    for (const [name, value] of before) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  }
}

/** Users have no use for the emulated build, so `npm run build` leaves it out. make does only what is out of date. */
export const buildEmulated = once(() => {
  if (process.env["MSM_CUDA_BUILD"]) return;
  const args = ["-C", KERNELS, `-j${availableParallelism()}`, "--silent", "cuda-emulated"];
  const { status, stderr } = spawnSync("make", args, { encoding: "utf8" });
  if (status !== 0) throw new Error(`make cuda-emulated failed:\n${stderr}`);
});
