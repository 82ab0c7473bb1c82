/** @file A backend whose buffers are short: memory is cut at its limit, no tensor straddles a cut, no bit changes. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import type { Backend } from "../../src/backend/backend.js";
import { openBackend } from "../../src/backend/open.js";
import { type DeviceBuffer, type Dtype, spanBytes, type Tensor } from "../../src/backend/tensor.js";
import { InputError } from "../../src/base/errors.js";
import { readAdapter } from "../../src/formats/adapter.js";
import { openCheckpoint } from "../../src/formats/checkpoint.js";
import { mergeCheckpoint } from "../../src/jobs/merge.js";
import { flattenAdapter } from "../../src/model/adapter-values.js";
import { type Alloc, allocArena, measure } from "../../src/model/arena.js";
import { generate } from "../../src/model/generate.js";
import { score } from "../../src/model/score.js";
import { planMemory } from "../../src/train/memory.js";
import { readFlat, writeParams } from "../../src/train/state.js";
import { trainStep } from "../../src/train/step.js";
import { FIXTURES, openFixture, toRows } from "../parity-fixture.js";
import { openInference, someIds } from "./inference-fixture.js";

const backend = await openBackend("cpu");
const folder = mkdtempSync(join(tmpdir(), "msm-buffers-"));
afterAll(() => {
  backend.close();
  rmSync(folder, { recursive: true, force: true });
});

/** The backend, as if its buffers could not be longer; `live` are those that are taken and not given back. */
function limited(maxBufferBytes: number): { short: Backend; taken: number[]; live: Set<DeviceBuffer> } {
  const taken: number[] = [];
  const live = new Set<DeviceBuffer>();
  const short: Backend = {
    ...backend,
    limits: { ...backend.limits, maxBufferBytes },
    alloc(bytes) {
      if (bytes > maxBufferBytes) throw new Error(`${bytes} bytes asked of a backend that gives ${maxBufferBytes}`);
      taken.push(bytes);
      const buffer = backend.alloc(bytes);
      live.add(buffer);
      return buffer;
    },
    free(buffer) {
      if (!live.delete(buffer)) throw new Error("given back twice");
      backend.free(buffer);
    },
  };
  return { short, taken, live };
}

describe("an arena", () => {
  const SHAPES: [Dtype, number, number][] = [
    ["f32", 4, 64],
    ["bf16", 3, 100],
    ["i32", 1, 1],
    ["f32", 2, 128],
    ["f32", 0, 10],
    ["bf16", 1, 7],
  ];
  const layout = (alloc: Alloc): Tensor[] => SHAPES.map((shape, i) => alloc(`tensor ${i}`, ...shape));

  test.each([1024, 1536, 4096, Number.POSITIVE_INFINITY])("of buffers of %d bytes", (maxBytes) => {
    const { short, taken, live } = limited(maxBytes);
    const { tensors, free } = allocArena(short, layout);
    const { bytes, largest } = measure(layout);
    expect(largest).toEqual({ name: "tensor 0", bytes: 1024 });
    expect(taken.reduce((sum, one) => sum + one, 0)).toBe(bytes);
    expect(taken.length > 1).toBe(maxBytes < bytes);
    // In order, inside their buffers, none over another.
    const ends = new Map<DeviceBuffer, number>();
    tensors.forEach((tensor, i) => {
      expect([tensor.dtype, tensor.rows, tensor.cols]).toEqual(SHAPES[i]);
      const begin = (tensor.offset * 4) / (tensor.dtype === "bf16" ? 2 : 1);
      expect(begin % 256).toBe(0);
      expect(begin).toBeGreaterThanOrEqual(ends.get(tensor.buffer) ?? 0);
      expect(begin + spanBytes(tensor)).toBeLessThanOrEqual(tensor.buffer.bytes);
      ends.set(tensor.buffer, begin + spanBytes(tensor));
    });
    free();
    expect(live.size).toBe(0);
  });

  test("refuses a tensor that is longer than any buffer by its name, and takes nothing", () => {
    const { short, taken } = limited(1023);
    expect(() => allocArena(short, layout)).toThrow(InputError);
    expect(() => allocArena(short, layout)).toThrow(/^tensor 0 takes .* in one piece, and the backend gives at most/);
    expect(taken).toEqual([]);
  });

  test("gives back what it has taken where there is not enough memory for all", () => {
    const { short, live } = limited(1024);
    let left = 2;
    const scarce: Backend = {
      ...short,
      alloc(bytes) {
        if (left-- === 0) throw new Error("not enough memory");
        return short.alloc(bytes);
      },
    };
    expect(() => allocArena(scarce, layout)).toThrow("not enough memory");
    expect(live.size).toBe(0);
  });
});

const LIMIT = 48 * 1024;
const SEQ_LEN = 24;
const SETTINGS = { lr: 1e-2, beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0.01, clipNorm: 1 };

async function trained(on: Backend): Promise<unknown> {
  const shape = { dtype: "bf16" as const, rows: 1, seqLen: SEQ_LEN, microBatches: 2, recompute: "norms" as const };
  const { state, adapter, free } = await openFixture(on, "qwen3", shape);
  writeParams(state, { params: flattenAdapter(adapter, state.layout) });
  const results = [];
  for (let step = 1; step <= 3; step++) {
    const ids = Int32Array.from(someIds(state.decoder.config.vocabSize, 2 * SEQ_LEN, step));
    results.push(await trainStep(state, toRows(ids, ids, 2, SEQ_LEN), { ...SETTINGS, step }));
  }
  const end = { results, params: await readFlat(state, "params"), m: await readFlat(state, "m") };
  free();
  return end;
}

async function asked(on: Backend): Promise<unknown> {
  const decoder = await openInference(on, "qwen3", { adapter: "adapter", dtype: "bf16" });
  const prompts = [7, 12, 3].map((length, i) => someIds(decoder.config.vocabSize, length, i));
  const options = { maxTokens: 8, temperature: 0.9, topP: 0.9, seed: 3, stopIds: new Set<number>() };
  const completions = await generate(decoder, prompts, options);
  const scores = await score(
    decoder,
    prompts.map((ids) => ({ ids, from: 1 })),
  );
  decoder.free();
  return { completions, scores };
}

async function merged(on: Backend): Promise<Buffer[]> {
  const source = openCheckpoint(join(FIXTURES, "qwen3", "model"));
  const out = mkdtempSync(join(folder, "merged-"));
  await mergeCheckpoint(on, source, readAdapter(join(FIXTURES, "qwen3", "adapter")), out);
  source.close();
  return source.shards.map(({ file }) => readFileSync(join(out, file)));
}

describe("the same bits in short buffers", () => {
  test.each([
    ["training", trained],
    ["generation and scoring", asked],
    ["merge", merged],
  ] as [string, (on: Backend) => Promise<unknown>][])("%s", async (_, run) => {
    const { short, taken, live } = limited(LIMIT);
    expect(await run(short)).toEqual(await run(backend));
    expect(taken.length).toBeGreaterThan(5);
    expect(live.size).toBe(0);
  });
});

describe("what does not fit one buffer is named before anything is loaded", () => {
  test("weights", async () => {
    const { short, live } = limited(4096);
    await expect(openInference(short, "qwen3")).rejects.toThrow(InputError);
    await expect(openInference(short, "qwen3")).rejects.toThrow(/^(layers\.\d+\.|model\.)\S+ takes .* in one piece/);
    expect(live.size).toBe(0);
  });

  const { config } = openCheckpoint(join(FIXTURES, "qwen3", "model"));
  const shape = {
    config,
    dtype: "bf16" as const,
    positions: 64,
    sampling: null,
    lora: { r: 8, alpha: 16, useRslora: false, targets: ["q" as const] },
    seqLen: 64,
    batchSize: 16,
  };
  const plenty = planMemory(backend, shape, 2 ** 40);

  test("a training takes smaller micro-batches", () => {
    const { short } = limited(plenty.largest.bytes - 1);
    const plan = planMemory(short, shape, 2 ** 40);
    expect(plan.rowsPerMicroBatch).toBeLessThan(plenty.rowsPerMicroBatch);
    expect(plan.largest.bytes).toBeLessThan(plenty.largest.bytes);
  });

  test("then the setting that fits is said", () => {
    const least = planMemory(backend, shape, 2 ** 40, { rowsPerMicroBatch: 1, recompute: "block" }).largest;
    const { short } = limited(least.bytes - 1);
    const refusal = refusalOf(() => planMemory(short, { ...shape, seqLen: 4096 }, 2 ** 40));
    expect(refusal).toMatch(
      /^not enough memory: .* takes .* in one piece, and the backend gives at most .*; --seq-len/,
    );
    const seqLen = Number(/--seq-len (\d+) fits/.exec(refusal)![1]);
    expect(planMemory(short, { ...shape, seqLen }, 2 ** 40).rowsPerMicroBatch).toBeGreaterThan(0);
    const wide = { ...shape, seqLen, lora: { ...shape.lora, r: 4000 } };
    expect(refusalOf(() => planMemory(short, wide, 2 ** 40))).toMatch(/; --r 4000 is too large, 1 fits$/);
    expect(refusalOf(() => planMemory(limited(1000).short, shape, 2 ** 40))).toMatch(
      /; use a smaller model, or another/,
    );
  });

  test("a run that continues keeps its split, or is refused", () => {
    const { short } = limited(plenty.largest.bytes - 1);
    const split = { rowsPerMicroBatch: plenty.rowsPerMicroBatch, recompute: plenty.recompute };
    expect(refusalOf(() => planMemory(short, shape, 2 ** 40, split))).toMatch(
      /to continue as the run began: .* one piece/,
    );
  });
});

function refusalOf(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    if (error instanceof InputError) return error.message;
    throw error;
  }
  throw new Error("not refused");
}
