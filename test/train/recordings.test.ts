/** @file A step's parts recorded and replayed, recomputed and not, once and again: always the same bits. */
import { afterAll, afterEach, describe, expect, test, vi } from "vitest";
import { randomUint32 } from "../../src/base/random.js";
import type { Row } from "../../src/corpus/pack.js";
import { RECOMPUTE, type Recompute } from "../../src/model/activations.js";
import { flattenAdapter } from "../../src/model/adapter-values.js";
import { readFlat, writeParams } from "../../src/train/state.js";
import { type StepResult, trainStep } from "../../src/train/step.js";
import { openTestBackend } from "../backend.js";
import { openFixture, toRows } from "../parity-fixture.js";

const backend = await openTestBackend();
afterAll(() => backend.close());
afterEach(() => vi.unstubAllEnvs());

const SEQ_LEN = 24;
/**
 * Three micro-batches a step: the part that accumulates is run as it is, recorded in the first step and replayed in the
 * second.
 */
const MICRO_BATCHES = 3;
const STEPS = 3;
const SETTINGS = { lr: 1e-2, beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0.01, clipNorm: 1 };

function batchOf(vocabSize: number, step: number): Row[] {
  const ids = Int32Array.from({ length: MICRO_BATCHES * SEQ_LEN }, (_, i) => randomUint32(3, step, i) % vocabSize);
  return toRows(ids, ids, MICRO_BATCHES, SEQ_LEN);
}

/**
 * Trains a few steps, each enqueued before the result of the one before it is asked for; returns every result and the
 * end.
 */
async function run(recompute: Recompute): Promise<{ results: StepResult[]; params: Float32Array; m: Float32Array }> {
  const shape = { dtype: "bf16" as const, rows: 1, seqLen: SEQ_LEN, microBatches: MICRO_BATCHES, recompute };
  const { state, adapter, free } = await openFixture(backend, "qwen3", shape);
  writeParams(state, { params: flattenAdapter(adapter, state.layout) });
  const running: Promise<StepResult>[] = [];
  for (let step = 1; step <= STEPS; step++)
    running.push(trainStep(state, batchOf(state.decoder.config.vocabSize, step), { ...SETTINGS, step }));
  const results = await Promise.all(running);
  const end = { results, params: await readFlat(state, "params"), m: await readFlat(state, "m") };
  free();
  return end;
}

describe("the same bits", async () => {
  const plain = await run("none");

  test("losses, norms and parameters change with every step", () => {
    expect(new Set(plain.results.map(({ loss }) => loss)).size).toBe(STEPS);
    expect(plain.results.every(({ applied }) => applied)).toBe(true);
  });

  test("run again", async () => {
    expect(await run("none")).toEqual(plain);
  });

  test("nothing recorded", async () => {
    vi.stubEnv("MSM_GRAPHS", "0");
    expect(await run("none")).toEqual(plain);
  });

  test.each(RECOMPUTE.slice(1))("recompute: %s", async (recompute) => {
    expect(await run(recompute)).toEqual(plain);
  });
});
