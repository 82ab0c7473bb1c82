/** @file A plain checkpoint of a model and an adapter: W + scale B A, one weight in memory at a time. */
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  realpathSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
} from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import type { Backend } from "../backend/backend.js";
import { readFloats, writeTensor } from "../backend/backend.js";
import { rows, type Tensor } from "../backend/tensor.js";
import { InputError } from "../base/errors.js";
import { makeFolder } from "../base/file.js";
import { decodeFloats, encodeFloats } from "../base/float.js";
import { type TensorSource, writeSafetensors } from "../formats/safetensors.js";
import { allocArena } from "../model/arena.js";
import { loraScale } from "../model/lora.js";
import { type Adapter, type AdapterPair, adapterKey } from "../shape/adapter.js";
import type { Checkpoint, Weight } from "../shape/checkpoint.js";
import { projectionModule } from "../shape/weights.js";

/** Rows of a weight that are merged at a time; whole weights would take gigabytes more. */
const PIECE_BYTES = 1 << 25;
/**
 * What a checkpoint needs besides its weights. Weights in other formats, and what indexes them, would not be merged.
 */
const COMPANIONS = /\.(json|jinja|model|txt)$|^(licen[cs]e|notice|use_policy)/i;
const OTHER_INDEX = /\.(bin|h5|msgpack)\.index\.json$|^adapter_/;

/**
 * Writes the merged checkpoint into `out`, which must not exist or be empty: the same files, names, dtypes, metadata
 * and index as `checkpoint`, its other files copied, but for `replaced`, by name, which make room for `overlays` (a
 * tokenizer that came with the adapter). All of it appears at once, under a temporary name until then. Sums are f32,
 * rounded once to the stored dtype. The adapter was checked against the model (`checkAdapter`). `onProgress` is told
 * the tensors done.
 * @throws InputError where `out` holds something
 */
export async function mergeCheckpoint(
  backend: Backend,
  checkpoint: Checkpoint,
  adapter: Adapter,
  out: string,
  { overlays = [], replaced = [] }: { overlays?: readonly string[]; replaced?: readonly string[] } = {},
  onProgress: (done: number, total: number) => void = () => {},
): Promise<void> {
  checkEmpty(out);
  // What a link leads to, which is what is replaced.
  const target = existsSync(out) ? realpathSync(out) : resolve(out);
  const staged = `${target}.${process.pid}.tmp`;
  makeFolder(dirname(staged));
  mkdirSync(staged);
  try {
    const pairs = pairsByTensor(checkpoint, adapter);
    let done = 0;
    for (const { file, tensors, metadata } of checkpoint.shards) {
      const sources = tensors.map((name): TensorSource => {
        const tensor = checkpoint.tensors.get(name)!;
        const merged = pairs.get(name);
        const pieces = merged
          ? () => mergedPieces(backend, checkpoint, merged.weight, merged.pair, loraScale(adapter.config))
          : () => storedPieces(checkpoint, name);
        const counted = async function* (): AsyncGenerator<Uint8Array> {
          yield* pieces();
          onProgress(++done, checkpoint.tensors.size);
        };
        return { name, dtype: tensor.dtype, shape: tensor.shape, bytes: counted };
      });
      await writeSafetensors(join(staged, file), sources, metadata);
    }
    copyOthers(checkpoint.folder, staged, new Set(replaced));
    for (const path of overlays) copyFileSync(path, join(staged, basename(path)));
    if (existsSync(target)) rmdirSync(target);
    renameSync(staged, target);
  } catch (error) {
    rmSync(staged, { recursive: true, force: true });
    throw error;
  }
}

/**
 * Throws InputError unless `out` is absent or an empty folder, and not the one that the process is in: it is replaced.
 */
export function checkEmpty(out: string): void {
  const stats = statSync(out, { throwIfNoEntry: false });
  if (!stats) return;
  if (!stats.isDirectory()) throw new InputError(`--out ${out} is a file: give a folder that does not exist yet`);
  if (readdirSync(out).length > 0) throw new InputError(`--out ${out} is not empty: give another, or remove it`);
  if (realpathSync(out) === process.cwd())
    throw new InputError(`--out ${out} is the current folder: name a folder that does not exist yet`);
}

/** Adapted weights by the name under which they are stored. */
function pairsByTensor(checkpoint: Checkpoint, adapter: Adapter): Map<string, { weight: Weight; pair: AdapterPair }> {
  const pairs = new Map<string, { weight: Weight; pair: AdapterPair }>();
  for (let layer = 0; layer < checkpoint.config.numLayers; layer++) {
    for (const projection of adapter.config.targets) {
      const weight = checkpoint.weights.get(`model.layers.${layer}.${projectionModule(projection)}.weight`)!;
      pairs.set(weight.name, { weight, pair: adapter.tensors.get(adapterKey(layer, projection))! });
    }
  }
  return pairs;
}

function* storedPieces(checkpoint: Checkpoint, name: string): Generator<Uint8Array> {
  const tensor = checkpoint.tensors.get(name)!;
  for (let at = 0; at < tensor.byteLength; at += PIECE_BYTES) {
    const piece = new Uint8Array(Math.min(PIECE_BYTES, tensor.byteLength - at));
    checkpoint.readInto(tensor, piece, at, piece.length);
    yield piece;
  }
}

/** The rows of W + scale B A, a few at a time, in W's dtype. */
async function* mergedPieces(
  backend: Backend,
  checkpoint: Checkpoint,
  weight: Weight,
  { A, B }: AdapterPair,
  scale: number,
): AsyncGenerator<Uint8Array> {
  const [outSize, inSize] = weight.shape as [number, number];
  const r = A.length / inSize;
  const pieceBytes = Math.min(PIECE_BYTES, backend.limits.maxBufferBytes);
  const rowsAtOnce = Math.min(outSize, Math.max(1, Math.floor(pieceBytes / (4 * inSize))));
  const rowBytes = weight.byteLength / outSize;
  const { tensors, free } = allocArena(backend, (alloc) => ({
    a: alloc("A", "f32", r, inSize),
    b: alloc("B", "f32", outSize, r),
    sum: alloc("merged rows", "f32", rowsAtOnce, inSize),
  }));
  try {
    writeTensor(backend, tensors.a, A);
    writeTensor(backend, tensors.b, B);
    const bytes = new Uint8Array(rowsAtOnce * rowBytes);
    for (let row = 0; row < outSize; row += rowsAtOnce) {
      const count = Math.min(rowsAtOnce, outSize - row);
      const piece = bytes.subarray(0, count * rowBytes);
      checkpoint.readInto(weight, piece, row * rowBytes, piece.length);
      const sum: Tensor = rows(tensors.sum, 0, count);
      writeTensor(backend, sum, decodeFloats(weight.dtype, piece));
      backend.ops.matmul({ out: sum, a: rows(tensors.b, row, count), b: tensors.a, alpha: scale, accumulate: true });
      yield encodeFloats(weight.dtype, await readFloats(backend, sum));
    }
  } finally {
    free();
  }
}

/** Configuration, tokenizer, index, licence. */
function copyOthers(from: string, to: string, replaced: Set<string>): void {
  for (const name of readdirSync(from)) {
    if (replaced.has(name) || !COMPANIONS.test(name) || OTHER_INDEX.test(name) || !statSync(join(from, name)).isFile())
      continue;
    // A folder of the hub cache holds links: what they lead to is copied.
    copyFileSync(join(from, name), join(to, name));
  }
}
