/**
 * @file Time to the first step from a file: random weights of a shape are written as a checkpoint, which is then opened
 * as any other.
 */
import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Backend } from "../backend/backend.js";
import type { ComputeDtype } from "../backend/tensor.js";
import { writeSafetensors } from "../formats/safetensors.js";
import { SINGLE_FILE } from "../formats/shards.js";
import type { ModelConfig } from "../shape/config.js";
import { HEAD, neededWeights } from "../shape/weights.js";
import { openFolder, openShape, shapeFile } from "./model.js";
import { PATTERN } from "./random-weights.js";
import { benchTrain } from "./steps.js";

const PIECE_BYTES = 1 << 24;

export interface LoadBenchResult {
  /** Of the file, from the page cache or the disk, into memory that is used again and again, by one thread. */
  readBytesPerSecond: number;
  loadBytesPerSecond: number;
  firstStepSeconds: number;
}

/** Needs room for the weights in the folder for temporary files. `seqLen` tokens are the first step. */
export async function benchLoad(
  backend: Backend,
  shape: string,
  dtype: ComputeDtype,
  seqLen: number,
): Promise<LoadBenchResult> {
  const folder = mkdtempSync(join(tmpdir(), "train-msm-load-"));
  try {
    const path = join(folder, SINGLE_FILE);
    copyFileSync(shapeFile(shape), join(folder, "config.json"));
    const fileBytes = await writeRandom(path, openShape(shape).config);
    const readBytesPerSecond = fileBytes / (await readSeconds(path));
    const model = openFolder(folder);
    const began = performance.now();
    const decoder = await model.load(backend, { dtype, lora: null, positions: seqLen });
    await backend.sync();
    const loadBytesPerSecond = (1000 * fileBytes) / (performance.now() - began);
    decoder.free();
    const { firstStepSeconds } = await benchTrain(backend, model, { dtype, r: 16, rows: 1, seqLen, steps: 1 });
    return { readBytesPerSecond, loadBytesPerSecond, firstStepSeconds };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Writes BF16 weights and returns their bytes. */
async function writeRandom(path: string, config: ModelConfig): Promise<number> {
  const pattern = new Uint8Array(PATTERN.buffer);
  const pieceOf = (byteLength: number): Uint8Array => {
    const piece = new Uint8Array(byteLength);
    for (let at = 0; at < byteLength; at += pattern.length)
      piece.set(pattern.subarray(0, Math.min(pattern.length, byteLength - at)), at);
    return piece;
  };
  const whole = pieceOf(PIECE_BYTES);
  let total = 0;
  const sources = [...neededWeights(config)]
    .filter(([name]) => name !== HEAD || !config.tieWordEmbeddings)
    .map(([name, shape]) => {
      const byteLength = 2 * shape.reduce((product, size) => product * size, 1);
      total += byteLength;
      const bytes = function* (): Generator<Uint8Array> {
        for (let at = 0; at < byteLength; at += PIECE_BYTES)
          yield byteLength - at >= PIECE_BYTES ? whole : pieceOf(byteLength - at);
      };
      return { name, dtype: "BF16", shape, bytes };
    });
  await writeSafetensors(path, sources);
  return total;
}

async function readSeconds(path: string): Promise<number> {
  const file = await open(path);
  const piece = new Uint8Array(PIECE_BYTES);
  const began = performance.now();
  while ((await file.read(piece)).bytesRead > 0);
  const seconds = (performance.now() - began) / 1000;
  await file.close();
  return seconds;
}
