/**
 * @file The NVIDIA driver and its GPUs, asked directly (CUDA Driver API), so that `doctor` can say what is missing
 * before any kernel is built.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import koffi, { type LibraryHandle } from "koffi";
import { messageOf, RunError } from "../../base/errors.js";

interface Gpu {
  name: string;
  /** "9.0" */
  computeCapability: string;
  memoryBytes: number;
}

export interface CudaDriver {
  /** "580.65.06", null where the kernel module does not say. */
  version: string | null;
  /** The newest CUDA that it runs, "13.0". */
  cuda: string;
  gpus: Gpu[];
}

const LIBRARY = "libcuda.so.1";
const MODULE_VERSION = "/proc/driver/nvidia/version";
const PCI_DEVICES = "/sys/bus/pci/devices";
const PCI_VENDOR_NVIDIA = "0x10de";
/** CUdevice_attribute. */
const CAPABILITY_MAJOR = 75;
const CAPABILITY_MINOR = 76;

/** Whether a driver is installed, working or not. */
export function hasCudaDriver(): boolean {
  try {
    koffi.load(LIBRARY);
    return true;
  } catch {
    return false;
  }
}

/** The driver; null where there is none. Throws RunError where it is installed and does not work. */
export function readCudaDriver(): CudaDriver | null {
  let library: LibraryHandle;
  try {
    library = koffi.load(LIBRARY);
  } catch (error) {
    if (!existsSync(MODULE_VERSION)) return null;
    throw new RunError(`the NVIDIA kernel module is loaded, but ${LIBRARY} is not there (${messageOf(error)})`);
  }
  const errorString = library.func("int cuGetErrorString(int error, _Out_ const char **text)");
  const call = (declaration: string): ((...args: unknown[]) => void) => {
    const call = library.func(declaration);
    return (...args) => {
      const status = call(...args) as number;
      if (status === 0) return;
      const text: [string | null] = [null];
      errorString(status, text);
      throw new RunError(`${declaration.split(/[ (]/)[1]}: ${text[0] ?? `error ${status}`}`);
    };
  };
  const intOf = (fill: (out: [number]) => void): number => {
    const out: [number] = [0];
    fill(out);
    return out[0];
  };
  call("int cuInit(unsigned int flags)")(0);
  const getVersion = call("int cuDriverGetVersion(_Out_ int *version)");
  const getCount = call("int cuDeviceGetCount(_Out_ int *count)");
  const getDevice = call("int cuDeviceGet(_Out_ int *device, int ordinal)");
  const getName = call("int cuDeviceGetName(void *name, int bytes, int device)");
  const getAttribute = call("int cuDeviceGetAttribute(_Out_ int *value, int attribute, int device)");
  const getMemory = call("int cuDeviceTotalMem_v2(_Out_ size_t *bytes, int device)");

  const version = intOf((out) => getVersion(out));
  const gpus = Array.from({ length: intOf((out) => getCount(out)) }, (_, ordinal): Gpu => {
    const device = intOf((out) => getDevice(out, ordinal));
    const name = Buffer.alloc(256);
    getName(name, name.length, device);
    const [major, minor] = [CAPABILITY_MAJOR, CAPABILITY_MINOR].map((attribute) =>
      intOf((out) => getAttribute(out, attribute, device)),
    );
    return {
      name: name.toString("utf8", 0, name.indexOf(0)),
      computeCapability: `${major}.${minor}`,
      memoryBytes: intOf((out) => getMemory(out, device)),
    };
  });
  // 13000 is 13.0.
  return { version: moduleVersion(), cuda: `${Math.floor(version / 1000)}.${Math.floor((version % 1000) / 10)}`, gpus };
}

function moduleVersion(): string | null {
  if (!existsSync(MODULE_VERSION)) return null;
  return /Module\D*(\d+(?:\.\d+)+)/.exec(readFileSync(MODULE_VERSION, "utf8"))?.[1] ?? null;
}

/** Whether an NVIDIA card is on the PCI bus, driver or not. */
export function hasNvidiaCard(): boolean {
  if (!existsSync(PCI_DEVICES)) return false;
  return readdirSync(PCI_DEVICES).some((device) => {
    const path = `${PCI_DEVICES}/${device}`;
    const read = (name: string): string => readFileSync(`${path}/${name}`, "utf8").trim();
    // Class 03: display controllers.
    return read("vendor") === PCI_VENDOR_NVIDIA && read("class").startsWith("0x03");
  });
}
