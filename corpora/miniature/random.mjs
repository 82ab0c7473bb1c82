/** @file Seeded random choices, so that every run of the generator writes the same bytes. */

/**
 * A stream of random numbers. Each file of the corpus has a stream of its own name, so that changing one file leaves
 * the others as they are.
 *
 * @param {string} name
 * @returns {() => number} numbers in [0, 1)
 */
export function randomStream(name) {
  let state = 0x811c9dc5;
  for (const character of name) state = Math.imul(state ^ character.charCodeAt(0), 0x01000193) >>> 0;
  // mulberry32: small, fast, and good enough to shuffle words.
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/**
 * @template T
 * @param {() => number} random
 * @param {readonly T[]} options
 * @returns {T}
 */
export function pick(random, options) {
  return options[Math.floor(random() * options.length)];
}

/**
 * @template T
 * @param {() => number} random
 * @param {readonly T[]} list
 * @returns {T[]} a shuffled copy
 */
export function shuffle(random, list) {
  const out = [...list];
  for (let i = out.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [out[i], out[j]] = [out[j], out[i]];
  }
  return out;
}

/**
 * @param {() => number} random
 * @param {number} low
 * @param {number} high
 * @returns {number} an integer from low to high, both included
 */
export function between(random, low, high) {
  return low + Math.floor(random() * (high - low + 1));
}
