/** @file Seeded orders. */

import { randomUint32 } from "../base/random.js";

/**
 * The numbers 0 to count - 1 in an order that depends on (seed, stream) only, the same on every machine (Fisher-Yates).
 */
export function shuffledOrder(count: number, seed: number, stream: number): Int32Array {
  const order = inOrder(count);
  for (let i = count - 1; i > 0; i--) {
    // 53 bits scaled down: the bias towards some orders is below 2^-22 for every count that fits in memory.
    const high = randomUint32(seed, stream, 2 * i) >>> 5;
    const low = randomUint32(seed, stream, 2 * i + 1) >>> 6;
    const j = Math.floor(((high * 2 ** 26 + low) / 2 ** 53) * (i + 1));
    const other = order[j]!;
    order[j] = order[i]!;
    order[i] = other;
  }
  return order;
}

/** The numbers 0 to count - 1. */
export function inOrder(count: number): Int32Array {
  return Int32Array.from({ length: count }, (_, i) => i);
}
