/**
 * @file Builds the kernels: for this machine, when the first command needs them, and for `npm run build`. make does
 * only what is missing or out of date.
 */
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { InputError, RunError } from "../../base/errors.js";
import { packagePath } from "../../base/package.js";
import { readCudaDriver } from "./cuda-driver.js";
import { buildFolder, isClone, platformPackage } from "./kernels.js";

const SHOWN_LINES = 30;

/** What a build of one kind takes. */
interface Recipe {
  /** Arguments of make. */
  arguments: string[];
  /** Programs that are missing, and what brings them. */
  missing: string[];
  fix: string;
  takes: string;
}

function cpuRecipe(): Recipe {
  return {
    arguments: ["cpu"],
    missing: ["make", process.env["CXX"] ?? "g++"].filter((tool) => !isProgram(tool)),
    fix: "install g++ and make (Debian: apt-get install g++ make)",
    takes: "half a minute",
  };
}

/** For the GPUs of this machine, or for every architecture that nvcc knows. */
function cudaRecipe(isForAll: boolean): Recipe {
  const nvcc = findNvcc();
  const archs = isForAll ? [] : presentArchs();
  return {
    arguments: ["cuda", `NVCC=${nvcc}`, ...(archs.length > 0 ? [`ARCHS=${archs.join(" ")}`] : [])],
    missing: [...(isProgram("make") ? [] : ["make"]), ...(nvcc === null ? ["nvcc"] : [])],
    fix:
      "install make and the CUDA toolkit, 12.4 or newer " +
      "(nvcc is looked for on the PATH, in CUDA_HOME and in /usr/local/cuda)",
    takes: "some minutes",
  };
}

function isProgram(name: string): boolean {
  return spawnSync(name, ["--version"]).status === 0;
}

export function findNvcc(): string | null {
  const homes = [process.env["CUDA_HOME"], process.env["CUDA_PATH"], "/usr/local/cuda"].filter(Boolean);
  return ["nvcc", ...homes.map((home) => join(home!, "bin", "nvcc"))].find(isProgram) ?? null;
}

/** make's names of the GPUs' architectures: "90a" for compute capability 9.0. */
function presentArchs(): string[] {
  const gpus = readCudaDriver()?.gpus ?? [];
  return [...new Set(gpus.map(({ computeCapability }) => computeCapability.replace(".", "").replace(/^90$/, "90a")))];
}

/**
 * Builds kernels and returns their folder. `print` is told before something is compiled that may not have been.
 * @throws InputError naming what is missing to build them; RunError with what the compiler said
 */
export async function buildKernels(
  build: "cpu" | "cuda",
  print: (line: string) => void = () => {},
  { forAll = false } = {},
): Promise<string> {
  const recipe = build === "cpu" ? cpuRecipe() : cudaRecipe(forAll);
  if (recipe.missing.length > 0) {
    const other = isClone() ? "" : `, or npm install ${platformPackage(build)}`;
    throw new InputError(
      `there are no ${build === "cpu" ? "CPU" : "CUDA"} kernels yet, and ${recipe.missing.join(" and ")} ` +
        `${recipe.missing.length > 1 ? "are" : "is"} missing to build them: ${recipe.fix}${other}`,
    );
  }
  const folder = buildFolder();
  print(`building the ${build === "cpu" ? "CPU" : "CUDA"} kernels for this machine, once: ${recipe.takes} ...`);
  if (isClone()) {
    await make(folder, recipe.arguments);
    return join(folder, build);
  }
  // Another process may be doing the same: each works in a folder of its own, and the first to end is the one that
  // counts.
  const own = `${folder}.${process.pid}.tmp`;
  try {
    mkdirSync(own, { recursive: true });
    await make(own, recipe.arguments);
    publish(join(own, build), join(folder, build));
  } finally {
    rmSync(own, { recursive: true, force: true });
  }
  return join(folder, build);
}

/** Moves libraries, and folders of libraries, to where they are found; what is there already stays. */
function publish(from: string, to: string): void {
  mkdirSync(to, { recursive: true });
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    const source = join(from, entry.name);
    const target = join(to, entry.name);
    const isLibrary = entry.isDirectory()
      ? readdirSync(source).some((name) => name.endsWith(".so"))
      : entry.name.endsWith(".so");
    if (!isLibrary || existsSync(target)) continue;
    if (entry.isDirectory())
      for (const name of readdirSync(source)) if (!name.endsWith(".so")) rmSync(join(source, name));
    try {
      renameSync(source, target);
    } catch (error) {
      if (!existsSync(target)) throw error;
    }
  }
}

async function make(folder: string, args: readonly string[]): Promise<void> {
  const options = [`-j${availableParallelism()}`, "-C", packagePath("kernels"), "--no-print-directory", "--silent"];
  const child = spawn("make", [...options, `BUILD=${folder}`, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (bytes) => (said += bytes));
  const status = await new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
  if (status === 0) return;
  const last = said.trimEnd().split("\n").slice(-SHOWN_LINES).join("\n");
  throw new RunError(`the kernels did not build (make ${args[0]}):\n${last}`);
}
