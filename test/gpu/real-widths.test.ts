/**
 * @file Real widths against transformers + PEFT on the same GPU (bench/peers/gpu_parity.py): a bf16 step is at least as
 * close to an f32 run as PyTorch's own bf16 run is. Needs Python with PyTorch (CUDA), transformers and peft.
 */

import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import type { ComputeDtype } from "../../src/backend/tensor.js";
import { packagePath } from "../../src/base/package.js";
import { readAdapter } from "../../src/formats/adapter.js";
import { openCheckpoint } from "../../src/formats/checkpoint.js";
import { flattenAdapter } from "../../src/model/adapter-values.js";
import { loadDecoder } from "../../src/model/load.js";
import { createTrainState, writeParams } from "../../src/train/state.js";
import { trainStep } from "../../src/train/step.js";
import { openTestBackend, TEST_BACKEND } from "../backend.js";
import { readGradients, readTruth, relativeError, STILL, type Truth, toRows } from "../parity-fixture.js";

const ROOT = packagePath();
const SHAPES = [
  ["qwen2.5-0.5b", 0],
  ["qwen2.5-7b", 2],
  ["qwen3-8b", 2],
  ["llama-3.1-8b", 2],
] as const;
/** Writing a checkpoint of 3 GB, and three runs of it. */
const LIMIT_MS = 240_000;
/** Sums over thousands of terms in another order. */
const F32_TOLERANCE = 1e-4;

interface Errors {
  loss: number;
  gradNorm: number;
  gradients: number;
  cosineMean: number;
  cosineLargest: number;
}

const backend = await openTestBackend();
const scratch = mkdtempSync(join(tmpdir(), "train-msm-widths-"));
afterAll(() => {
  backend.close();
  rmSync(scratch, { recursive: true });
});

const missing = ((): string | null => {
  const { error, status, stderr } = spawnSync("python3", ["-c", "import torch, transformers, peft"], {
    encoding: "utf8",
  });
  if (error) return "no python3";
  return status === 0 ? null : stderr.trim().split("\n").at(-1)!;
})();

function runPeer(shape: string, layers: number, out: string): { loss: number; gradNorm: number; bf16: Errors } {
  const args = ["--shape", join(ROOT, "models", "shapes", `${shape}.json`), "--layers", `${layers}`, "--out", out];
  const device = TEST_BACKEND === "cuda" ? "cuda" : "cpu";
  const script = join(ROOT, "bench", "peers", "gpu_parity.py");
  const { status, stdout, stderr } = spawnSync("python3", [script, ...args, "--device", device], { encoding: "utf8" });
  expect(status, stderr).toBe(0);
  return JSON.parse(stdout.trim().split("\n").at(-1)!);
}

/** One step that changes nothing. */
async function runOurs(folder: string, truth: Truth, dtype: ComputeDtype) {
  const checkpoint = openCheckpoint(join(folder, "model"));
  const adapter = readAdapter(join(folder, "adapter"));
  const decoder = await loadDecoder(backend, checkpoint, { dtype, lora: adapter.config, positions: truth.seqLen });
  checkpoint.close();
  const shape = { N: truth.rows * truth.seqLen, microBatches: 1, recompute: "none" as const };
  const state = createTrainState(decoder, adapter.config, shape);
  writeParams(state, { params: flattenAdapter(adapter, state.layout) });
  const batch = toRows(truth.ints("input_ids"), truth.ints("labels"), truth.rows, truth.seqLen);
  const { loss, gradNorm } = await trainStep(state, batch, STILL);
  const gradients = await readGradients(state);
  state.free();
  decoder.free();
  return { loss, gradNorm, gradients };
}

function errorsOf(
  ours: Awaited<ReturnType<typeof runOurs>>,
  peer: { loss: number; gradNorm: number },
  truth: Truth,
): Errors {
  const names = truth.names.filter((name) => name.startsWith("grad."));
  expect(names.length).toBe(ours.gradients.size);
  const [got, want]: [number[], number[]] = [[], []];
  const cosines = names.map((name) => {
    const a = ours.gradients.get(name.slice("grad.".length))!;
    const b = truth.floats(name);
    for (const value of a) got.push(value);
    for (const value of b) want.push(value);
    return 1 - cosine(a, b);
  });
  return {
    loss: Math.abs(ours.loss - peer.loss),
    gradNorm: Math.abs(ours.gradNorm / peer.gradNorm - 1),
    gradients: relativeError(got, want),
    cosineMean: cosines.reduce((sum, x) => sum + x, 0) / cosines.length,
    cosineLargest: Math.max(...cosines),
  };
}

function cosine(a: Float32Array, b: Float32Array): number {
  let ab = 0;
  let aa = 0;
  let bb = 0;
  for (const [i, x] of a.entries()) {
    ab += x * b[i]!;
    aa += x * x;
    bb += b[i]! ** 2;
  }
  return ab / Math.sqrt(aa * bb);
}

describe.skipIf(missing !== null)("against transformers + PEFT", () => {
  test.each(SHAPES)("%s, %i layers (0: all)", { timeout: LIMIT_MS }, async (shape, layers) => {
    const folder = join(scratch, shape);
    const peer = runPeer(shape, layers, folder);
    const truth = readTruth(join(folder, "truth.safetensors"));
    const f32 = errorsOf(await runOurs(folder, truth, "f32"), peer, truth);
    const bf16 = errorsOf(await runOurs(folder, truth, "bf16"), peer, truth);
    rmSync(folder, { recursive: true });
    console.log(JSON.stringify({ shape, f32, bf16, peer: peer.bf16 }));
    expect(f32.loss).toBeLessThan(F32_TOLERANCE);
    expect(f32.gradients).toBeLessThan(F32_TOLERANCE);
    expect(bf16.gradients).toBeLessThan(peer.bf16.gradients);
    expect(bf16.cosineMean).toBeLessThan(peer.bf16.cosineMean);
    // One number each, whose error passes through zero: of the size that the gradients' error gives it.
    expect(bf16.loss).toBeLessThan(Math.max(2e-3, 2 * peer.bf16.loss));
    expect(bf16.gradNorm).toBeLessThan(Math.max(peer.bf16.gradients / 4, 2 * peer.bf16.gradNorm));
  });
});

if (missing !== null) test("against transformers + PEFT", ({ skip }) => skip(missing));
