/** @file The same call on the same inputs gives the same bits, on any number of threads and whatever ran before. */
import { describe, expect, it } from "vitest";
import { type Build, openBuild, testedBuilds } from "./builds.js";
import { ALL_CASES } from "./cases/index.js";

// One thread, and more threads than many machines have cores: blocks end up on other threads and finish in another
// order.
const FEW = 1;
const MANY = 3;

/** Outputs of every case as bytes. */
async function outputsOf(build: Build, threads: number): Promise<Map<string, Buffer>> {
  const backend = await openBuild(build, threads);
  const found = new Map<string, Buffer>();
  for (const one of ALL_CASES) {
    const op = one.build(backend);
    op.run();
    for (const [name, values] of Object.entries(await op.outputs()))
      found.set(`${one.op} ${one.name} ${one.dtype} ${name}`, Buffer.from(values.buffer));
    op.close();
  }
  backend.close();
  return found;
}

function differing(a: Map<string, Buffer>, b: Map<string, Buffer>): string[] {
  return [...a].filter(([name, bytes]) => !bytes.equals(b.get(name)!)).map(([name]) => name);
}

const builds = testedBuilds();
const emulated = builds.filter(({ backend }) => backend === "cuda-emulated");

describe.each(builds.filter((build) => !emulated.includes(build)).map((build) => [build.name, build] as const))(
  "%s",
  (_, build) => {
    it("gives the same bits again, and on another number of threads", async () => {
      const first = await outputsOf(build, MANY);
      expect(differing(first, await outputsOf(build, MANY))).toEqual([]);
      expect(differing(first, await outputsOf(build, FEW))).toEqual([]);
    });
  },
);

it.skipIf(emulated.length === 0)(
  "cuda-emulated: blocks and threads in another order give the same bits",
  { timeout: 300_000 },
  async () => {
    const [forward, reverse] = emulated;
    expect(differing(await outputsOf(forward!, MANY), await outputsOf(reverse!, FEW))).toEqual([]);
  },
);
