/** @file Recorded ops: a replay is the same as running them, with what the tensors hold at that time. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Backend } from "../../src/backend/backend.js";
import { allocTensor, readFloats, writeTensor } from "../../src/backend/backend.js";
import type { Tensor } from "../../src/backend/tensor.js";
import { openBuild, ownBuilds } from "./builds.js";
import { ALL_CASES } from "./cases/index.js";
import { normals } from "./harness.js";

const ROWS = 5;
const COLS = 37;

describe.each(ownBuilds().map((build) => [build.name, build] as const))("%s", (_, build) => {
  let backend: Backend;
  beforeAll(async () => {
    backend = await openBuild(build);
  });
  afterAll(() => backend.close());

  it("replays with changed inputs, in stream order, as often as asked", async () => {
    const tensors = ["x", "doubled", "out"].map(() => allocTensor(backend, "f32", ROWS, COLS));
    const [x, doubled, out] = tensors as [Tensor, Tensor, Tensor];
    const run = () => {
      backend.ops.convert({ dst: doubled, src: x, scale: 2 });
      backend.ops.convert({ dst: out, src: doubled, scale: 4 });
    };
    const inputs = ["first", "second", "third"].map((seed) => Float32Array.from(normals(seed, ROWS * COLS, "f32")));
    writeTensor(backend, out, new Float32Array(ROWS * COLS).fill(7));
    const recording = backend.record(run);
    expect(new Set(await readFloats(backend, out))).toEqual(new Set([7]));
    for (const input of [...inputs, inputs[0]!]) {
      writeTensor(backend, x, input);
      recording.replay();
      expect(await readFloats(backend, out)).toEqual(input.map((value) => 8 * value));
    }
    // Ops between replays run in their place.
    backend.ops.convert({ dst: x, src: out });
    recording.replay();
    expect(await readFloats(backend, out)).toEqual(inputs[0]!.map((value) => 64 * value));
    recording.free();
    for (const tensor of tensors) backend.free(tensor.buffer);
  });

  it("gives up a recording whose work throws, and records the next", async () => {
    const x = allocTensor(backend, "f32", 1, 3);
    const fail = () => {
      backend.ops.clear(x);
      throw new RangeError("half way");
    };
    writeTensor(backend, x, Float32Array.of(1, 2, 3));
    expect(() => backend.record(fail)).toThrow("half way");
    expect(await readFloats(backend, x)).toEqual(Float32Array.of(1, 2, 3));
    const recording = backend.record(() => backend.ops.clear(x));
    recording.replay();
    expect(await readFloats(backend, x)).toEqual(Float32Array.of(0, 0, 0));
    recording.free();
    backend.free(x.buffer);
  });

  // The smallest case of each op.
  const smallest = new Map(
    ALL_CASES.toSorted((a, b) => b.flops - a.flops).map((one) => [`${one.op} ${one.dtype}`, one]),
  );
  it.each([...smallest])("%s: recorded and replayed twice, the same bits as run twice", async (_, one) => {
    const plain = one.build(backend);
    const recorded = one.build(backend);
    const recording = backend.record(recorded.run);
    for (let time = 0; time < 2; time++) {
      plain.run();
      recording.replay();
    }
    expect(await recorded.outputs()).toEqual(await plain.outputs());
    recording.free();
    plain.close();
    recorded.close();
  });
});
