/**
 * @file The float formats of checkpoints: F32, F16, BF16 bytes (little-endian, as safetensors stores them) to and from
 * f32.
 */

import { endianness } from "node:os";
import { RunError } from "./errors.js";

export const FLOAT_DTYPES = ["F32", "F16", "BF16"] as const;
export type FloatDtype = (typeof FLOAT_DTYPES)[number];

const FLOAT_BYTES: Record<FloatDtype, number> = { F32: 4, F16: 2, BF16: 2 };

if (endianness() !== "LE")
  throw new RunError("train-msm reads tensors as little-endian memory; this machine is big-endian");

export function isFloatDtype(dtype: string): dtype is FloatDtype {
  return (FLOAT_DTYPES as readonly string[]).includes(dtype);
}

/** `bytes` of `dtype` as f32, exactly. Writes into `out` where given (its length must match). */
export function decodeFloats(dtype: FloatDtype, bytes: Uint8Array, out?: Float32Array): Float32Array<ArrayBufferLike> {
  const count = bytes.byteLength / FLOAT_BYTES[dtype];
  const values = out ?? new Float32Array(count);
  if (values.length !== count)
    throw new RangeError(`${bytes.byteLength} bytes of ${dtype} do not fill ${values.length} values`);
  if (dtype === "F32") {
    new Uint8Array(values.buffer, values.byteOffset, values.byteLength).set(bytes);
    return values;
  }
  const bits = halves(bytes);
  if (dtype === "BF16") {
    const words = new Uint32Array(values.buffer, values.byteOffset, count);
    for (let i = 0; i < count; i++) words[i] = bits[i]! << 16;
  } else {
    const table = f16Table();
    for (let i = 0; i < count; i++) values[i] = table[bits[i]!]!;
  }
  return values;
}

/** `values` as bytes of `dtype`, rounded once to nearest, ties to even. */
export function encodeFloats(dtype: FloatDtype, values: Float32Array): Uint8Array {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
  if (dtype === "F32") return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  const bits = new Uint16Array(values.length);
  const round = dtype === "BF16" ? bf16Bits : f16Bits;
  for (let i = 0; i < words.length; i++) bits[i] = round(words[i]!);
  return new Uint8Array(bits.buffer);
}

function halves(bytes: Uint8Array): Uint16Array {
  // A view needs an even address; a slice of a larger buffer may not have one.
  const even = bytes.byteOffset % 2 === 0 ? bytes : bytes.slice();
  return new Uint16Array(even.buffer, even.byteOffset, even.byteLength / 2);
}

function bf16Bits(word: number): number {
  // NaN: rounding could carry it into infinity, so it stays a quiet NaN.
  if ((word & 0x7fffffff) > 0x7f800000) return (word >>> 16) | 0x40;
  return (word + 0x7fff + ((word >>> 16) & 1)) >>> 16;
}

function f16Bits(word: number): number {
  const sign = (word >>> 16) & 0x8000;
  const magnitude = word & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00; // NaN
  if (magnitude >= 0x477ff000) return sign | 0x7c00; // 65520 and above round to infinity
  if (magnitude >= 0x38800000) {
    // Normal in f16: rebias the exponent by 127 - 15, keep 10 of 23 mantissa bits.
    const rebased = magnitude - 0x38000000;
    return sign | ((rebased + 0xfff + ((rebased >>> 13) & 1)) >>> 13);
  }
  // Subnormal: the mantissa counts units of 2^-24.
  if (magnitude < 0x33000000) return sign;
  const shift = 126 - (magnitude >>> 23);
  const mantissa = (magnitude & 0x7fffff) | 0x800000;
  const half = 1 << (shift - 1);
  return sign | ((mantissa + half - 1 + ((mantissa >>> shift) & 1)) >>> shift);
}

let f16Values: Float32Array | undefined;

/** Every f16 bit pattern as f32. */
function f16Table(): Float32Array {
  if (f16Values) return f16Values;
  f16Values = new Float32Array(65536);
  for (let bits = 0; bits < 65536; bits++) {
    const sign = bits & 0x8000 ? -1 : 1;
    const exponent = (bits >>> 10) & 31;
    const mantissa = bits & 1023;
    if (exponent === 31) f16Values[bits] = mantissa ? Number.NaN : sign * Number.POSITIVE_INFINITY;
    else if (exponent === 0) f16Values[bits] = sign * mantissa * 2 ** -24;
    else f16Values[bits] = sign * (1 + mantissa / 1024) * 2 ** (exponent - 15);
  }
  return f16Values;
}
