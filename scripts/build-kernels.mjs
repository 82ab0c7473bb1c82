// Builds kernels in a clone, with what `tsc` has just made: for this machine, or with "cuda-all" the CUDA kernels for
// every architecture that nvcc knows. Where there is an NVIDIA driver and nvcc, `npm run build` makes the CUDA kernels
// too.
import { buildKernels, findNvcc } from "../dist/backend/native/build.js";
import { hasCudaDriver } from "../dist/backend/native/cuda-driver.js";

try {
  if (process.argv[2] === "cuda-all") await buildKernels("cuda", undefined, { forAll: true });
  else {
    await buildKernels("cpu");
    if (hasCudaDriver() && findNvcc()) await buildKernels("cuda");
  }
} catch (error) {
  console.error(`train-msm: ${error.message}`);
  process.exitCode = 1;
}
