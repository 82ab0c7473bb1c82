import { afterAll, describe, expect, test } from "vitest";
import { allocTensor, readFloats } from "../../src/backend/backend.js";
import { RECOMPUTE } from "../../src/model/activations.js";
import { decoderForward } from "../../src/model/decoder.js";
import { readFlat, type TrainState } from "../../src/train/state.js";
import { trainStep } from "../../src/train/step.js";
import { openTestBackend, TEST_BACKEND } from "../backend.js";
import {
  CHECKPOINTS,
  loadTruth,
  openFixture,
  readGradients,
  relativeError,
  STILL,
  type Truth,
  toRows,
} from "../parity-fixture.js";

// Tolerances and the noise that they follow from: test/fixtures/parity/README.md.
const TOLERANCE = { logits: 1e-4, loss: 1e-5, gradient: 1e-4 };

/** The emulated GPU is slow; a root mean square over 8 batches still varies by a quarter at most. */
const MOST_BATCHES = TEST_BACKEND === "cuda-emulated" ? 8 : 32;

const backend = await openTestBackend();
afterAll(() => backend.close());

/** Logits of the last forward pass, all rows. */
async function readLogits(state: TrainState): Promise<Float32Array> {
  const { decoder, activations } = state;
  const out = allocTensor(backend, "f32", activations.N, decoder.config.vocabSize);
  decoderForward(decoder, activations);
  backend.ops.matmul({ out, a: activations.final.normed, b: decoder.weights.lmHead, transB: true });
  const logits = await readFloats(backend, out);
  backend.free(out.buffer);
  return logits;
}

function batchOf(truth: Truth, prefix = "") {
  return toRows(truth.ints(`${prefix}input_ids`), truth.ints(`${prefix}labels`), truth.rows, truth.seqLen);
}

describe.each(CHECKPOINTS)("%s", (checkpoint) => {
  const truth = loadTruth(checkpoint);
  const shape = { rows: truth.rows, seqLen: truth.seqLen };

  test("f32: logits, loss and every gradient are those of transformers + PEFT", async () => {
    const { state, free } = await openFixture(backend, checkpoint, { dtype: "f32", ...shape });
    const { loss } = await trainStep(state, batchOf(truth), STILL);
    expect(Math.abs(loss - truth.json.lora.loss)).toBeLessThan(TOLERANCE.loss);
    expect(relativeError(await readLogits(state), truth.floats("lora.logits"))).toBeLessThan(TOLERANCE.logits);
    const gradients = await readGradients(state);
    const names = truth.names.filter((name) => name.startsWith("lora.grad."));
    expect(names.length).toBe(gradients.size);
    for (const name of names)
      expect(relativeError(gradients.get(name.slice("lora.grad.".length))!, truth.floats(name)), name).toBeLessThan(
        TOLERANCE.gradient,
      );
    free();
  });

  test("f32: every recompute level gives the same bits", async () => {
    const results = [];
    for (const recompute of RECOMPUTE) {
      const { state, free } = await openFixture(backend, checkpoint, { dtype: "f32", ...shape, recompute });
      const { loss } = await trainStep(state, batchOf(truth), STILL);
      results.push({ loss, grads: await readFlat(state, "grads") });
      free();
    }
    for (const result of results) expect(result).toEqual(results[0]);
  });

  test("bf16: at most 1.5 times the error of PyTorch's own bf16 run", async () => {
    const { state, free } = await openFixture(backend, checkpoint, { dtype: "bf16", ...shape });
    const peer = truth.json.bf16.plain.typical;
    // Loss and token losses of one batch differ by chance: root mean square over 32 batches.
    let lossError = 0;
    let tokenError = 0;
    const available = truth.ints("more.input_ids").length / (truth.rows * truth.seqLen);
    const batches = Math.min(available, MOST_BATCHES);
    const tokensOf = (all: Int32Array, batch: number) =>
      all.subarray(batch * truth.rows * truth.seqLen, (batch + 1) * truth.rows * truth.seqLen);
    const wantTokens = truth.floats("more.bf16Truth.losses");
    for (let batch = 0; batch < batches; batch++) {
      const [ids, labels] = ["more.input_ids", "more.labels"].map((name) => tokensOf(truth.ints(name), batch));
      const { loss } = await trainStep(state, toRows(ids!, labels!, truth.rows, truth.seqLen), STILL);
      lossError += (loss - truth.json.moreBf16Truth.loss[batch]) ** 2 / batches;
      tokenError +=
        relativeError(await tokenLosses(state, truth), perBatch(wantTokens, batch, available)) ** 2 / batches;
    }
    expect(Math.sqrt(lossError)).toBeLessThan(1.5 * peer.loss);
    expect(Math.sqrt(tokenError)).toBeLessThan(1.5 * peer.tokenLosses);

    await trainStep(state, batchOf(truth), STILL);
    expect(relativeError(await readLogits(state), truth.floats("bf16Truth.logits"))).toBeLessThan(1.5 * peer.logits);
    const gradients = await readGradients(state);
    const names = truth.names.filter((name) => name.startsWith("bf16Truth.grad."));
    const all = { got: [] as number[], want: [] as number[] };
    for (const name of names) {
      for (const value of gradients.get(name.slice("bf16Truth.grad.".length))!) all.got.push(value);
      for (const value of truth.floats(name)) all.want.push(value);
    }
    expect(all.want.length).toBe(state.layout.count);
    expect(relativeError(all.got, all.want)).toBeLessThan(1.5 * peer.gradients);
    free();
  });
});

/** Cross-entropy of each target of the last step, [rows, T - 1]. */
async function tokenLosses(state: TrainState, truth: Truth): Promise<Float32Array> {
  const all = await readFloats(backend, state.losses);
  const kept = new Float32Array(truth.rows * (truth.seqLen - 1));
  for (let row = 0; row < truth.rows; row++)
    kept.set(all.subarray(row * truth.seqLen, (row + 1) * truth.seqLen - 1), row * (truth.seqLen - 1));
  return kept;
}

function perBatch(values: Float32Array, batch: number, batches: number): Float32Array {
  const size = values.length / batches;
  return values.subarray(batch * size, (batch + 1) * size);
}

test("f32: an adapter on q and v only, with rslora", async () => {
  const truth = loadTruth("qwen2-odd");
  const { state, free } = await openFixture(backend, "qwen2-odd", {
    dtype: "f32",
    rows: truth.rows,
    seqLen: truth.seqLen,
    adapter: "adapter-partial",
  });
  const { loss } = await trainStep(state, batchOf(truth), STILL);
  expect(Math.abs(loss - truth.json.partial.loss)).toBeLessThan(TOLERANCE.loss);
  expect(relativeError(await readLogits(state), truth.floats("partial.logits"))).toBeLessThan(TOLERANCE.logits);
  free();
});
