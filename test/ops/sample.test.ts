/**
 * @file How often msm_sample picks each token, over many uniform numbers: the cases check single choices, this the
 * whole distribution.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Backend } from "../../src/backend/backend.js";
import { openBuild, ownBuilds } from "./builds.js";
import { sampleOrder64 } from "./cases/sample.js";
import { normals, openMemory, readValues, uniforms } from "./harness.js";

const DRAWS = 4096;
const V = 12;

/** How often each token comes of DRAWS rows with the same logits. */
async function countsOf(backend: Backend, logits: Float64Array, temperature: number, topP: number): Promise<number[]> {
  const memory = openMemory(backend);
  const { place } = memory;
  const uniform = uniforms("draws");
  const column = (name: string, value: () => number) =>
    place(name, "f32", 1, DRAWS, Float64Array.from({ length: DRAWS }, value));
  const ids = place("ids", "i32", 1, DRAWS);
  backend.ops.sample({
    ids,
    logprobs: place("logprobs", "f32", 1, DRAWS),
    logits: place(
      "logits",
      "f32",
      DRAWS,
      V,
      Float64Array.from({ length: DRAWS * V }, (_, i) => logits[i % V]!),
    ),
    temperature: column("temperature", () => temperature),
    topP: column("topP", () => topP),
    uniforms: column("uniforms", () => Math.floor(uniform() * 2 ** 24) / 2 ** 24),
  });
  const counts = new Array<number>(V).fill(0);
  for (const id of await readValues(backend, ids)) counts[id]!++;
  memory.close();
  return counts;
}

describe.each(ownBuilds().map((build) => [build.name, build] as const))("%s", (_, build) => {
  let backend: Backend;
  beforeAll(async () => {
    backend = await openBuild(build);
  });
  afterAll(() => backend.close());

  it.each([
    { temperature: 1, topP: 1 },
    { temperature: 0.5, topP: 1 },
    { temperature: 2, topP: 0.8 },
    { temperature: 1, topP: 0.3 },
  ])("draws tokens as often as their probability says: %o", async ({ temperature, topP }) => {
    const logits = normals("logits", V, "f32", 1.5);
    const { order, probabilities } = sampleOrder64(logits, temperature);
    let mass = 0;
    const kept = probabilities.map((p) => {
      const isKept = mass < topP;
      mass += isKept ? p : 0;
      return isKept ? p : 0;
    });
    const counts = await countsOf(backend, logits, temperature, topP);
    for (const [i, id] of order.entries()) {
      const share = kept[i]! / mass;
      // Five standard deviations of a binomial count; a token that is cut never comes.
      const allowed = 5 * Math.sqrt(DRAWS * share * (1 - share));
      const off = Math.abs(counts[id]! - DRAWS * share);
      expect(off, `token ${id}: ${counts[id]} of ${DRAWS}, expected a share of ${share}`).toBeLessThanOrEqual(allowed);
    }
  });

  it("takes a top_p of 0 as the most likely token", async () => {
    const logits = normals("logits", V, "f32");
    const best = logits.indexOf(Math.max(...logits));
    expect((await countsOf(backend, logits, 1, 0))[best]).toBe(DRAWS);
  });
});
