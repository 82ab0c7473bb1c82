/** @file Where the kernels are built, and the command that builds them, in a checkout as in an installed package. */
import { packagePath } from "../../base/package.js";

export const BUILD_FOLDER = packagePath("build");
export const KERNELS_FOLDER = packagePath("kernels");
export const BUILD_COMMAND = `node ${packagePath("scripts", "build-kernels.mjs")}`;
export const BUILD_CUDA_COMMAND = `node ${packagePath("scripts", "build-cuda.mjs")}`;
