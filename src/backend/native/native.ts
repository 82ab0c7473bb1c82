/** @file Opens a backend library (kernels/ops.h) with koffi. */
import koffi, { type LibraryHandle } from "koffi";
import { InputError, messageOf, RunError } from "../../base/errors.js";
import type { Backend, BackendInfo, BackendLimits, Recording } from "../backend.js";
import type { DeviceBuffer } from "../tensor.js";
import type { NativeBuffer } from "./arguments.js";
import { bindOps } from "./ops.js";

const ABI_VERSION = 3;
const ERROR_BYTES = 1024;

/**
 * How long OpenMP's threads spin for the next loop before they sleep: about 0.1 ms. libgomp's default is ten times
 * that, which on a machine that something else uses too makes every loop wait for a time slice (measured: 15 times
 * slower). Read when libgomp is loaded.
 */
const SPIN_COUNT = "10000";

function load(path: string): LibraryHandle {
  process.env["GOMP_SPINCOUNT"] ??= SPIN_COUNT;
  try {
    return koffi.load(path);
  } catch (error) {
    throw new InputError(`cannot load ${path}: ${messageOf(error)}. Remove its folder to have it built again`);
  }
}

/** The instruction sets that this processor runs, best first, as the library at `path` sees them. */
export function cpuIsas(path: string): string[] {
  return (load(path).func("msm_cpu_isas", "str", [])() as string).split(",");
}

/** `isSyncing`: another thread waits for the stream, which cannot record then. */
function bindRecording(library: LibraryHandle, context: unknown, isSyncing: () => boolean): Backend["record"] {
  const begin = library.func("msm_record_begin", "int", ["void *"]);
  const end = library.func("msm_record_end", "uint64_t", ["void *"]);
  const replay = library.func("msm_replay", "void", ["void *", "uint64_t"]);
  const free = library.func("msm_recording_free", "void", ["void *", "uint64_t"]);
  const sync = library.func("msm_sync", "str", ["void *"]);
  const finish = (): Recording => {
    const recording: unknown = end(context);
    if (!recording) throw new RunError(`cannot record: ${sync(context)}`);
    return { replay: () => replay(context, recording), free: () => free(context, recording) };
  };
  return (run) => {
    if (isSyncing()) throw new Error("cannot record while a sync is under way");
    if (!begin(context)) throw new RunError(`cannot record: ${sync(context)}`);
    try {
      run();
    } catch (error) {
      const unfinished: unknown = end(context);
      if (unfinished) free(context, unfinished);
      throw error;
    }
    return finish();
  };
}

/**
 * Left for what CUDA takes on the side: code of kernels as they are first used, recorded graphs, the piece of a weight
 * that is being loaded.
 */
const CUDA_RESERVE_BYTES = 1024 * 2 ** 20;

function limitsOf({ backend, freeBytes }: BackendInfo): BackendLimits {
  const maxBufferBytes = Number.POSITIVE_INFINITY;
  if (backend === "cpu")
    return { maxBufferBytes, memoryBytes: null, runsAhead: false, prefillTokens: 512, sequences: 32 };
  const memoryBytes =
    backend === "cuda" && freeBytes !== undefined ? Math.max(0, freeBytes - CUDA_RESERVE_BYTES) : null;
  return { maxBufferBytes, memoryBytes, runsAhead: true, prefillTokens: 4096, sequences: 64 };
}

/**
 * Opens a device of the library; `threads` 0 means as many as the machine has. Throws an InputError that says why it
 * cannot.
 */
export function openNative(path: string, device: number, threads: number): Backend {
  const library = load(path);
  const version = library.func("msm_abi_version", "int", [])() as number;
  if (version !== ABI_VERSION)
    throw new InputError(
      `${path} has interface ${version}, this release needs ${ABI_VERSION}: run \`npm run build\` in a clone, ` +
        "or remove the folder to have it built again",
    );

  const reason = Buffer.alloc(ERROR_BYTES);
  const context: unknown = library.func("msm_open", "void *", ["int", "int", "void *", "int64_t"])(
    device,
    threads,
    reason,
    ERROR_BYTES,
  );
  if (!context) throw new InputError(reason.toString("utf8", 0, reason.indexOf(0)));

  const alloc = library.func("msm_alloc", "uint64_t", ["void *", "int64_t"]);
  const free = library.func("msm_free", "void", ["void *", "uint64_t"]);
  const write = library.func("msm_write", "void", ["void *", "uint64_t", "void *", "int64_t"]);
  const readBegin = library.func("msm_read_begin", "uint64_t", ["void *", "uint64_t", "int64_t"]);
  const readEnd = library.func("msm_read_end", "str", ["void *", "uint64_t", "void *", "int64_t"]);
  const sync = library.func("msm_sync", "str", ["void *"]);
  const kernels = library.func("msm_kernels", "str", ["void *"]);
  const close = library.func("msm_close", "void", ["void *"]);
  const record = bindRecording(library, context, () => syncs > 0);
  const info = JSON.parse(library.func("msm_describe", "str", ["void *"])(context) as string) as BackendInfo;

  const within = (buffer: DeviceBuffer, begin: number, length: number): number => {
    if (begin < 0 || begin + length > buffer.bytes)
      throw new RangeError(`bytes ${begin}+${length} of a buffer of ${buffer.bytes}`);
    return (buffer as NativeBuffer).address + begin;
  };
  let syncs = 0;
  // Waiting calls run on a libuv thread, so that the event loop (signals, progress) stays free.
  const waiting = (call: typeof sync, ...args: unknown[]): Promise<void> =>
    new Promise((resolve, reject) => {
      call.async(...args, (failure: unknown, error: string | null) => {
        if (failure) reject(new RunError(messageOf(failure)));
        else if (error) reject(new RunError(error));
        else resolve();
      });
    });

  return {
    info,
    limits: limitsOf(info),
    kernels: () => JSON.parse(kernels(context) as string) as Record<string, number>,
    ops: bindOps(library, context),
    alloc(bytes) {
      const address = Number(alloc(context, bytes));
      if (address === 0)
        throw new RunError(`not enough memory: could not allocate ${(bytes / 2 ** 20).toFixed(0)} MiB`);
      return { bytes, address } as NativeBuffer;
    },
    free: (buffer) => free(context, (buffer as NativeBuffer).address),
    write: (buffer, byteOffset, source) =>
      write(context, within(buffer, byteOffset, source.byteLength), source, source.byteLength),
    async read(buffer, byteOffset, byteLength) {
      const ticket: unknown = readBegin(context, within(buffer, byteOffset, byteLength), byteLength);
      const target = new Uint8Array(byteLength);
      await waiting(readEnd, context, ticket, target, byteLength);
      return target;
    },
    record,
    sync() {
      syncs++;
      return waiting(sync, context).finally(() => syncs--);
    },
    close: () => close(context),
  };
}
