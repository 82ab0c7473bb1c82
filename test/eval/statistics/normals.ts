/** @file Normal random numbers for simulations, the same for the same seed. */
import { randomUniform } from "../../../src/base/random.js";

/** Of no stream of the product. */
const STREAM = 0x7e57;

/** By Box and Muller. */
export function normals(seed: number): () => number {
  let counter = 0;
  const uniform = (): number => randomUniform(seed, STREAM, counter++);
  return () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
}
