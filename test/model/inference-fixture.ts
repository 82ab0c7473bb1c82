/** @file Decoders for inference tests, and a second way to their logits: the training forward, which has no cache. */
import { join } from "node:path";
import { allocTensor, type Backend, readFloats, writeTensor } from "../../src/backend/backend.js";
import type { ComputeDtype } from "../../src/backend/tensor.js";
import { readAdapter } from "../../src/formats/adapter.js";
import { openCheckpoint } from "../../src/formats/checkpoint.js";
import { layoutActivations } from "../../src/model/activations.js";
import { allocArena } from "../../src/model/arena.js";
import { decoderForward } from "../../src/model/decoder.js";
import { type LoadedDecoder, loadDecoder } from "../../src/model/load.js";
import { adapterLora, loadAdapter } from "../../src/model/load-adapter.js";
import { planGroups } from "../../src/model/lora.js";
import type { Decoder } from "../../src/model/weights.js";
import { FIXTURES } from "../parity-fixture.js";

export async function openInference(
  backend: Backend,
  checkpoint: string,
  { dtype = "f32", adapter = null }: { dtype?: ComputeDtype; adapter?: string | null } = {},
): Promise<LoadedDecoder> {
  const source = openCheckpoint(join(FIXTURES, checkpoint, "model"));
  const values = adapter === null ? null : readAdapter(join(FIXTURES, checkpoint, adapter));
  const lora = values && adapterLora(values, source.config, checkpoint);
  const decoder = await loadDecoder(backend, source, { dtype, lora, positions: source.config.maxPositionEmbeddings });
  if (values) loadAdapter(decoder, values);
  source.close();
  return decoder;
}

/** Makes the first weight of the final norm NaN, and with it every logit. Of f32 decoders. */
export function damage({ backend, weights, dtype }: Decoder): void {
  if (dtype !== "f32") throw new RangeError(`${dtype} is not f32`);
  const values = new Float32Array(weights.finalNorm.cols).fill(1);
  values[0] = Number.NaN;
  writeTensor(backend, weights.finalNorm, values);
}

/** Log-probabilities [ids, V] of the token after each of `ids`, in f64 from the logits of the training forward. */
export async function plainLogprobs(decoder: Decoder, ids: readonly number[]): Promise<Float64Array[]> {
  const { backend, config, dtype, lora, weights } = decoder;
  const N = ids.length;
  const { tensors, free } = allocArena(backend, (alloc) =>
    layoutActivations(alloc, config, planGroups(config, lora), dtype, N, "none", { attentionBackward: 4, loss: 4 }),
  );
  writeTensor(backend, tensors.batch.ids, Int32Array.from(ids));
  writeTensor(
    backend,
    tensors.batch.positions,
    Int32Array.from(ids, (_, i) => i),
  );
  writeTensor(backend, tensors.batch.starts, new Int32Array(N));
  decoderForward(decoder, tensors);
  const out = allocTensor(backend, "f32", N, config.vocabSize);
  backend.ops.matmul({ out, a: tensors.final.normed, b: weights.lmHead, transB: true });
  const logits = await readFloats(backend, out);
  backend.free(out.buffer);
  free();
  return ids.map((_, i) => logSoftmax(logits.subarray(i * config.vocabSize, (i + 1) * config.vocabSize)));
}

function logSoftmax(logits: Float32Array): Float64Array {
  const most = logits.reduce((a, b) => Math.max(a, b));
  const total = logits.reduce((sum, logit) => sum + Math.exp(logit - most), 0);
  return Float64Array.from(logits, (logit) => logit - most - Math.log(total));
}

/** Token ids that are a function of `seed`, from 3 on. */
export function someIds(vocabSize: number, length: number, seed: number): number[] {
  let state = seed + 1;
  return Array.from({ length }, () => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    return 3 + ((state >>> 8) % (vocabSize - 3));
  });
}
