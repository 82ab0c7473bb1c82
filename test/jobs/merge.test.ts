import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openBackend } from "../../src/backend/open.js";
import { decodeFloats } from "../../src/base/float.js";
import { readAdapter } from "../../src/formats/adapter.js";
import { openCheckpoint } from "../../src/formats/checkpoint.js";
import { mergeCheckpoint } from "../../src/jobs/merge.js";
import { loadDecoder } from "../../src/model/load.js";
import { loraScale } from "../../src/model/lora.js";
import { compareLogits, probeLogits } from "../../src/model/probe.js";
import { adapterKey } from "../../src/shape/adapter.js";
import type { Checkpoint, Weight } from "../../src/shape/checkpoint.js";
import { projectionModule } from "../../src/shape/weights.js";
import { openInference, someIds } from "../model/inference-fixture.js";
import { CHECKPOINTS, FIXTURES } from "../parity-fixture.js";

const backend = await openBackend("cpu");
let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "msm-merge-"));
});
afterAll(() => {
  backend.close();
  rmSync(folder, { recursive: true, force: true });
});

/** Bits of the mantissa behind the leading one. */
const MANTISSA = { F32: 23, F16: 10, BF16: 7 };

function bytesOf(checkpoint: Checkpoint, name: string): Uint8Array {
  const tensor = checkpoint.tensors.get(name)!;
  const bytes = new Uint8Array(tensor.byteLength);
  checkpoint.readInto(tensor, bytes);
  return bytes;
}

async function merge(checkpoint: string, adapter: string, out: string): Promise<void> {
  const source = openCheckpoint(join(FIXTURES, checkpoint, "model"));
  await mergeCheckpoint(backend, source, readAdapter(join(FIXTURES, checkpoint, adapter)), out);
  source.close();
}

describe.each([...CHECKPOINTS.map((name) => [name, "adapter"] as const), ["qwen2-odd", "adapter-partial"] as const])(
  "%s %s",
  (name, adapterName) => {
    const source = join(FIXTURES, name, "model");
    const out = () => join(folder, `${name}-${adapterName}`);

    test("every adapted weight is W + scale B A, rounded once; everything else is as it was", async () => {
      await merge(name, adapterName, out());
      const before = openCheckpoint(source);
      const after = openCheckpoint(out());
      const adapter = readAdapter(join(FIXTURES, name, adapterName));
      const scale = loraScale(adapter.config);
      const merged = new Map<string, Float64Array>();
      for (let layer = 0; layer < before.config.numLayers; layer++) {
        for (const target of adapter.config.targets) {
          const weight = before.weights.get(`model.layers.${layer}.${projectionModule(target)}.weight`) as Weight;
          const [rows, cols] = weight.shape as [number, number];
          const w = Float64Array.from(decodeFloats(weight.dtype, bytesOf(before, weight.name)));
          const { A, B } = adapter.tensors.get(adapterKey(layer, target))!;
          const r = A.length / cols;
          for (let i = 0; i < rows; i++) {
            for (let j = 0; j < cols; j++)
              for (let k = 0; k < r; k++) w[i * cols + j]! += scale * B[i * r + k]! * A[k * cols + j]!;
          }
          merged.set(weight.name, w);
        }
      }
      expect(after.shards).toEqual(before.shards);
      expect([...after.tensors.keys()]).toEqual([...before.tensors.keys()]);
      for (const tensor of before.tensors.values()) {
        const exact = merged.get(tensor.name);
        expect(after.tensors.get(tensor.name)).toEqual(tensor);
        if (!exact) {
          expect(bytesOf(after, tensor.name)).toEqual(bytesOf(before, tensor.name));
          continue;
        }
        const got = decodeFloats(tensor.dtype as Weight["dtype"], bytesOf(after, tensor.name));
        // Half a unit in the last place of the stored dtype, and what f32 sums lose.
        const unit = 2 ** -(MANTISSA[tensor.dtype as Weight["dtype"]] + 1);
        const worst = exact.reduce(
          (most, x, i) => Math.max(most, Math.abs(got[i]! - x) / (Math.abs(x) * unit + 1e-6)),
          0,
        );
        expect(worst, tensor.name).toBeLessThan(1.01);
      }
      before.close();
      after.close();
    });

    test("configuration, tokenizer and index are copied", () => {
      const others = readdirSync(source).filter((file) => !file.endsWith(".safetensors"));
      for (const file of others) expect(readFileSync(join(out(), file))).toEqual(readFileSync(join(source, file)));
      expect(readdirSync(out()).sort()).toEqual(readdirSync(source).sort());
    });

    test("it computes what model + adapter compute", async () => {
      const before = await openInference(backend, name, { adapter: adapterName });
      const checkpoint = openCheckpoint(out());
      const after = await loadDecoder(backend, checkpoint, { dtype: "f32", lora: null, positions: 64 });
      const ids = someIds(before.config.vocabSize, 50, 3);
      const { vocabSize } = before.config;
      const difference = compareLogits(await probeLogits(before, ids), await probeLogits(after, ids), vocabSize);
      // The rounding of the stored weights, of which a few dozen add up.
      const isF32 = [...checkpoint.tensors.values()].every(({ dtype }) => dtype === "F32");
      expect(difference.largest).toBeLessThan((isF32 ? 1e-5 : 0.05) * difference.largestLogit);
      expect(difference.tokens).toBe(50);
      expect(difference.sameChoice).toBeGreaterThan(isF32 ? 49 : 45);
      for (const decoder of [before, after]) decoder.free();
      checkpoint.close();
    });
  },
);

test("a folder that holds something is refused, an empty one is used", async () => {
  const out = join(folder, "full");
  mkdirSync(out);
  writeFileSync(join(out, "notes.txt"), "mine");
  await expect(merge("llama", "adapter", out)).rejects.toThrow(/not empty/);
  rmSync(join(out, "notes.txt"));
  await merge("llama", "adapter", out);
  expect(existsSync(join(out, "model.safetensors"))).toBe(true);
});

test("a link to an empty folder: what it leads to is filled; the current folder is refused", async () => {
  const real = join(folder, "real");
  const link = join(folder, "link");
  mkdirSync(real);
  symlinkSync(real, link);
  await merge("llama", "adapter", link);
  expect(existsSync(join(real, "model.safetensors"))).toBe(true);
  expect(lstatSync(link).isSymbolicLink()).toBe(true);
  const here = join(folder, "here");
  mkdirSync(here);
  const before = process.cwd();
  process.chdir(here);
  try {
    await expect(merge("llama", "adapter", ".")).rejects.toThrow("--out . is the current folder");
  } finally {
    process.chdir(before);
  }
});

test("a failure leaves nothing behind", async () => {
  const source = openCheckpoint(join(FIXTURES, "qwen2", "model"));
  source.close(); // every read fails
  const out = join(folder, "broken", "deep");
  const adapter = readAdapter(join(FIXTURES, "qwen2", "adapter"));
  await expect(mergeCheckpoint(backend, source, adapter, out)).rejects.toThrow();
  expect(readdirSync(join(folder, "broken"))).toEqual([]);
});
