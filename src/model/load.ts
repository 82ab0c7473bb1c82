/**
 * @file A decoder's memory, and a checkpoint's weights into it: pieces of a few megabytes, some being read while others
 * are written, converted on the device.
 */
import type { Backend } from "../backend/backend.js";
import type { ComputeDtype, Dtype, Tensor } from "../backend/tensor.js";
import { columns, DTYPE_BYTES, rows } from "../backend/tensor.js";
import { InputError } from "../base/errors.js";
import type { Checkpoint, Weight } from "../shape/checkpoint.js";
import type { ModelConfig } from "../shape/config.js";
import { EMBED, HEAD, projectionModule } from "../shape/weights.js";
import { allocArena } from "./arena.js";
import { clearAdapters, weightRows } from "./linear.js";
import { LINEAR_GROUPS, type LoraConfig } from "./lora.js";
import { ropeTables } from "./rope.js";
import { type Decoder, layoutWeights } from "./weights.js";

const PIECE_BYTES = 1 << 24;
/** As many as libuv has threads to read with. */
const PIECES_AT_ONCE = 4;
const SOURCE_DTYPES: Record<Weight["dtype"], Dtype> = { F32: "f32", F16: "f16", BF16: "bf16" };

export interface LoadOptions {
  dtype: ComputeDtype;
  /** Room for adapters; their values come with `storeAdapter`. Null: none. */
  lora: LoraConfig | null;
  /** Positions 0 .. positions - 1 will be used. */
  positions: number;
}

/** A decoder with its memory on the device; `free` gives it back. */
export type LoadedDecoder = Decoder & { free: () => void };

/** Takes the memory of a decoder. Its weights are undefined until `loadWeights`. */
export function allocDecoder(backend: Backend, config: ModelConfig, options: LoadOptions): LoadedDecoder {
  const { dtype, lora, positions } = options;
  const { tensors: weights, free } = allocArena(backend, (alloc) =>
    layoutWeights(alloc, config, dtype, lora, positions),
  );
  return { backend, config, dtype, lora, weights, free };
}

/** Memory and weights. Rejects with InputError where `positions` goes past what the model was made for. */
export async function loadDecoder(
  backend: Backend,
  checkpoint: Checkpoint,
  options: LoadOptions,
): Promise<LoadedDecoder> {
  const { config, folder } = checkpoint;
  if (options.positions > config.maxPositionEmbeddings)
    throw new InputError(
      `${options.positions} positions are more than the ${config.maxPositionEmbeddings} of ${folder} ` +
        "(max_position_embeddings): use shorter rows",
    );
  const decoder = allocDecoder(backend, config, options);
  try {
    await loadWeights(decoder, checkpoint);
  } catch (error) {
    decoder.free();
    throw error;
  }
  return decoder;
}

/** Fills the decoder's memory. A failed write is reported by the next read or sync. */
export async function loadWeights(decoder: Decoder, checkpoint: Checkpoint): Promise<void> {
  const { backend } = decoder;
  const pieceBytes = Math.min(PIECE_BYTES, backend.limits.maxBufferBytes);
  const staging = backend.alloc(pieceBytes);
  try {
    writeRope(decoder);
    clearAdapterSpace(decoder, {
      buffer: staging,
      dtype: "f32",
      offset: 0,
      rows: 1,
      cols: pieceBytes / 4,
      stride: pieceBytes / 4,
    });
    for await (const { bytes, dtype, target } of readPieces(checkpoint, decoder, pieceBytes)) {
      backend.write(staging, 0, bytes);
      const src = { ...target, buffer: staging, dtype, offset: 0, stride: target.cols };
      backend.ops.convert({ dst: target, src });
    }
  } finally {
    backend.free(staging);
  }
}

/** Consecutive rows of a stored weight. */
interface Piece {
  weight: Weight;
  byteOffset: number;
  byteLength: number;
  dtype: Dtype;
  /** Where they go. */
  target: Tensor;
}

/** The pieces of all weights with their bytes, which are valid until the next one is asked for. */
async function* readPieces(
  checkpoint: Checkpoint,
  decoder: Decoder,
  pieceBytes: number,
): AsyncGenerator<Piece & { bytes: Uint8Array }, void> {
  const free = Array.from({ length: PIECES_AT_ONCE }, () => new ArrayBuffer(pieceBytes));
  const underWay: { piece: Piece; bytes: Uint8Array<ArrayBuffer>; done: Promise<void> }[] = [];
  const next = planPieces(checkpoint, decoder, pieceBytes);
  try {
    for (;;) {
      while (free.length > 0) {
        const { value: piece } = next.next();
        if (!piece) break;
        const bytes = new Uint8Array(free.pop()!, 0, piece.byteLength);
        const done = checkpoint.readIntoAsync(piece.weight, bytes, piece.byteOffset);
        done.catch(() => {}); // awaited below, unless an earlier one failed
        underWay.push({ piece, bytes, done });
      }
      const first = underWay.shift();
      if (!first) return;
      await first.done;
      yield { ...first.piece, bytes: first.bytes };
      free.push(first.bytes.buffer);
    }
  } finally {
    // The file may be closed once this returns.
    await Promise.allSettled(underWay.map(({ done }) => done));
  }
}

function* planPieces(checkpoint: Checkpoint, decoder: Decoder, pieceBytes: number): Generator<Piece, void> {
  for (const [name, target] of weightTargets(decoder)) {
    const weight = checkpoint.weights.get(name)!;
    const dtype = SOURCE_DTYPES[weight.dtype];
    const rowBytes = target.cols * DTYPE_BYTES[dtype];
    if (rowBytes > pieceBytes) throw new InputError(`${name}: a row of ${rowBytes} bytes is too long`);
    const rowsAtOnce = Math.floor(pieceBytes / rowBytes);
    for (let row = 0; row < target.rows; row += rowsAtOnce) {
      const part = rows(target, row, Math.min(rowsAtOnce, target.rows - row));
      yield { weight, byteOffset: row * rowBytes, byteLength: part.rows * rowBytes, dtype, target: part };
    }
  }
}

/** Every weight by its canonical name, and where it goes. */
export function* weightTargets({ weights }: Decoder): Generator<[name: string, target: Tensor], void> {
  yield [EMBED, weights.embedTokens];
  if (weights.lmHead !== weights.embedTokens) yield [HEAD, weights.lmHead];
  yield ["model.norm.weight", weights.finalNorm];
  for (const [i, layer] of weights.layers.entries()) {
    const prefix = `model.layers.${i}`;
    yield [`${prefix}.input_layernorm.weight`, layer.inputNorm];
    yield [`${prefix}.post_attention_layernorm.weight`, layer.postAttnNorm];
    if (layer.qNorm) yield [`${prefix}.self_attn.q_norm.weight`, layer.qNorm];
    if (layer.kNorm) yield [`${prefix}.self_attn.k_norm.weight`, layer.kNorm];
    for (const group of LINEAR_GROUPS) {
      const linear = layer.linears[group];
      for (const { projection, outStart, outSize } of linear.spec.projections) {
        const module = `${prefix}.${projectionModule(projection)}`;
        yield [`${module}.weight`, weightRows(linear, outStart, outSize)];
        if (linear.bias) yield [`${module}.bias`, columns(linear.bias, outStart, outSize)];
      }
    }
  }
}

export function writeRope({ backend, config, weights }: Decoder): void {
  const { cos, sin } = ropeTables(config, weights.cos.rows);
  backend.write(weights.cos.buffer, weights.cos.offset * 4, cos);
  backend.write(weights.sin.buffer, weights.sin.offset * 4, sin);
}

/** Makes all adapters zero. `zeros` is f32 [1, n], cleared here. */
export function clearAdapterSpace({ backend, weights }: Decoder, zeros: Tensor): void {
  backend.ops.clear(zeros);
  for (const { linears } of weights.layers)
    for (const linear of Object.values(linears)) clearAdapters(backend.ops, linear, zeros);
}
