/** @file Timing of enqueued work, on a clock of its own. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Backend } from "../../src/backend/backend.js";
import { timeCalls } from "../../src/bench/time.js";

let now = 0;
let pending = 0;
/** A stream on which each call takes the next of `seconds`, over and over; a sync waits for all of them. */
function stream(seconds: readonly number[]): { backend: Backend; enqueue: () => void; calls: () => number } {
  let calls = 0;
  const enqueue = (): void => {
    pending += seconds[calls++ % seconds.length]! * 1000;
  };
  const sync = async (): Promise<void> => {
    now += pending;
    pending = 0;
  };
  return { backend: { sync } as unknown as Backend, enqueue, calls: () => calls };
}

beforeEach(() => {
  now = 0;
  pending = 0;
  vi.spyOn(performance, "now").mockImplementation(() => now);
});
afterEach(() => vi.restoreAllMocks());

test("a call's time is what the stream takes, whatever it takes to enqueue", async () => {
  const { backend, enqueue } = stream([0.02]);
  const { median, best } = await timeCalls(backend, enqueue);
  expect(median).toBeCloseTo(0.02, 12);
  expect(best).toBeCloseTo(0.02, 12);
});

test("short calls are made back to back, so that the clock does not show", async () => {
  const { backend, enqueue, calls } = stream([1e-6]);
  const { median } = await timeCalls(backend, enqueue, 0.1);
  expect(median).toBeCloseTo(1e-6, 12);
  expect(calls()).toBeGreaterThan(90_000);
});

test("median and best are of samples", async () => {
  const { backend, enqueue } = stream([0.1, 0.3, 0.2]);
  const { median, best } = await timeCalls(backend, enqueue, 1.2);
  expect(best).toBeCloseTo(0.1, 12);
  expect(median).toBeCloseTo(0.2, 12);
});
