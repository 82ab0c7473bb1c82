// Builds the CPU kernels: run by `npm install` / `npm ci` (quietly) and by `npm run build`. make does only what is
// missing or out of date, and chooses the folder: build/cpu with oneDNN, build/cpu-builtin where libdnnl-dev is not
// installed. Where there is an NVIDIA driver, the CUDA kernels too.
import { spawnSync } from "node:child_process";
import { rmSync } from "node:fs";
import { availableParallelism } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { buildForThisMachine } from "./build-cuda.mjs";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const kernels = join(root, "kernels");

function make(target) {
  const args = [`-j${availableParallelism()}`, "-C", kernels, "--no-print-directory", "--silent", target];
  return spawnSync("make", args, { encoding: "utf8" });
}

function build() {
  let result = make("all");
  if (result.status !== 0) return fail(result);
  const out = join(kernels, make("out").stdout.trim());
  if (isBroken(join(out, "portable", "libmsm_cpu.so"))) {
    rmSync(out, { recursive: true });
    result = make("all");
    if (result.status !== 0) return fail(result);
  }
  // A build with oneDNN from before libdnnl-dev was removed would be preferred to the one without.
  if (out.endsWith("cpu-builtin")) rmSync(join(root, "build", "cpu"), { recursive: true, force: true });
  const problem = buildForThisMachine();
  if (problem) console.error(`train-msm: ${problem}`);
}

/** Whether a library that it was linked with is gone: another release of oneDNN was installed since. */
function isBroken(library) {
  return spawnSync("ldd", [library], { encoding: "utf8" }).stdout?.includes("not found") ?? false;
}

function fail({ stdout, stderr }) {
  const missing = ["make", process.env.CXX ?? "g++"].filter((tool) => spawnSync(tool, ["--version"]).error);
  console.error(
    missing.length > 0
      ? `train-msm: ${missing.join(" and ")} not found, so there are no kernels yet. Install g++ and make ` +
          `(Debian: apt-get install g++ make), then run \`node ${fileURLToPath(import.meta.url)}\``
      : `${stdout}${stderr}train-msm: the kernels did not build; the compiler's messages are above`,
  );
  // An install goes on without kernels, so that `train-msm doctor` can say what is missing; a build does not.
  process.exitCode = process.env.npm_lifecycle_event === "install" ? 0 : 1;
}

build();
