import { afterAll, describe, expect, test } from "vitest";
import { openBackend } from "../../src/backend/open.js";
import { formatBytes } from "../../src/base/bytes.js";
import { InputError } from "../../src/base/errors.js";
import { packagePath } from "../../src/base/package.js";
import { openCheckpoint } from "../../src/formats/checkpoint.js";
import { memoryBudget, planMemory, type RunShape } from "../../src/train/memory.js";

const backend = await openBackend("cpu");
afterAll(() => backend.close());

const checkpoint = openCheckpoint(packagePath("models", "miniature"));
checkpoint.close();
const shape: RunShape = {
  config: checkpoint.config,
  lora: { r: 8, alpha: 16, useRslora: false, targets: ["q", "v", "down"] },
  dtype: "bf16",
  seqLen: 512,
  batchSize: 8,
  positions: 512,
  sampling: null,
};
const PLENTY = 2 ** 40;
const plenty = planMemory(backend, shape, PLENTY);

describe("planMemory", () => {
  test("with plenty: the whole step at once, nothing computed twice", () => {
    expect(plenty).toMatchObject({ rowsPerMicroBatch: 8, microBatches: 1, N: 8 * 512, recompute: "none" });
    expect(plenty.totalBytes).toBe(Object.values(plenty.bytes).reduce((sum, bytes) => sum + bytes, 0));
  });

  test("with less memory every plan still fits, in smaller micro-batches or with recompute", () => {
    const seen = new Set<string>();
    for (let budget = plenty.totalBytes; budget > plenty.bytes.weights + plenty.bytes.adapter; budget *= 0.8) {
      try {
        const plan = planMemory(backend, shape, budget);
        expect(plan.totalBytes).toBeLessThanOrEqual(budget);
        expect(plan.rowsPerMicroBatch * plan.microBatches).toBeGreaterThanOrEqual(shape.batchSize);
        seen.add(`${plan.rowsPerMicroBatch} ${plan.recompute}`);
      } catch (error) {
        expect(error).toBeInstanceOf(InputError);
      }
    }
    expect(seen.size).toBeGreaterThan(3);
    expect([...seen].some((plan) => !plan.endsWith("none"))).toBe(true);
  });

  test("one byte too little changes the plan", () => {
    const plan = planMemory(backend, shape, plenty.totalBytes - 1);
    expect(plan.totalBytes).toBeLessThan(plenty.totalBytes);
  });

  test("a batch that the micro-batch does not divide ends with a short one", () => {
    const plan = planMemory(backend, { ...shape, batchSize: 5, seqLen: 4096 }, PLENTY);
    expect(plan).toMatchObject({ rowsPerMicroBatch: 2, microBatches: 3 });
  });

  test("what does not fit is refused with the largest length that does", () => {
    const long = { ...shape, seqLen: 2 ** 20 };
    const budget = plenty.totalBytes;
    const refusal = messageOfRefusal(() => planMemory(backend, long, budget));
    expect(refusal).toMatch(/^not enough memory: one row of 1048576 tokens needs .* available; --seq-len \d+ fits$/);
    const fitting = Number(/--seq-len (\d+)/.exec(refusal)![1]);
    expect(planMemory(backend, { ...long, seqLen: fitting }, budget).totalBytes).toBeLessThanOrEqual(budget);
    expect(() => planMemory(backend, { ...long, seqLen: fitting + 16 }, budget)).toThrow(InputError);
  });

  test("a setting out of proportion is named", () => {
    const budget = 2 * plenty.totalBytes;
    const wide = { ...shape, lora: { ...shape.lora, r: 100_000 } };
    expect(messageOfRefusal(() => planMemory(backend, wide, budget))).toMatch(/; --r 100000 is too large, 1 fits$/);
    const many = { ...shape, batchSize: 1e8 };
    expect(messageOfRefusal(() => planMemory(backend, many, budget))).toMatch(
      /; --batch-size 100000000 is too large, 1 fits$/,
    );
  });

  test("where not even the weights fit, that is said", () => {
    expect(messageOfRefusal(() => planMemory(backend, shape, 1000))).toMatch(/the weights alone take .*smaller model/);
  });

  test("a run that continues keeps its split, or is refused", () => {
    const split = { rowsPerMicroBatch: 2, recompute: "block" as const };
    const plan = planMemory(backend, shape, PLENTY, split);
    expect(plan).toMatchObject({ ...split, microBatches: 4, N: 2 * 512 });
    expect(() => planMemory(backend, shape, plan.totalBytes - 1, split)).toThrow(/to continue as the run began/);
  });
});

function messageOfRefusal(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    if (error instanceof InputError) return error.message;
    throw error;
  }
  throw new Error("not refused");
}

test("the budget is what is free, less a reserve", () => {
  const budget = memoryBudget(backend);
  expect(budget).toBeGreaterThan(0);
  expect(budget).toBeLessThan(process.constrainedMemory() || PLENTY);
});

test("formatBytes", () => {
  expect(formatBytes(3 * 2 ** 20)).toBe("3.0 MiB");
  expect(formatBytes(2.5 * 2 ** 30)).toBe("2.50 GiB");
});
