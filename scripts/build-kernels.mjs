// Builds the CPU kernels that this machine needs, portable and the best that it runs, into build/cpu: run by `npm
// install` / `npm ci` (quietly) and by `npm run build`. make does only what is missing or out of date. Where there is
// an NVIDIA driver, the CUDA kernels too.
import { spawnSync } from "node:child_process";
import { availableParallelism } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { buildForThisMachine } from "./build-cuda.mjs";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const kernels = join(root, "kernels");

function build() {
  const args = [`-j${availableParallelism()}`, "-C", kernels, "--no-print-directory", "--silent", "cpu"];
  const result = spawnSync("make", args, { encoding: "utf8" });
  if (result.status !== 0) return fail(result);
  const problem = buildForThisMachine();
  if (problem) console.error(`train-msm: ${problem}`);
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
