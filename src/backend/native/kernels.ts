/**
 * @file Where the libraries of kernels are: in a clone in build/; in an installed package in the platform package
 * beside it (@train-msm/linux-x64), or where they were built once for this user (build.ts).
 */
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { InputError } from "../../base/errors.js";
import { cachePath, packagePath, VERSION } from "../../base/package.js";

export type KernelBuild = "cpu" | "cuda" | "cuda-emulated";

/** The file that is there where a build is. */
const LIBRARIES: Record<KernelBuild, string> = {
  cpu: join("portable", "libmsm_cpu.so"),
  cuda: "libmsm_cuda.so",
  "cuda-emulated": "libmsm_cuda_emulated.so",
};

/** The package that brings a build for this platform. */
export function platformPackage(build: KernelBuild): string {
  return `@train-msm/${process.platform}-${process.arch}${build === "cuda" ? "-cuda" : ""}`;
}

/** A clone has the sources of everything, and builds beside them. */
export function isClone(): boolean {
  return existsSync(packagePath("src", "cli.ts"));
}

/**
 * The folder of a build, null where there is none. MSM_CPU_BUILD and MSM_CUDA_BUILD force it.
 * @throws InputError where what is forced is not there, or a platform package is of another version
 */
export function findKernels(build: KernelBuild): string | null {
  const isBuilt = (folder: string): boolean => existsSync(join(folder, LIBRARIES[build]));
  const forced = forcedFolder(build);
  if (forced === null) return placesOf(build).find(isBuilt) ?? null;
  if (isBuilt(forced.folder)) return forced.folder;
  throw new InputError(`${forced.variable}=${forced.folder}: ${LIBRARIES[build]} is missing there`);
}

/** What the environment says about where a build is: for tests. */
function forcedFolder(build: KernelBuild): { variable: string; folder: string } | null {
  const variable = build === "cpu" ? "MSM_CPU_BUILD" : "MSM_CUDA_BUILD";
  const folder = process.env[variable];
  return folder ? { variable, folder: resolve(folder) } : null;
}

function placesOf(build: KernelBuild): string[] {
  if (isClone()) return [join(buildFolder(), build)];
  const shipped = platformFolder(build);
  return [...(shipped === null ? [] : [shipped]), join(buildFolder(), build)];
}

/** Where builds of this machine are made: of these sources alone, so that two versions do not meet. */
export function buildFolder(): string {
  if (isClone()) return packagePath("build");
  const hash = createHash("sha256");
  const names = readdirSync(packagePath("kernels"), { recursive: true, encoding: "utf8" }).sort();
  for (const name of names.filter((name) => /(\.(cpp|cu|cuh|h|mk)|Makefile)$/.test(name)))
    hash.update(name).update(readFileSync(packagePath("kernels", name)));
  return cachePath("kernels", `${VERSION}-${hash.digest("hex").slice(0, 12)}`);
}

function platformFolder(build: KernelBuild): string | null {
  const name = platformPackage(build);
  let manifest: string;
  try {
    manifest = createRequire(packagePath("package.json")).resolve(`${name}/package.json`);
  } catch {
    return null;
  }
  const { version } = JSON.parse(readFileSync(manifest, "utf8")) as { version: string };
  if (version !== VERSION)
    throw new InputError(`${name} is of version ${version}, train-msm of ${VERSION}: install both in one version`);
  return join(dirname(manifest), build);
}
