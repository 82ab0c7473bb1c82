// Builds the CPU kernels for this machine: run by `npm install` / `npm ci` and by `npm run build`.
import { spawnSync } from "node:child_process";
import { availableParallelism } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const kernels = join(dirname(dirname(fileURLToPath(import.meta.url))), "kernels");
const result = spawnSync("make", [`-j${availableParallelism()}`, "-C", kernels, "--no-print-directory"], {
  stdio: ["ignore", "ignore", "inherit"],
});
if (result.status !== 0) {
  const missing = result.error ? "make" : spawnSync("g++", ["--version"]).error ? "g++" : null;
  console.error(
    missing
      ? `train-msm: ${missing} is missing. Install g++ and make (Debian: apt-get install g++ make), then run \`npm run build\``
      : "train-msm: the kernels did not build; the compiler's messages are above",
  );
  // An install goes on without kernels, so that `train-msm doctor` can say what is missing; a build does not.
  process.exitCode = process.env.npm_lifecycle_event === "install" ? 0 : 1;
}
