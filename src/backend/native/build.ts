/** @file Where the kernels are built, and the command that builds them, in a checkout as in an installed package. */
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const PACKAGE = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

export const BUILD_FOLDER = join(PACKAGE, "build");
export const KERNELS_FOLDER = join(PACKAGE, "kernels");
export const BUILD_COMMAND = `node ${join(PACKAGE, "scripts", "build-kernels.mjs")}`;
export const BUILD_CUDA_COMMAND = `node ${join(PACKAGE, "scripts", "build-cuda.mjs")}`;
