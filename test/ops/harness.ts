/**
 * @file What every op case shares: seeded inputs, rounding, device memory with canaries, comparison. A case is defined
 * once and used by the parity, determinism and sanitizer tests.
 */
import { type Backend, readFloats, readInts } from "../../src/backend/backend.js";
import { type ComputeDtype, DTYPE_BYTES, type Dtype, type Tensor } from "../../src/backend/tensor.js";

// ---------------------------------------------------------------------------------------------------------------
// inputs

/** Uniform numbers in [0, 1), 32 bits each, from a name: a new case changes the inputs of no other. */
export function uniforms(seed: string): () => number {
  let state = 2166136261;
  for (const char of seed) state = Math.imul(state ^ char.charCodeAt(0), 16777619);
  return () => {
    // splitmix32
    state = (state + 0x9e3779b9) | 0;
    let z = state;
    z = Math.imul(z ^ (z >>> 16), 0x85ebca6b);
    z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35);
    return ((z ^ (z >>> 16)) >>> 0) / 2 ** 32;
  };
}

/** Standard normal numbers times `scale`, rounded to `dtype`. */
export function normals(seed: string, count: number, dtype: Dtype | "f64" = "f64", scale = 1): Float64Array {
  const uniform = uniforms(seed);
  const out = new Float64Array(count);
  for (let i = 0; i < count; i++)
    out[i] = scale * Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
  return roundAll(dtype, out);
}

const word = new Float32Array(1);
const wordBits = new Uint32Array(word.buffer);

/** Bit pattern of the bf16 nearest to an f32, ties to even. */
function bf16Bits(x: number): number {
  word[0] = x;
  const bits = wordBits[0]!;
  if (Number.isNaN(x)) return (bits >>> 16) | 0x40;
  return (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
}

/** `x` as a kernel stores it: an f32 result, rounded to nearest even. */
export function roundTo(dtype: Dtype | "f64", x: number): number {
  if (dtype === "f32") return Math.fround(x);
  if (dtype !== "bf16") return x;
  wordBits[0] = bf16Bits(x) << 16;
  return word[0]!;
}

export function roundAll(dtype: Dtype | "f64", values: Float64Array): Float64Array {
  return dtype === "f64" ? values : values.map((x) => roundTo(dtype, x));
}

/** Half the distance between neighbours of `dtype` around `x`: the error of one rounding. */
function halfUlp(dtype: Dtype, x: number): number {
  const mantissaBits = dtype === "bf16" ? 7 : 23;
  return 2 ** (Math.max(Math.floor(Math.log2(Math.abs(x))), -126) - mantissaBits - 1);
}

/** Bytes of values that `dtype` represents; f16 and raw bit patterns are given as a Uint16Array. */
function encode(dtype: Dtype, values: ArrayLike<number>): Uint8Array {
  if (values instanceof Uint16Array || values instanceof Uint32Array)
    return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  const typed =
    dtype === "f32"
      ? new Float32Array(values)
      : dtype === "i32"
        ? new Int32Array(values)
        : new Uint16Array(values.length);
  if (typed instanceof Uint16Array) for (let i = 0; i < typed.length; i++) typed[i] = bf16Bits(values[i]!);
  return new Uint8Array(typed.buffer);
}

// ---------------------------------------------------------------------------------------------------------------
// memory

// A NaN in f32 and in bf16 with a payload that no arithmetic makes: an element that is written shows, and so does one
// that is read, because everything computed from it is NaN.
const CANARY_BYTES = [0xe5, 0x7f, 0xe5, 0x7f];
// Elements after the last: a whole AMX tile row or AVX-512 store beyond the end lands here.
const TAIL = 64;
// Under AddressSanitizer the memory ends with the last element instead: reads beyond it show too. Allocations are whole
// lines.
const EXACT = process.env["MSM_CASE_EXACT"] === "1";
const LINE_BYTES = 64;

interface Placed {
  name: string;
  tensor: Tensor;
  before: Uint8Array;
  scratch: boolean;
}

interface Placement {
  /** Elements between rows; they also shift the first element, so that nothing is aligned. 0: aligned and dense. */
  gap?: number;
  /** Elements before the first; the gap unless given. */
  offset?: number;
  /** Contents are undefined before and after (workspaces). */
  scratch?: boolean;
}

/** Device memory of one case. */
export interface Memory {
  readonly backend: Backend;
  /** A tensor with canaries around it and between its rows; without `values` it holds canaries too. */
  place(
    name: string,
    dtype: Dtype,
    rows: number,
    cols: number,
    values?: ArrayLike<number>,
    placement?: Placement,
  ): Tensor;
  /** Workspace of at least `bytes`. */
  workspace(bytes: number): Tensor;
}

export interface OpenMemory extends Memory {
  placed: Placed[];
  close(): void;
}

export function openMemory(backend: Backend): OpenMemory {
  const placed: Placed[] = [];
  const place: Memory["place"] = (name, dtype, rows, cols, values, placement = {}) => {
    const { gap = 0, scratch = false } = placement;
    let { offset = gap } = placement;
    const size = DTYPE_BYTES[dtype];
    const stride = cols + gap;
    const used = Math.max(0, (rows - 1) * stride + cols);
    // Aligned tensors stay aligned, the others move up to the end.
    const line = LINE_BYTES / size;
    if (EXACT && offset > 0) offset += (line - ((offset + used) % line)) % line;
    const elements = offset + used + (EXACT ? 0 : TAIL);
    const before = new Uint8Array(elements * size);
    for (let i = 0; i < before.length; i++) before[i] = CANARY_BYTES[i % 4]!;
    if (values) {
      if (values.length !== rows * cols)
        throw new RangeError(`${name}: ${values.length} values for [${rows}, ${cols}]`);
      const bytes = encode(dtype, values);
      for (let row = 0; row < rows; row++)
        before.set(bytes.subarray(row * cols * size, (row + 1) * cols * size), (offset + row * stride) * size);
    }
    const buffer = backend.alloc(before.length);
    backend.write(buffer, 0, before);
    const tensor: Tensor = { buffer, dtype, offset, rows, cols, stride };
    placed.push({ name, tensor, before, scratch });
    return tensor;
  };
  return {
    backend,
    placed,
    place,
    workspace: (bytes) => place("workspace", "f32", 1, Math.ceil(bytes / 4), undefined, { scratch: true }),
    close() {
      for (const { tensor } of placed) backend.free(tensor.buffer);
    },
  };
}

/** Throws where a byte outside of the outputs and workspaces is no longer what it was: gaps, ends, inputs. */
async function checkUntouched(label: string, memory: OpenMemory, outputs: Tensor[]): Promise<void> {
  for (const { name, tensor, before, scratch } of memory.placed) {
    const after = await memory.backend.read(tensor.buffer, 0, before.length);
    if (Buffer.from(after.buffer).equals(before)) continue;
    const size = DTYPE_BYTES[tensor.dtype];
    const mayChange = scratch || outputs.some((output) => output.buffer === tensor.buffer);
    for (let i = 0; i < before.length; i++) {
      if (before[i] === after[i]) continue;
      const element = Math.floor(i / size) - tensor.offset;
      const row = Math.floor(element / tensor.stride);
      const col = element % tensor.stride;
      if (mayChange && element >= 0 && row < tensor.rows && col < tensor.cols) continue;
      const place = element < 0 ? "before the first element" : `at [${row}, ${col}]`;
      throw new Error(
        `${label}: wrote ${place} of ${name}, which is ${tensor.rows} x ${tensor.cols} and not an output there`,
      );
    }
  }
}

// -----------------------------------------------------------------------------------------------------------
// comparison

/**
 * What an output must be, and how close: |got - values| <= half an ulp of the output's dtype + relative * magnitude +
 * 2^-8 * rounded.
 */
export interface Want {
  values: ArrayLike<number>;
  /** 0 asks for the exact bits. */
  relative: number;
  /**
   * What the error of f32 arithmetic is proportional to, where terms cancel: for a sum, the sum of the absolute terms.
   * The larger of the element and the tensor's RMS unless given.
   */
  magnitude?: Float64Array;
  /**
   * Sum of the absolute terms that a bf16 kernel may round to bf16 before it sums them (2^-8 is that rounding's
   * relative error).
   */
  rounded?: Float64Array;
}

function rms(values: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i]! ** 2;
  return Math.sqrt(sum / Math.max(1, values.length));
}

/** The first line of a report where `got` differs from what is wanted by more than allowed. */
export function difference(
  name: string,
  dtype: Dtype,
  cols: number,
  got: ArrayLike<number>,
  want: Want,
): string | undefined {
  const { values, relative, magnitude, rounded } = want;
  if (got.length !== values.length) return `${name} has ${got.length} elements, expected ${values.length}`;
  const typical = rms(values);
  let worst = -1;
  let worstExcess = 0;
  let count = 0;
  let worstAllowed = 0;
  for (let i = 0; i < got.length; i++) {
    const a = got[i]!;
    const b = values[i]!;
    if (Object.is(a, b) || (a === b && relative > 0)) continue;
    let allowed = 0;
    if (relative > 0 && Number.isFinite(b)) {
      const scale = magnitude ? magnitude[i]! : Math.max(Math.abs(b), typical);
      allowed =
        relative * scale +
        (dtype === "i32" ? 0 : halfUlp(dtype, b)) +
        (dtype === "bf16" && rounded ? 2 ** -8 * rounded[i]! : 0);
      if (Math.abs(a - b) <= allowed) continue;
    }
    count++;
    const excess = Number.isNaN(a - b) ? Number.POSITIVE_INFINITY : Math.abs(a - b) / allowed;
    if (worst < 0 || excess > worstExcess) [worst, worstExcess, worstAllowed] = [i, excess, allowed];
  }
  if (worst < 0) return undefined;
  const at = `[${Math.floor(worst / cols)}, ${worst % cols}]`;
  const off = Math.abs(got[worst]! - values[worst]!).toExponential(2);
  return (
    `${name}${at} is ${got[worst]}, expected ${values[worst]}: off by ${off}, allowed ` +
    `${worstAllowed.toExponential(2)} (${count} of ${got.length} elements)`
  );
}

export async function readValues(backend: Backend, tensor: Tensor): Promise<Float32Array | Int32Array> {
  if (tensor.dtype !== "i32") return readFloats(backend, tensor);
  if (tensor.rows > 1 && tensor.stride !== tensor.cols) throw new RangeError("i32 outputs have no gaps");
  return readInts(backend, tensor);
}

// ----------------------------------------------------------------------------------------------------------------
// cases

/** An op on a backend, with its inputs in device memory. */
interface OpRun {
  /** Enqueues the op once. Ops that work in place change their input each time. */
  run(): void;
  /** After one run: throws where an output is not what the reference says or anything else was written. */
  check(): Promise<void>;
  /** Values of every output, by name. */
  outputs(): Promise<Record<string, Float32Array | Int32Array>>;
  close(): void;
}

/** One op, one shape, one dtype: what tests need to know. Plain data but for `build`. */
export interface OpCase {
  op: string;
  name: string;
  dtype: ComputeDtype;
  flops: number;
  build(backend: Backend): OpRun;
}

export interface OpDefinition<Inputs> extends Omit<OpCase, "build"> {
  /** Host values, rounded to what the device holds. Made once, when first needed. */
  inputs(): Inputs;
  /** Puts them into device memory. */
  setup(memory: Memory, inputs: Inputs): { run(): void; outputs: Record<string, Tensor> };
  /** In double precision. Computed once, when first needed. */
  reference?(inputs: Inputs): Record<string, Want>;
  /** For outputs that are choices: what is wrong with them. */
  judge?(inputs: Inputs, got: Record<string, Float32Array | Int32Array>): string | undefined;
}

export function opCase<Inputs>(definition: OpDefinition<Inputs>): OpCase {
  const { op, name, dtype, flops } = definition;
  const inputs = once(definition.inputs);
  const reference = once(() => definition.reference?.(inputs()) ?? {});
  return {
    op,
    name,
    dtype,
    flops,
    build(backend) {
      const memory = openMemory(backend);
      const { run, outputs } = definition.setup(memory, inputs());
      const readOutputs = async () => {
        const got: Record<string, Float32Array | Int32Array> = {};
        for (const [output, tensor] of Object.entries(outputs)) got[output] = await readValues(backend, tensor);
        return got;
      };
      return {
        run,
        outputs: readOutputs,
        async check() {
          const label = `${op} ${name} ${dtype} on ${backend.info.isa}`;
          const got = await readOutputs();
          for (const [output, want] of Object.entries(reference())) {
            const tensor = outputs[output];
            if (!tensor) throw new Error(`${label}: no output ${output}`);
            const problem = difference(output, tensor.dtype, tensor.cols, got[output]!, want);
            if (problem) throw new Error(`${label}: ${problem}`);
          }
          const problem = definition.judge?.(inputs(), got);
          if (problem) throw new Error(`${label}: ${problem}`);
          await checkUntouched(label, memory, Object.values(outputs));
        },
        close: memory.close,
      };
    },
  };
}

export function once<T>(make: () => T): () => T {
  let made: { value: T } | undefined;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}

/** A backward formula in double precision, next to the forward whose finite differences it must equal. */
export interface GradientCase {
  op: string;
  name: string;
  inputs: Record<string, Float64Array>;
  /** All outputs one after the other. */
  forward(inputs: Record<string, Float64Array>): Float64Array;
  /** d sum(dout * forward) / d inputs, for the inputs that have a gradient. */
  backward(inputs: Record<string, Float64Array>, dout: Float64Array): Record<string, Float64Array>;
}

export const COMPUTE_DTYPES: ComputeDtype[] = ["f32", "bf16"];
