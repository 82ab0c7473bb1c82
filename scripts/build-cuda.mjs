// Builds the CUDA kernels with nvcc: `npm run build:cuda` for every architecture that the compiler knows; with --here,
// and from build-kernels.mjs where there is a driver, for the GPUs of this machine alone. nvcc is looked for on the
// PATH, in CUDA_HOME, and in /usr/local/cuda.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { availableParallelism } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** The compiler's path, or null. */
function findNvcc() {
  const homes = [process.env.CUDA_HOME, process.env.CUDA_PATH, "/usr/local/cuda"].filter(Boolean);
  const candidates = ["nvcc", ...homes.map((home) => join(home, "bin", "nvcc"))];
  return candidates.find((nvcc) => spawnSync(nvcc, ["--version"]).status === 0) ?? null;
}

/**
 * make's architectures of the GPUs that the driver shows, "90a" for compute capability 9.0; none where there is no
 * driver.
 */
function presentArchs() {
  const query = spawnSync("nvidia-smi", ["--query-gpu=compute_cap", "--format=csv,noheader"], { encoding: "utf8" });
  const capabilities = query.status === 0 ? query.stdout.trim().split("\n") : [];
  return [...new Set(capabilities.map((text) => text.trim().replace(".", "").replace(/^90$/, "90a")))];
}

function hasDriver() {
  return existsSync("/proc/driver/nvidia/version") || presentArchs().length > 0;
}

/** Returns what to tell the user where the build could not be done, null where it was. */
function build(nvcc, archs) {
  const jobs = `-j${availableParallelism()}`;
  const args = [jobs, "-C", join(root, "kernels"), "--no-print-directory", "--silent", "cuda", `NVCC=${nvcc}`];
  if (archs.length > 0) args.push(`ARCHS=${archs.join(" ")}`);
  const { error, status } = spawnSync("make", args, { stdio: ["ignore", "inherit", "inherit"] });
  if (error) return "make not found. Install it (Debian: apt-get install make)";
  return status === 0 ? null : "the CUDA kernels did not build; the compiler's messages are above";
}

const NO_NVCC =
  "nvcc not found on the PATH, in CUDA_HOME or in /usr/local/cuda. Install the CUDA toolkit (12.4 or newer), " +
  "then run " +
  `\`node ${fileURLToPath(import.meta.url)}\``;

/**
 * For an install: builds for the GPUs of this machine where driver and compiler are there. Returns a problem, or null.
 */
export function buildForThisMachine() {
  if (!hasDriver()) return null;
  const nvcc = findNvcc();
  return nvcc ? build(nvcc, presentArchs()) : `there is an NVIDIA driver, but ${NO_NVCC}`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const nvcc = findNvcc();
  const archs = process.argv.includes("--here") ? presentArchs() : [];
  const problem = nvcc ? build(nvcc, archs) : NO_NVCC;
  if (problem) {
    console.error(`train-msm: ${problem}`);
    process.exitCode = 1;
  }
}
