/**
 * @file The emulator of the CUDA kernels: what they use means what CUDA documents, and defects that a GPU may hide for
 * a long time show. Each case is a small kernel of emulator.cu, which prints "right", "wrong" (by its values) or the
 * stream's error.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, it } from "vitest";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const PROGRAM = join(ROOT, "build", "cuda-emulated", "emulator-test");

const ORDERS = ["forward", "reverse", "shuffled"];

const RIGHT = [
  "neighbours",
  "warp neighbours",
  "reused",
  "shuffles",
  "named barriers",
  "deferred work",
  "copies",
  "product",
  "block numbers",
  "after an error",
];

/** Results that depend on the order of threads, or on memory that nobody has written. */
const WRONG = [
  "neighbours without a barrier",
  "warp neighbours without a barrier",
  "reused without a barrier",
  "uninitialised dynamic",
  "uninitialised static",
  "copies, one group waited for",
  "copies, none waited for",
];

const ERRORS: Record<string, RegExp> = {
  "divergent barrier": /64 threads wait in __syncthreads, the first is \(32, 0, 0\); 32 have left the kernel/,
  "two barriers":
    /32 threads wait in __syncthreads, the first is \(0, 0, 0\); 64 in others, the first is \(32, 0, 0\) in bar\.sync/,
  "left before a shuffle": /calls __shfl_xor_sync for a lane that has left the kernel|96 have left the kernel/,
  "shuffle and ballot": /calls (__ballot_sync while .* __shfl_xor_sync|__shfl_xor_sync while .* __ballot_sync)/,
  "mask without itself": /calls __syncwarp with a mask that leaves it out/,
  "never true": /1 threads wait in mbarrier, the first is \(33, 0, 0\); 95 have left the kernel/,
  "too much shared memory": /invalid configuration argument/,
  "misaligned copy": /cp\.async with an address that is no multiple of 16/,
};

const NAMES = [...RIGHT, ...WRONG, ...Object.keys(ERRORS)];

/** What the program prints for each case. */
function runAll(order: string, threads: number): Map<string, string> {
  const env = { ...process.env, MSM_EMULATOR_ORDER: order };
  const lines = execFileSync(PROGRAM, [`${threads}`, ...NAMES], { encoding: "utf8", env })
    .trim()
    .split("\n");
  return new Map(NAMES.map((name, i) => [name, lines[i]!]));
}

beforeAll(() => {
  const args = ["-C", join(ROOT, "kernels"), `-j${availableParallelism()}`, "--silent", "emulator-test"];
  const { status, stdout, stderr } = spawnSync("make", args, { encoding: "utf8" });
  expect(status, `${stdout}\n${stderr}`).toBe(0);
}, 600_000);

describe.each(ORDERS)("threads in %s order", (order) => {
  let printed: Map<string, string>;
  beforeAll(() => {
    printed = runAll(order, 2);
  });

  it.each(RIGHT)("%s: right", (name) => {
    expect(printed.get(name)).toBe("right");
  });

  it.each(WRONG)("%s: shows", (name) => {
    expect(printed.get(name)).toBe("wrong");
  });

  it.each(Object.entries(ERRORS))("%s: is an error that names op, block and thread", (name, message) => {
    expect(printed.get(name)).toMatch(message);
    expect(printed.get(name)!.startsWith(`${name}: `)).toBe(true);
  });

  it("the number of CPU threads changes nothing", () => {
    expect(runAll(order, 1)).toEqual(printed);
  });
});

it("an order that there is not is refused", () => {
  const env = { ...process.env, MSM_EMULATOR_ORDER: "sideways" };
  const { stdout } = spawnSync(PROGRAM, ["1"], { encoding: "utf8", env });
  expect(stdout.trim()).toBe("MSM_EMULATOR_ORDER is none of forward, reverse, shuffled");
});
