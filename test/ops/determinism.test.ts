/** @file The same call on the same inputs gives the same bits, on any number of threads and whatever ran before. */
import { describe, expect, it } from "vitest";
import { ALL_CASES } from "./cases/index.js";
import { openIsa, testedIsas } from "./harness.js";

// One thread, and more threads than many machines have cores: blocks end up on other threads and finish in another order.
const THREADS = [1, 3];

/** Outputs of every case as bytes. */
async function outputsOf(isa: string, threads: number): Promise<Map<string, Buffer>> {
  const backend = openIsa(isa, { threads });
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

describe.each(testedIsas())("%s", (isa) => {
  it("gives the same bits again, and on another number of threads", async () => {
    const [first, ...others] = [
      await outputsOf(isa, THREADS[1]!),
      await outputsOf(isa, THREADS[1]!),
      await outputsOf(isa, THREADS[0]!),
    ];
    const differing = others.flatMap((other) => [...first!].filter(([name, bytes]) => !bytes.equals(other.get(name)!)));
    expect(differing.map(([name]) => name)).toEqual([]);
  });
});
