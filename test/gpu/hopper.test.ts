/**
 * @file Hopper's kernels (wgmma, TMA) against those of every GPU (mma.sync), on a Hopper card: each against its
 * reference, and both at a real size.
 */
import { afterAll, describe, expect, test } from "vitest";
import { allocTensor, type Backend, readFloats, writeTensor } from "../../src/backend/backend.js";
import type { Tensor } from "../../src/backend/tensor.js";
import { fillRandom } from "../../src/bench/random-weights.js";
import { openBuild } from "../ops/builds.js";
import { hopperCases } from "../ops/cases/hopper-attention.js";
import { ALL_CASES } from "../ops/cases/index.js";
import { relativeError } from "../parity-fixture.js";

const open = (hopper: "0" | "1"): Promise<Backend> =>
  openBuild({ name: "cuda", backend: "cuda", settings: { MSM_HOPPER: hopper } });
const plain = await open("0");
const hopper = await open("1");
afterAll(() => {
  plain.close();
  hopper.close();
});

/**
 * Results are rounded to bf16 once, p and ds before their products: relative l2 error 2^-9 each, and two kernels differ
 * by both.
 */
const TOLERANCE = 5e-3;
const N = 4096;
const H = 8;
const K = 2;

/** Every output of attention, forward and backward, over two segments. */
async function attend(backend: Backend, E: number): Promise<Record<string, Float32Array>> {
  const buffers: Tensor[] = [];
  const alloc = (dtype: "bf16" | "f32" | "i32", rows: number, cols: number): Tensor => {
    const tensor = allocTensor(backend, dtype, rows, cols);
    if (dtype !== "i32") fillRandom(backend, tensor);
    buffers.push(tensor);
    return tensor;
  };
  const wide = (): Tensor => alloc("bf16", N, H * E);
  const narrow = (): Tensor => alloc("bf16", N, K * E);
  const q = wide();
  const k = narrow();
  const v = narrow();
  const dout = wide();
  const outputs = { out: wide(), dq: wide(), dk: narrow(), dv: narrow(), lse: alloc("f32", H, N) };
  const { out, dq, dk, dv, lse } = outputs;
  const starts = alloc("i32", 1, N);
  writeTensor(
    backend,
    starts,
    Int32Array.from({ length: N }, (_, n) => (n < 1000 ? 0 : 1000)),
  );
  // The pattern's values are small: this scale gives scores of about 2.
  const attention = { q, k, v, starts, headDim: E, scale: 200 };
  const bytes = backend.ops.attentionBackwardWorkspaceBytes({ dtype: "bf16", N, H, K, E });
  const workspace = alloc("f32", 1, Math.ceil(bytes / 4));
  backend.ops.attentionForward({ out, lse, ...attention });
  backend.ops.attentionBackward({ dq, dk, dv, dout, out, lse, ...attention, workspace });
  const values: Record<string, Float32Array> = {};
  for (const [name, tensor] of Object.entries(outputs)) values[name] = await readFloats(backend, tensor);
  for (const { buffer } of buffers) backend.free(buffer);
  return values;
}

describe.skipIf(plain.info.isa !== "sm_90")("on a Hopper card", () => {
  test.each([64, 128])("attention with heads of %i gives the same, forward and backward", async (E) => {
    const a = await attend(plain, E);
    const b = await attend(hopper, E);
    for (const [name, values] of Object.entries(a))
      expect(relativeError(b[name]!, values), name).toBeLessThan(TOLERANCE);
    expect(await attend(hopper, E)).toEqual(b);
    // A call that falls to the kernels of every GPU is right too, and slow.
    expect(Object.keys(hopper.kernels()).sort()).toEqual(["attention_backward: wgmma", "attention_forward: wgmma"]);
    expect(Object.keys(plain.kernels()).join()).not.toContain("wgmma");
  });

  test.for(
    [...ALL_CASES.filter(({ op, dtype }) => op === "attention" && dtype === "bf16"), ...hopperCases].map(
      (one) => [one.op, one.name, one] as const,
    ),
  )("%s %s", async ([, , one]) => {
    const op = one.build(hopper);
    op.run();
    await op.check();
    op.close();
  });
});

if (plain.info.isa !== "sm_90") test("on a Hopper card", ({ skip }) => skip(`this one is ${plain.info.isa}`));
