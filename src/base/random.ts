/** @file Random numbers that are a pure function of (seed, stream, counter): resuming needs no generator state. */

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
