/** @file Timing on a stream. */
import type { Backend } from "../backend/backend.js";

const WARMUP_CALLS = 2;

export interface Timing {
  /** Seconds of one call: the median and the fastest. */
  median: number;
  best: number;
}

/** Times `enqueue` (one call) until `seconds` have passed, each call on an idle stream; at least three times. */
export async function timeCalls(backend: Backend, enqueue: () => void, seconds = 0.5): Promise<Timing> {
  for (let i = 0; i < WARMUP_CALLS; i++) enqueue();
  await backend.sync();
  const times: number[] = [];
  let total = 0;
  while (total < seconds || times.length < 3) {
    const began = performance.now();
    enqueue();
    await backend.sync();
    const elapsed = (performance.now() - began) / 1000;
    times.push(elapsed);
    total += elapsed;
  }
  times.sort((a, b) => a - b);
  return { median: times[Math.floor(times.length / 2)]!, best: times[0]! };
}
