/**
 * @file A backend: device memory, one stream of work, and the ops. TypeScript above this folder cannot tell backends
 * apart.
 */
import type { Ops } from "./ops.js";
import type { DeviceBuffer, Dtype, Tensor } from "./tensor.js";
import { DTYPE_BYTES } from "./tensor.js";

export interface BackendInfo {
  backend: "cpu" | "cuda" | "cuda-emulated";
  /** Its index among the devices that the process sees. */
  device: number;
  /** Instruction set or compute capability. */
  isa: string;
  threads: number;
  memoryBytes: number;
  /** The rest is of CUDA devices. The GPU's name. */
  name?: string;
  /** The newest CUDA that the driver runs. */
  driver?: string | null;
  /** Device memory that nobody had taken when the backend was opened. */
  freeBytes?: number;
  /** What does the large products: version and file of cuBLASLt, or null and why there is none. */
  cublaslt?: string | null;
  cublasltPath?: string | null;
  cublasltProblem?: string | null;
}

/** What a backend can do: the code above asks this, never which backend it is. */
export interface BackendLimits {
  /** The longest buffer that `alloc` gives. */
  maxBufferBytes: number;
  /** What tensors may take of the device's own memory; null where they lie in the machine's. */
  memoryBytes: number | null;
  /**
   * Whether work is to be enqueued before the result of the work before it is there, lest the device wait for the host.
   * False where the host's share is nothing, and running ahead would only delay an interrupt.
   */
  runsAhead: boolean;
  /** Tokens of one prefill, and sequences decoded together: more gains no speed and costs memory. */
  prefillTokens: number;
  sequences: number;
}

/** Ops that were recorded with their tensors. Each replay reads what the tensors hold then. */
export interface Recording {
  replay(): void;
  free(): void;
}

export interface Backend {
  /** For people and records; what to do follows from `limits`. */
  readonly info: BackendInfo;
  readonly limits: BackendLimits;
  readonly ops: Ops;
  /** How often each kernel was called that an op chooses among: "attention_forward: wgmma". A replay does not count. */
  kernels(): Record<string, number>;
  /**
   * At most `limits.maxBufferBytes`, contents undefined. Throws a RunError that names the size where memory is short.
   */
  alloc(bytes: number): DeviceBuffer;
  free(buffer: DeviceBuffer): void;
  /** Host to device, in stream order; `source` may be reused on return. */
  write(buffer: DeviceBuffer, byteOffset: number, source: ArrayBufferView): void;
  /**
   * Device to host, in stream order: work that is enqueued after the call may overwrite what is read. Rejects with the
   * stream's first error.
   */
  read(buffer: DeviceBuffer, byteOffset: number, byteLength: number): Promise<Uint8Array<ArrayBuffer>>;
  /**
   * Records the ops that `run` calls instead of running them; it may do nothing else with the backend. Throws a
   * RunError where that is impossible; the stream's error says why.
   */
  record(run: () => void): Recording;
  /** Waits for all work. Rejects with the stream's first error, which names the op. */
  sync(): Promise<void>;
  close(): void;
}

/** A new tensor without gaps in memory of its own. */
export function allocTensor(backend: Backend, dtype: Dtype, rows: number, cols: number): Tensor {
  const buffer = backend.alloc(rows * cols * DTYPE_BYTES[dtype]);
  return { buffer, dtype, offset: 0, rows, cols, stride: cols };
}

/** Writes a tensor without gaps from host values of the same layout (bf16 and f16 as Uint16Array bit patterns). */
export function writeTensor(backend: Backend, tensor: Tensor, values: ArrayBufferView): void {
  const bytes = tensor.rows * tensor.cols * DTYPE_BYTES[tensor.dtype];
  if (tensor.stride !== tensor.cols && tensor.rows > 1) throw new RangeError("writeTensor needs a tensor without gaps");
  if (values.byteLength !== bytes) throw new RangeError(`${values.byteLength} bytes for a tensor of ${bytes}`);
  backend.write(tensor.buffer, tensor.offset * DTYPE_BYTES[tensor.dtype], values);
}

/** Values of an f32 or bf16 tensor, row by row, without its gaps. */
export async function readFloats(backend: Backend, tensor: Tensor): Promise<Float32Array<ArrayBuffer>> {
  const { rows, cols, stride, dtype } = tensor;
  const out = new Float32Array(rows * cols);
  if (out.length === 0) return out;
  const span = (rows - 1) * stride + cols;
  const bytes = await backend.read(tensor.buffer, tensor.offset * DTYPE_BYTES[dtype], span * DTYPE_BYTES[dtype]);
  if (dtype === "f32") {
    const values = new Float32Array(bytes.buffer, 0, span);
    for (let i = 0; i < rows; i++) out.set(values.subarray(i * stride, i * stride + cols), i * cols);
  } else {
    const halves = new Uint16Array(bytes.buffer, 0, span);
    const bits = new Uint32Array(out.buffer);
    for (let i = 0; i < rows; i++) for (let j = 0; j < cols; j++) bits[i * cols + j] = halves[i * stride + j]! << 16;
  }
  return out;
}

/** Values of an i32 tensor without gaps. */
export async function readInts(backend: Backend, tensor: Tensor): Promise<Int32Array> {
  const bytes = await backend.read(tensor.buffer, tensor.offset * 4, tensor.rows * tensor.cols * 4);
  return new Int32Array(bytes.buffer);
}
