/**
 * @file The kernels for Hopper, on the emulator: TMA, mbarriers and wgmma mean what PTX documents and their misuse
 * shows; the attention kernels take the calls they are for and agree with the reference. test/ops/independence.test.ts
 * holds them to their rows' independence.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Backend } from "../../src/backend/backend.js";
import { hopperBuild, openBuild } from "./builds.js";
import { hopperCases } from "./cases/hopper-attention.js";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const PROGRAM = join(ROOT, "build", "cuda-emulated", "hopper-test");

/** Kernels of hopper.cu, and what must be said of them, in every order of threads. */
const SHOWN: Record<string, RegExp> = {
  products: /^right$/,
  "data not waited for": /shared memory has changed that a wgmma of warp \d+ still reads/,
  "reused before it was read": /shared memory has changed that a wgmma of warp \d+ still reads/,
  "reused unasked": /threads wait in mbarrier\.try_wait|shared memory has changed/,
  "sums taken too early": /takes accumulators of a wgmma that is still under way for complete/,
  "sums touched": /accumulators have been written of a wgmma of warp \d+ under way/,
  "no fence": /calls wgmma without wgmma\.fence/,
  "bytes unannounced": /129 threads wait in mbarrier\.try_wait/,
  "arrival missing": /129 threads wait in mbarrier\.try_wait/,
  "not initialised": /uses an mbarrier that is not initialised/,
  "stride wrong": /^wrong$/,
  "leading wrong": /^wrong$/,
  "tile misaligned": /cp\.async\.bulk\.tensor with an address that is no multiple of 1024/,
};

/** Calls of both attention ops: everything else falls to the kernels for all GPUs. */
const CALLS: Record<string, string> = {
  "heads of 64": "taken",
  "heads of 128": "taken",
  "rows of a view": "taken",
  "heads of 80": "refused",
  f32: "refused",
  "address of 2 bytes": "refused",
  "stride of 2 bytes": "refused",
  "negative scale": "refused",
};

function printed(names: string[], settings: NodeJS.ProcessEnv): string[] {
  const env = { ...process.env, MSM_EMULATOR_ARCH: "sm_90", MSM_HOPPER: "1", ...settings };
  return execFileSync(PROGRAM, names, { encoding: "utf8", env }).trim().split("\n");
}

describe("instructions and calls", () => {
  beforeAll(() => {
    const args = ["-C", join(ROOT, "kernels"), `-j${availableParallelism()}`, "--silent", "hopper-test"];
    const { status, stdout, stderr } = spawnSync("make", args, { encoding: "utf8" });
    expect(status, `${stdout}\n${stderr}`).toBe(0);
  }, 600_000);

  it.each(["forward", "reverse", "shuffled"])(
    "what is right is right and what is not shows, threads in %s order",
    (order) => {
      const names = Object.keys(SHOWN);
      const lines = printed(names, { MSM_EMULATOR_ORDER: order });
      expect(lines).toHaveLength(names.length);
      for (const [i, name] of names.entries()) expect(lines[i], name).toMatch(SHOWN[name]!);
    },
  );

  it("calls are taken where they can be", () => {
    expect(printed(Object.keys(CALLS), {})).toEqual(Object.values(CALLS));
  });

  it.each([{ MSM_HOPPER: "0" }, { MSM_HOPPER: "" }, { MSM_EMULATOR_ARCH: "sm_80" }])(
    "no call is taken with %o",
    (settings) => {
      expect(printed(["heads of 64", "heads of 128"], settings)).toEqual(["refused", "refused"]);
    },
  );
});

describe.each((["forward", "reverse"] as const).map((order) => [order, hopperBuild(order)] as const))(
  "attention, threads in %s order",
  (_, build) => {
    let backend: Backend;
    beforeAll(async () => {
      backend = await openBuild(build);
    });
    afterAll(() => backend.close());

    it.each(hopperCases.map((one) => [one.name, one] as const))("%s", async (_, one) => {
      const op = one.build(backend);
      op.run();
      await op.check();
      op.close();
    });

    // A call that falls to the kernels of every GPU is right too, and slow.
    it("they were Hopper's", () => {
      expect(Object.keys(backend.kernels()).sort()).toEqual(["attention_backward: wgmma", "attention_forward: wgmma"]);
    });
  },
);
