/** @file `doctor`: what this machine can run, and what to install for more. */
import { cpus, totalmem } from "node:os";
import type { Command } from "commander";
import { findNvcc } from "../backend/native/build.js";
import { hasCudaDriver, hasNvidiaCard, readCudaDriver } from "../backend/native/cuda-driver.js";
import { findKernels, platformPackage } from "../backend/native/kernels.js";
import { availableIsas, openBackend } from "../backend/open.js";
import { formatBytes } from "../base/bytes.js";
import { messageOf, RunError } from "../base/errors.js";
import { VERSION } from "../base/package.js";

/** Of compute capability: A100, GeForce RTX 30. */
const OLDEST_CAPABILITY = 8;

interface Finding {
  what: string;
  state: string;
  /** What to do about it; null where nothing is wrong. */
  fix: string | null;
}

export function addDoctorCommand(program: Command): void {
  program
    .command("doctor")
    .summary("what this machine can run, and what to install for more")
    .description("What this machine can run, and what to install for more. Exit code 1 where no backend works.")
    .option("--json", "findings as JSON on stdout")
    .action(({ json = false }: { json?: boolean }) => runDoctor(json));
}

/** Throws RunError where no backend works. */
async function runDoctor(json: boolean): Promise<void> {
  const findings = [...machine(), ...(await cpuBackend()), ...nvidia(), ...(await cudaBackend())];
  if (json) process.stdout.write(`${JSON.stringify(findings)}\n`);
  else for (const { what, state, fix } of findings) process.stdout.write(formatFinding(what, state, fix));
  if (!findings.some(({ what, fix }) => what.endsWith(" backend") && !fix)) throw new RunError("no backend works");
}

function formatFinding(what: string, state: string, fix: string | null): string {
  return `${fix ? "!" : " "} ${what.padEnd(16)}${state}\n${fix ? `  ${" ".repeat(16)}→ ${fix}\n` : ""}`;
}

function machine(): Finding[] {
  const processor = cpus()[0]?.model.trim() ?? "unknown processor";
  const memory = `${(totalmem() / 2 ** 30).toFixed(1)} GiB`;
  return [
    { what: "train-msm", state: `${VERSION}, Node ${process.version}, ${process.platform} ${process.arch}`, fix: null },
    { what: "machine", state: `${processor}, ${cpus().length} logical cores, ${memory} of memory`, fix: null },
  ];
}

async function cpuBackend(): Promise<Finding[]> {
  const what = "cpu backend";
  try {
    const backend = await openBackend("cpu");
    const { isa, threads } = backend.info;
    backend.close();
    const runnable = availableIsas()?.runnable ?? [isa];
    return [{ what, state: `${isa}, ${threads} threads (this processor runs ${runnable.join(", ")})`, fix: null }];
  } catch (error) {
    return [{ what, state: "not usable", fix: messageOf(error) }];
  }
}

/** Whether `version` ("8.9") is one that the kernels run on. */
function isSupported(version: string): boolean {
  return Number(version.split(".")[0]) >= OLDEST_CAPABILITY;
}

function nvidia(): Finding[] {
  const what = "NVIDIA driver";
  try {
    const driver = readCudaDriver();
    if (!driver && hasNvidiaCard())
      return [{ what, state: "none, though an NVIDIA card is there", fix: "install NVIDIA's driver, then restart" }];
    if (!driver) return [{ what, state: "none, and no NVIDIA card", fix: null }];
    const { version, cuda, gpus } = driver;
    const none = gpus.length === 0 ? "`nvidia-smi` must list a GPU; CUDA_VISIBLE_DEVICES may hide it" : null;
    return [
      { what, state: `${version ?? "version unknown"}, runs CUDA up to ${cuda}`, fix: none },
      ...gpus.map(({ name, computeCapability, memoryBytes }, i) => ({
        what: `GPU ${i}`,
        state: `${name}, compute capability ${computeCapability}, ${formatBytes(memoryBytes)}`,
        fix: isSupported(computeCapability)
          ? null
          : `the kernels need compute capability ${OLDEST_CAPABILITY}.0 or newer`,
      })),
    ];
  } catch (error) {
    return [
      { what, state: messageOf(error), fix: "`nvidia-smi` must work first: restart, or install the driver again" },
    ];
  }
}

async function cudaBackend(): Promise<Finding[]> {
  // Nothing is wrong with a machine that has no GPU.
  if (!hasCudaDriver()) return [{ what: "CUDA kernels", state: "not used: there is no NVIDIA driver", fix: null }];
  if (findKernels("cuda") === null) {
    const compiler = findNvcc();
    const fix = compiler
      ? `the first command with --backend cuda builds them with ${compiler}`
      : `npm install ${platformPackage("cuda")}, or install the CUDA toolkit (nvcc), 12.4 or newer`;
    return [{ what: "CUDA kernels", state: "not there yet", fix }];
  }
  try {
    const backend = await openBackend("cuda");
    const { isa, freeBytes, cublaslt, cublasltPath, cublasltProblem } = backend.info;
    backend.close();
    return [
      { what: "cuda backend", state: `${isa}, ${formatBytes(freeBytes ?? 0)} of device memory free`, fix: null },
      cublaslt
        ? { what: "cuBLASLt", state: `${cublaslt}, ${cublasltPath}`, fix: null }
        : {
            what: "cuBLASLt",
            state: "not used: large matrix products are built in, which is slower",
            fix: cublasltProblem ?? null,
          },
    ];
  } catch (error) {
    return [{ what: "CUDA kernels", state: "built, but not usable here", fix: messageOf(error) }];
  }
}
