import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import type { Row } from "../../src/corpus/pack.js";
import { readAdapter } from "../../src/formats/adapter.js";
import { flattenAdapter } from "../../src/model/adapter-values.js";
import { type TrainHooks, type TrainSettings, train } from "../../src/train/trainer.js";
import { openTestBackend, TEST_BACKEND } from "../backend.js";
import { FIXTURES, openFixture, relativeError, TRAJECTORIES, toRows } from "../parity-fixture.js";

// Noise of two f32 runs: losses 1.1e-7, adapter 5e-7 (test/fixtures/parity/README.md).
const TOLERANCE = { loss: 1e-4, adapter: 1e-3 };
const ROWS_PER_STEP = 4;
const SEQ_LEN = 32;

const backend = await openTestBackend();
const scratch = mkdtempSync(join(tmpdir(), "train-msm-trajectory-"));
afterAll(() => {
  backend.close();
  rmSync(scratch, { recursive: true });
});

interface StepRecord {
  step: number;
  loss: number;
  gradNorm: number;
  lr: number;
  tokens: number;
  targetTokens: number;
}

function readSteps(path: string): StepRecord[] {
  const records = readFileSync(path, "utf8").trim().split("\n");
  return records.map((line) => JSON.parse(line)).filter(({ type }) => type === undefined || type === "step");
}

function loadRows(folder: string): Row[] {
  const lines = readFileSync(join(folder, "rows.jsonl"), "utf8").trim().split("\n");
  return lines.map((line) => {
    const { input_ids, labels } = JSON.parse(line) as { input_ids: number[]; labels: number[] };
    return toRows(Int32Array.from(input_ids), Int32Array.from(labels), 1, SEQ_LEN)[0]!;
  });
}

const SETTINGS: TrainSettings = {
  steps: 20,
  lr: 0,
  warmup: 3,
  schedule: "cosine",
  beta1: 0.9,
  beta2: 0.999,
  eps: 1e-8,
  weightDecay: 0.01,
  clipNorm: 1,
  evalEvery: 0,
  sampleEvery: 0,
  checkpointEvery: 4,
};

/** Trains the fixture's trajectory into `folder`, from its saved state where there is one. */
async function run(
  checkpoint: string,
  folder: string,
  options: { rowsPerMicroBatch?: number; hooks?: Partial<TrainHooks>; rows?: Row[] } = {},
) {
  const { rowsPerMicroBatch = 2, hooks = {}, rows = loadRows(join(FIXTURES, checkpoint, "trajectory")) } = options;
  const settings = JSON.parse(readFileSync(join(FIXTURES, checkpoint, "trajectory", "settings.json"), "utf8"));
  const { state, adapter, free } = await openFixture(backend, checkpoint, {
    dtype: "f32",
    rows: rowsPerMicroBatch,
    seqLen: SEQ_LEN,
    microBatches: ROWS_PER_STEP / rowsPerMicroBatch,
  });
  mkdirSync(folder, { recursive: true });
  const input = {
    folder,
    state,
    initialParams: flattenAdapter(adapter, state.layout),
    baseModelNameOrPath: "base",
    keepBeside: async () => {},
    batchRows: (step: number) => rows.slice((step - 1) * ROWS_PER_STEP, step * ROWS_PER_STEP),
    heldout: [],
    sample: null,
    nameBatch: (batch: Row[]) => `rows ${batch.map((row) => rows.indexOf(row)).join(", ")}`,
  };
  try {
    return await train(
      input,
      { ...SETTINGS, lr: settings.lr },
      { onRecord: () => {}, isStopping: () => false, ...hooks },
    );
  } finally {
    free();
  }
}

const adapterBytes = (folder: string) => readFileSync(join(folder, "adapter", "adapter_model.safetensors"));

/** The emulated GPU is slow: one of them. */
const CHECKPOINTS = TEST_BACKEND === "cuda-emulated" ? (["qwen3"] as const) : TRAJECTORIES;

describe.each(CHECKPOINTS)("%s", (checkpoint) => {
  test("20 steps with accumulation, clipping, warm-up and decay end where transformers + PEFT do", async () => {
    const folder = join(scratch, checkpoint);
    await run(checkpoint, folder);
    const want = readSteps(join(FIXTURES, checkpoint, "trajectory", "log.jsonl"));
    const got = readSteps(join(folder, "log.jsonl"));
    expect(got.length).toBe(20);
    got.forEach((record, i) => {
      const { loss, gradNorm, lr, targetTokens } = want[i]!;
      expect(Math.abs(record.loss - loss) / loss, `loss of step ${i + 1}`).toBeLessThan(TOLERANCE.loss);
      expect(Math.abs(record.gradNorm - gradNorm) / gradNorm, `norm of step ${i + 1}`).toBeLessThan(TOLERANCE.loss);
      expect(record.lr).toBeCloseTo(lr, 12);
      expect(record.targetTokens).toBe(targetTokens);
    });
    const end = readAdapter(join(folder, "adapter"));
    const truth = readAdapter(join(FIXTURES, checkpoint, "trajectory", "adapter"));
    expect([...end.tensors.keys()].sort()).toEqual([...truth.tensors.keys()].sort());
    for (const [key, { A, B }] of truth.tensors) {
      expect(relativeError(end.tensors.get(key)!.A, A), key).toBeLessThan(TOLERANCE.adapter);
      expect(relativeError(end.tensors.get(key)!.B, B), key).toBeLessThan(TOLERANCE.adapter);
    }
  });

  test("the split into micro-batches does not matter", async () => {
    const whole = join(scratch, `${checkpoint}-whole`);
    await run(checkpoint, whole, { rowsPerMicroBatch: 4 });
    const a = readSteps(join(whole, "log.jsonl"));
    const b = readSteps(join(scratch, checkpoint, "log.jsonl"));
    // Gradients are summed in another order: f32 noise, no more.
    const differences = a.map(({ loss }, i) => Math.abs(loss - b[i]!.loss) / loss);
    expect(Math.max(...differences)).toBeLessThan(1e-5);
  });

  test("stopped and continued, the adapter is byte for byte the same", async () => {
    const folder = join(scratch, `${checkpoint}-resumed`);
    // A step more where the next one is under way already.
    for (const stopAfter of [3, 4, 8]) {
      let steps = 0;
      const hooks = {
        onRecord: ({ type }: { type: string }) => {
          if (type === "step") steps++;
        },
        isStopping: () => steps === stopAfter,
      };
      const { finished } = await run(checkpoint, folder, { hooks });
      expect(finished).toBe(false);
    }
    expect((await run(checkpoint, folder)).finished).toBe(true);
    expect(adapterBytes(folder).equals(adapterBytes(join(scratch, checkpoint)))).toBe(true);
    const stripTime = (record: object) => ({ ...record, tokensPerSecond: 0 });
    expect(readSteps(join(folder, "log.jsonl")).map(stripTime)).toEqual(
      readSteps(join(scratch, checkpoint, "log.jsonl")).map(stripTime),
    );
  });
});

test("killed between checkpoints, the lost steps are made again and the log has each step once", async () => {
  const full = join(scratch, "qwen3");
  const folder = join(scratch, "killed");
  class Killed extends Error {}
  const hooks = {
    onRecord: ({ type, step }: { type: string; [key: string]: unknown }) => {
      if (type === "step" && step === 10) throw new Killed();
    },
  };
  await expect(run("qwen3", folder, { hooks })).rejects.toThrow(Killed);
  writeFileSync(join(folder, "log.jsonl"), `${readFileSync(join(folder, "log.jsonl"), "utf8")}{"type":"step","ste`);
  await run("qwen3", folder);
  expect(adapterBytes(folder).equals(adapterBytes(full))).toBe(true);
  expect(readSteps(join(folder, "log.jsonl")).map(({ step }) => step)).toEqual(
    Array.from({ length: 20 }, (_, i) => i + 1),
  );
});

test("gradients that are not finite: skipped, the batch named; three in a row end the run", async () => {
  const folder = join(scratch, "nan");
  await run("qwen3", folder, { hooks: { isStopping: () => true } });
  poison(join(folder, "checkpoint", "state.safetensors"));
  await expect(run("qwen3", folder)).rejects.toThrow(/3 steps in a row .*step 4 \(rows 12, 13, 14, 15\)/);
  expect(() => readAdapter(join(folder, "adapter"))).toThrow();
  const skips = readFileSync(join(folder, "log.jsonl"), "utf8").match(/"type":"skip"/g);
  expect(skips?.length).toBe(3);
});

/** Fills `params` of a run state with NaN. */
function poison(path: string): void {
  const bytes = readFileSync(path);
  const headerBytes = Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.toString("utf8", 8, 8 + headerBytes));
  const [begin, end] = header.params.data_offsets;
  bytes.fill(0xff, 8 + headerBytes + begin, 8 + headerBytes + end);
  writeFileSync(path, bytes);
}

test("a checkpoint folder of other settings is refused", async () => {
  const folder = join(scratch, "other");
  cpSync(join(scratch, "qwen3", "checkpoint"), join(folder, "checkpoint"), { recursive: true });
  await expect(run("llama3", folder)).rejects.toThrow(/no run state of these settings/);
});
