/**
 * @file Packed = separate: records in a row do not see each other, in the losses and in the gradients; padding counts
 * for nothing.
 */
import { afterAll, describe, expect, test } from "vitest";
import { readFloats } from "../../src/backend/backend.js";
import { rows } from "../../src/backend/tensor.js";
import { randomUint32 } from "../../src/base/random.js";
import { type Example, NO_TARGET } from "../../src/corpus/encode.js";
import { buildRow, packExamples, type Row } from "../../src/corpus/pack.js";
import { inOrder } from "../../src/corpus/shuffle.js";
import { readFlat, type TrainState } from "../../src/train/state.js";
import { countTargets, evaluateLoss, trainStep } from "../../src/train/step.js";
import { openTestBackend } from "../backend.js";
import { openFixture, relativeError, STILL } from "../parity-fixture.js";

const SEQ_LEN = 64;
/** Odd lengths: no kernel's block begins where a record does. 60 tokens, 4 of padding. */
const LENGTHS = [17, 2, 9, 32];
/**
 * Packed against separate: the same numbers but for the order in which a kernel sums them, which depends on where in a
 * block a record begins. f32: 24 bits, a few hundred terms. bf16: 8 bits, and the difference is that of single
 * roundings of activations.
 */
const TOLERANCE = { f32: { loss: 1e-6, gradients: 1e-5 }, bf16: { loss: 1e-3, gradients: 1e-2 } };

const backend = await openTestBackend();
afterAll(() => backend.close());

/** Random records; of the third, a chat, only the second half is a target. */
function makeExamples(vocabSize: number, seed = 1): Example[] {
  return LENGTHS.map((length, i) => {
    const ids = Int32Array.from({ length }, (_, n) => randomUint32(seed, i, n) % vocabSize);
    const targets = ids.map((id, n) => (i === 2 && n < length / 2 ? NO_TARGET : id));
    return { ids, targets, kind: "document", form: "{text}", file: 0, line: i + 1 };
  });
}

function packAll(examples: Example[], perRow: "together" | "alone"): Row[] {
  const all = perRow === "together" ? examples : examples.map((example) => ({ ...example, kind: "row" as const }));
  const order = inOrder(all.length);
  const packing = packExamples(all, { seqLen: SEQ_LEN, order, inOrder: true });
  return Array.from({ length: packing.numRows }, (_, r) => buildRow(all, packing, r));
}

/** The loss at every position of a row. */
async function lossesOf(state: TrainState, row: Row): Promise<Float32Array> {
  await evaluateLoss(state, [row]);
  return readFloats(backend, rows(state.losses, 0, 1));
}

const CASES = (["qwen3", "llama-odd"] as const).flatMap((checkpoint) =>
  (["f32", "bf16"] as const).map((dtype) => ({ checkpoint, dtype })),
);

describe.each(CASES)("$checkpoint $dtype", async ({ checkpoint, dtype }) => {
  const options = { dtype, rows: 1, seqLen: SEQ_LEN, microBatches: LENGTHS.length };
  const { state, free } = await openFixture(backend, checkpoint, options);
  afterAll(free);
  const { vocabSize } = state.decoder.config;
  const examples = makeExamples(vocabSize);
  const packed = packAll(examples, "together")[0]!;
  const separate = packAll(examples, "alone");
  const begins = LENGTHS.map((_, i) => LENGTHS.slice(0, i).reduce((sum, length) => sum + length, 0));
  const tolerance = TOLERANCE[dtype];

  test("the loss of a packed row is the sum over its records run separately", async () => {
    expect(packAll(examples, "together").length).toBe(1);
    expect(separate.length).toBe(LENGTHS.length);
    const together = await lossesOf(state, packed);
    for (const [i, row] of separate.entries()) {
      const alone = (await lossesOf(state, row)).subarray(0, LENGTHS[i]);
      const inRow = together.subarray(begins[i], begins[i]! + LENGTHS[i]!);
      for (const [n, loss] of alone.entries())
        expect(Math.abs(inRow[n]! - loss), `record ${i}, token ${n}`).toBeLessThanOrEqual(tolerance.loss * (1 + loss));
    }
    const sum = async (batch: Row[]) => (await evaluateLoss(state, batch)) * countTargets(batch);
    expect(countTargets([packed])).toBe(countTargets(separate));
    expect(relativeError([await sum([packed])], [await sum(separate)])).toBeLessThan(tolerance.loss);
  });

  test("so are its gradients", async () => {
    const a = await trainStep(state, [packed], STILL);
    const gradients = await readFlat(state, "grads");
    const b = await trainStep(state, separate, STILL);
    expect(relativeError(gradients, await readFlat(state, "grads"))).toBeLessThan(tolerance.gradients);
    expect(relativeError([a.loss, a.gradNorm], [b.loss, b.gradNorm])).toBeLessThan(tolerance.gradients);
  });

  test.each(LENGTHS.map((length, i) => [i, length]))(
    "changing record %i leaves the losses of the others as they are, to the bit",
    async (changed) => {
      const before = await lossesOf(state, packed);
      const others = makeExamples(vocabSize, 2);
      const row = packAll(
        examples.map((example, i) => (i === changed ? others[i]! : example)),
        "together",
      )[0]!;
      const after = await lossesOf(state, row);
      const begin = begins[changed]!;
      const end = begins[changed]! + LENGTHS[changed]!;
      expect(row.ids).not.toEqual(packed.ids);
      for (const n of before.keys()) if (n < begin || n >= end) expect(after[n], `token ${n}`).toBe(before[n]);
      expect(after.subarray(begin, end)).not.toEqual(before.subarray(begin, end));
    },
  );

  test("what stands in the padding changes nothing, to the bit", async () => {
    const padded: Row = { ...packed, ids: packed.ids.slice(), positions: packed.positions.slice() };
    padded.ids.fill(vocabSize - 1, packed.length);
    expect(await lossesOf(state, padded)).toEqual(await lossesOf(state, packed));
    await trainStep(state, [packed], STILL);
    const gradients = await readFlat(state, "grads");
    await trainStep(state, [padded], STILL);
    expect(await readFlat(state, "grads")).toEqual(gradients);
    // A target is the next token of its own record.
    expect([...packed.targets.subarray(packed.length - 1)].every((target) => target === NO_TARGET)).toBe(true);
  });

  test("a micro-batch that is short of rows is as one that is full", async () => {
    const wide = await openFixture(backend, checkpoint, { ...options, rows: 3 });
    try {
      const short = await trainStep(wide.state, [packed], STILL);
      const gradients = await readFlat(wide.state, "grads");
      const full = await trainStep(state, [packed], STILL);
      expect(relativeError([short.loss, short.gradNorm], [full.loss, full.gradNorm])).toBeLessThan(tolerance.loss);
      expect(relativeError(gradients, await readFlat(state, "grads"))).toBeLessThan(tolerance.gradients);
    } finally {
      wide.free();
    }
  });
});
