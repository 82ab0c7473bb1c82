/** @file Timing on a stream. */
import type { Backend } from "../backend/backend.js";

const WARMUP_CALLS = 2;
/** Calls are made back to back for as long as this, so that neither the clock nor the wait at the end shows. */
const SAMPLE_SECONDS = 0.01;

export interface Timing {
  /** Seconds of one call: the median and the fastest sample. */
  median: number;
  best: number;
}

/** Times `enqueue` (one call) until `seconds` have passed; at least three samples. */
export async function timeCalls(backend: Backend, enqueue: () => void, seconds = 0.5): Promise<Timing> {
  const run = async (calls: number): Promise<number> => {
    const began = performance.now();
    for (let i = 0; i < calls; i++) enqueue();
    await backend.sync();
    return (performance.now() - began) / 1000;
  };
  await run(WARMUP_CALLS);
  let calls = 1;
  let elapsed = await run(calls);
  while (elapsed < SAMPLE_SECONDS) {
    calls = Math.ceil(calls * Math.min(10, Math.max(1.5, SAMPLE_SECONDS / elapsed)));
    elapsed = await run(calls);
  }
  const times = [elapsed / calls];
  for (let total = elapsed; total < seconds || times.length < 3; total += elapsed) {
    elapsed = await run(calls);
    times.push(elapsed / calls);
  }
  times.sort((a, b) => a - b);
  return { median: times[Math.floor(times.length / 2)]!, best: times[0]! };
}
