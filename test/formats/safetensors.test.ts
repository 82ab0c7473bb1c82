import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
// @ts-expect-error The package has no types.
import { SafeTensor } from "safetensors";
import { describe, expect, it } from "vitest";
import { InputError } from "../../src/base/errors.js";
import { encodeFloats } from "../../src/base/float.js";
import { openSafetensors, type TensorSource, writeSafetensors } from "../../src/formats/safetensors.js";
import { sharedModel } from "../shared.js";
import { temporaryFolder } from "./folder.js";
import { seeded } from "./fuzz.js";

const fixture = fileURLToPath(new URL("../fixtures/safetensors/dtypes.safetensors", import.meta.url));

function randomTensors(count: number): TensorSource[] {
  const random = seeded(5);
  return Array.from({ length: count }, (_, i) => {
    const shape = [random.whole(5), 1 + random.whole(7)];
    const values = Float32Array.from({ length: shape[0]! * shape[1]! }, () => random.whole(1000) / 8 - 50);
    const dtype = random.pick(["F32", "F16", "BF16"] as const);
    return { name: `t${i}`, dtype, shape, bytes: encodeFloats(dtype, values) };
  });
}

describe("writeSafetensors", () => {
  it("writes what openSafetensors reads", async () => {
    const path = join(temporaryFolder(), "x.safetensors");
    const tensors = randomTensors(40);
    await writeSafetensors(path, tensors, { format: "pt" });
    const file = openSafetensors(path);
    expect(file.metadata).toEqual({ format: "pt" });
    expect(file.tensors.size).toBe(40);
    for (const { name, dtype, shape, bytes } of tensors) {
      expect(file.tensors.get(name)).toMatchObject({ dtype, shape });
      expect(file.read(name)).toEqual(bytes);
    }
    file.close();
  });

  it("writes byte for byte what the reference implementation wrote", async () => {
    const path = join(temporaryFolder(), "x.safetensors");
    const file = openSafetensors(fixture);
    const tensors = [...file.tensors].map(([name, { dtype, shape }]) => ({
      name,
      dtype,
      shape,
      bytes: file.read(name),
    }));
    // Its order of metadata keys is that of a hash table, so the file's own is kept.
    await writeSafetensors(path, tensors.reverse(), file.metadata);
    expect(readFileSync(path).equals(readFileSync(fixture))).toBe(true);
  });

  it("streams tensors from generators, also asynchronous ones", async () => {
    const path = join(temporaryFolder(), "x.safetensors");
    const pieces = [Uint8Array.of(1, 2, 3), new Uint8Array(0), Uint8Array.of(4, 5, 6, 7, 8)];
    await writeSafetensors(path, [
      { name: "a", dtype: "F32", shape: [2], bytes: () => pieces },
      {
        name: "b",
        dtype: "F32",
        shape: [2],
        async *bytes() {
          yield* pieces;
        },
      },
    ]);
    const file = openSafetensors(path);
    expect([...file.read("a")]).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect([...file.read("b")]).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    file.close();
  });

  it("leaves the old file, and nothing else, when a tensor fails", async () => {
    const folder = temporaryFolder();
    const path = join(folder, "x.safetensors");
    await writeSafetensors(path, [{ name: "a", dtype: "U8", shape: [1], bytes: Uint8Array.of(9) }]);
    const write = writeSafetensors(path, [{ name: "a", dtype: "U8", shape: [2], bytes: Uint8Array.of(1) }]);
    await expect(write).rejects.toThrow("a takes 2 bytes, got 1");
    expect(readdirSync(folder)).toEqual(["x.safetensors"]);
    expect([...openSafetensors(path).read("a")]).toEqual([9]);
  });

  it("refuses duplicates and unknown dtypes", async () => {
    const path = join(temporaryFolder(), "x.safetensors");
    const a = { name: "a", dtype: "U8", shape: [1], bytes: Uint8Array.of(1) };
    await expect(writeSafetensors(path, [a, a])).rejects.toThrow(InputError);
    await expect(writeSafetensors(path, [{ ...a, dtype: "float32" }])).rejects.toThrow('unknown dtype "float32"');
  });
});

describe("openSafetensors", () => {
  it("reads pieces of a tensor, and refuses what lies outside it", () => {
    const file = openSafetensors(fixture);
    const whole = file.read("f32");
    const target = new Uint8Array(20).fill(255);
    file.readInto("f32", target, 4, 8);
    expect([...target.subarray(0, 8)]).toEqual([...whole.subarray(4, 12)]);
    expect([...target.subarray(8)]).toEqual(Array(12).fill(255));
    expect(() => file.readInto("f32", target, 56, 8)).toThrow(RangeError);
    expect(() => file.readInto("f32", target, -4, 8)).toThrow(RangeError);
    expect(() => file.readInto("f32", target, 0, 24)).toThrow(RangeError);
    expect(() => file.readInto("f32", target, Number.NaN, 4)).toThrow(RangeError);
    expect(() => file.read("nothing")).toThrow(`${fixture} has no tensor "nothing"`);
    file.close();
    file.close();
    expect(() => file.read("f32")).toThrow("closed");
  });

  it("agrees with npm's safetensors on a real model, read and written again", async () => {
    const folder = sharedModel("tinystories-656k");
    if (!folder) return;
    const file = openSafetensors(join(folder, "model.safetensors"));
    const tensors = [...file.tensors].map(([name, { dtype, shape }]) => ({
      name,
      dtype,
      shape,
      bytes: file.read(name),
    }));
    const copy = join(temporaryFolder(), "x.safetensors");
    await writeSafetensors(copy, tensors); // without metadata, which the package cannot read
    const oracle = new SafeTensor(new Uint8Array(readFileSync(copy)));
    expect(oracle.metadata.size).toBe(file.tensors.size);
    for (const { name, shape, bytes } of tensors) {
      expect(oracle.metadata.get(name).shape).toEqual(shape);
      expect(Buffer.compare(bytes, oracle.getTensor(name))).toBe(0);
    }
    file.close();
  });

  it("notices a file that shrinks while it is open", async () => {
    const path = join(temporaryFolder(), "x.safetensors");
    await writeSafetensors(path, [{ name: "a", dtype: "U8", shape: [100], bytes: new Uint8Array(100) }]);
    const file = openSafetensors(path);
    truncateSync(path, 120);
    expect(() => file.read("a")).toThrow(/ended at byte 120 while it was being read/);
    file.close();
  });

  it("refuses what is no file, without waiting for it", () => {
    const folder = temporaryFolder();
    expect(() => openSafetensors(folder)).toThrow("not a plain file");
    expect(() => openSafetensors(join(folder, "none"))).toThrow("does not exist");
    writeFileSync(join(folder, "empty"), "");
    expect(() => openSafetensors(join(folder, "empty"))).toThrow("0 bytes are too few");
    const mkfifo = "/usr/bin/mkfifo";
    if (!existsSync(mkfifo)) return;
    execFileSync(mkfifo, [join(folder, "pipe")]);
    expect(() => openSafetensors(join(folder, "pipe"))).toThrow("not a plain file");
  });
});
