/** @file Random numbers that are a pure function of (seed, stream, counter): resuming needs no generator state. */

/**
 * Every use of random numbers, by its stream, so that no two of one seed are the same numbers. A stream with + goes on
 * with an index: of an epoch, of a prompt.
 */
export const STREAMS = {
  adapterInit: 1,
  /** + index of the prompt, where one seed serves all of them. */
  sampling: 2,
  recordOrder: 0x10000,
  /** + epoch */
  rowOrder: 0x20000,
  packing: 0x30000,
  recordSubset: 0x40000,
  claims: 0x50000,
} as const;

/** 32 uniform bits. `stream` keeps uses of one seed apart. The finaliser is MurmurHash3's. */
export function randomUint32(seed: number, stream: number, counter: number): number {
  let h = mix(seed >>> 0);
  h = mix(h ^ Math.floor(seed / 2 ** 32) ^ 0x9e3779b9);
  h = mix(h ^ stream ^ 0x85ebca6b);
  h = mix(h ^ (counter >>> 0));
  return mix(h ^ Math.floor(counter / 2 ** 32) ^ 0xc2b2ae35) >>> 0;
}

/** Uniform in [0, 1), 24 bits: exact in f32. */
export function randomUniform(seed: number, stream: number, counter: number): number {
  return (randomUint32(seed, stream, counter) >>> 8) / 2 ** 24;
}

function mix(x: number): number {
  let h = x ^ (x >>> 16);
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  return h ^ (h >>> 16);
}
