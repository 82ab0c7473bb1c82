import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { decodeFloats, encodeFloats, type FloatDtype, isFloatDtype } from "../../src/base/float.js";
import { openSafetensors } from "../../src/formats/safetensors.js";
import { seeded } from "../formats/fuzz.js";

const fixtures = new URL("../fixtures/safetensors/", import.meta.url);

/** Rounds in f64: the nearest of all 65536 values by bisection over their order. */
function nearest(dtype: FloatDtype, value: number, table: Float32Array): number {
  const magnitude = Math.abs(value);
  const infinity = dtype === "BF16" ? 0x7f80 : 0x7c00;
  let low = 0;
  let high = infinity;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (table[middle]! <= magnitude) low = middle;
    else high = middle;
  }
  // Infinity counts as the next power of two when the nearest is decided.
  const above = high === infinity ? (dtype === "BF16" ? 2 ** 128 : 65536) : table[high]!;
  const toLow = magnitude - table[low]!;
  const toHigh = above - magnitude;
  const bits = toLow < toHigh || (toLow === toHigh && low % 2 === 0) ? low : high;
  return bits | (value < 0 || Object.is(value, -0) ? 0x8000 : 0);
}

describe.each(["F16", "BF16"] as const)("%s", (dtype) => {
  const every = Uint16Array.from({ length: 65536 }, (_, bits) => bits);
  const table = decodeFloats(dtype, new Uint8Array(every.buffer));

  it("keeps every value through f32 and back", () => {
    const back = new Uint16Array(encodeFloats(dtype, table).buffer);
    for (let bits = 0; bits < 65536; bits++) {
      if (Number.isNaN(table[bits])) expect(Number.isNaN(table[back[bits]!])).toBe(true);
      else if (back[bits] !== bits) expect.fail(`${bits} became ${back[bits]}`);
    }
  });

  it("rounds f32 to the nearest, ties to even", () => {
    const random = seeded(1);
    const words = Uint32Array.from({ length: 200_000 }, (_, i) => {
      // Half at random, half at or beside the middle of two neighbours.
      if (i % 2) return random.whole(2 ** 32);
      const a = table[random.whole(0x7bff)]!;
      const b = 2 ** -random.whole(30);
      return new Uint32Array(Float32Array.of(a * (1 + b)).buffer)[0]!;
    });
    const values = new Float32Array(words.buffer);
    const bits = new Uint16Array(encodeFloats(dtype, values).buffer);
    for (let i = 0; i < values.length; i++) {
      const value = values[i]!;
      if (Number.isNaN(value)) expect(Number.isNaN(table[bits[i]!])).toBe(true);
      else if (bits[i] !== nearest(dtype, value, table)) expect.fail(`${value} became ${table[bits[i]!]}`);
    }
  });
});

it("decodes what PyTorch stored, from odd addresses too", () => {
  const expected = JSON.parse(readFileSync(new URL("expected.json", fixtures), "utf8"));
  const file = openSafetensors(new URL("dtypes.safetensors", fixtures).pathname);
  for (const [name, { values }] of Object.entries<{ values: number[] }>(expected)) {
    const { dtype } = file.tensors.get(name)!;
    if (!isFloatDtype(dtype)) throw new Error(dtype);
    const bytes = file.read(name);
    const shifted = new Uint8Array(bytes.byteLength + 1).subarray(1);
    shifted.set(bytes);
    expect([...decodeFloats(dtype, shifted)], name).toEqual(values);
  }
  file.close();
});

it("refuses a buffer of another length", () => {
  expect(() => decodeFloats("F32", new Uint8Array(8), new Float32Array(3))).toThrow(RangeError);
});
