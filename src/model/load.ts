/** @file A checkpoint's weights onto the device, converted on the way, through a staging buffer of a few megabytes. */
import type { Backend } from "../backend/backend.js";
import type { ComputeDtype, DeviceBuffer, Dtype, Tensor } from "../backend/tensor.js";
import { columns, DTYPE_BYTES, rows } from "../backend/tensor.js";
import { InputError } from "../errors.js";
import type { Checkpoint, Weight } from "../formats/checkpoint.js";
import { EMBED, HEAD, projectionModule } from "../formats/weights.js";
import { allocArena } from "./arena.js";
import { LINEAR_GROUPS, type LoraConfig } from "./lora.js";
import { ropeTables } from "./rope.js";
import { type Decoder, type DecoderWeights, layoutWeights } from "./weights.js";

const STAGING_BYTES = 1 << 25;
const SOURCE_DTYPES: Record<Weight["dtype"], Dtype> = { F32: "f32", F16: "f16", BF16: "bf16" };

export interface LoadOptions {
  dtype: ComputeDtype;
  /** Room for adapters; their values come with `storeAdapter`. Null: none. */
  lora: LoraConfig | null;
  /** Positions 0 .. positions - 1 will be used. */
  positions: number;
}

/** A decoder whose weights are on the device; `free` gives the memory back. */
export type LoadedDecoder = Decoder & { free: () => void };

/** Throws InputError where `positions` goes past what the model was made for. */
export function loadDecoder(backend: Backend, checkpoint: Checkpoint, options: LoadOptions): LoadedDecoder {
  const { config } = checkpoint;
  const { dtype, lora, positions } = options;
  if (positions > config.maxPositionEmbeddings)
    throw new InputError(
      `${positions} positions are more than the ${config.maxPositionEmbeddings} of ${checkpoint.folder} (max_position_embeddings): use shorter rows`,
    );
  const { tensors: weights, free } = allocArena(backend, (alloc) =>
    layoutWeights(alloc, config, dtype, lora, positions),
  );
  const buffer = backend.alloc(STAGING_BYTES);
  const load = (name: string, target: Tensor): void => loadWeight(backend, buffer, checkpoint, name, target);
  load(EMBED, weights.embedTokens);
  if (weights.lmHead !== weights.embedTokens) load(HEAD, weights.lmHead);
  load("model.norm.weight", weights.finalNorm);
  weights.layers.forEach((layer, i) => {
    const prefix = `model.layers.${i}`;
    load(`${prefix}.input_layernorm.weight`, layer.inputNorm);
    load(`${prefix}.post_attention_layernorm.weight`, layer.postAttnNorm);
    if (layer.qNorm) load(`${prefix}.self_attn.q_norm.weight`, layer.qNorm);
    if (layer.kNorm) load(`${prefix}.self_attn.k_norm.weight`, layer.kNorm);
    for (const group of LINEAR_GROUPS) {
      const { spec, extended, bias } = layer.linears[group];
      for (const { projection, outStart, outSize } of spec.projections) {
        const module = `${prefix}.${projectionModule(projection)}`;
        load(`${module}.weight`, columns(rows(extended, outStart, outSize), 0, spec.inSize));
        if (bias) load(`${module}.bias`, columns(bias, outStart, outSize));
      }
    }
  });
  writeRope(backend, weights, checkpoint, positions);
  clearAdapterSpace(backend, weights, buffer);
  backend.free(buffer);
  return { backend, config, dtype, lora, weights, free };
}

/** Streams one weight through the staging buffer, whole rows at a time where a row fits. */
function loadWeight(
  backend: Backend,
  staging: DeviceBuffer,
  checkpoint: Checkpoint,
  name: string,
  target: Tensor,
): void {
  const weight = checkpoint.weights.get(name)!;
  const dtype = SOURCE_DTYPES[weight.dtype];
  const rowBytes = target.cols * DTYPE_BYTES[dtype];
  const rowsAtOnce = Math.max(1, Math.floor(STAGING_BYTES / rowBytes));
  if (rowBytes > STAGING_BYTES) throw new InputError(`${name}: a row of ${rowBytes} bytes is too long`);
  const bytes = new Uint8Array(Math.min(rowsAtOnce, target.rows) * rowBytes);
  for (let row = 0; row < target.rows; row += rowsAtOnce) {
    const count = Math.min(rowsAtOnce, target.rows - row);
    const piece = bytes.subarray(0, count * rowBytes);
    checkpoint.readInto(weight, piece, row * rowBytes, piece.length);
    backend.write(staging, 0, piece);
    const src = { buffer: staging, dtype, offset: 0, rows: count, cols: target.cols, stride: target.cols };
    backend.ops.convert({ dst: rows(target, row, count), src });
  }
}

function writeRope(backend: Backend, weights: DecoderWeights, checkpoint: Checkpoint, positions: number): void {
  const { cos, sin } = ropeTables(checkpoint.config, positions);
  backend.write(weights.cos.buffer, weights.cos.offset * 4, cos);
  backend.write(weights.sin.buffer, weights.sin.offset * 4, sin);
}

/** Zeros off the diagonal of sB stay for ever; A and B are zero until an adapter is stored. */
function clearAdapterSpace(backend: Backend, weights: DecoderWeights, staging: DeviceBuffer): void {
  const zeros = {
    buffer: staging,
    dtype: "f32" as const,
    offset: 0,
    rows: 1,
    cols: STAGING_BYTES / 4,
    stride: STAGING_BYTES / 4,
  };
  backend.ops.clear(zeros);
  for (const layer of weights.layers) {
    for (const group of LINEAR_GROUPS) {
      const { spec, extended } = layer.linears[group];
      if (spec.rank === 0) continue;
      for (const space of [columns(extended, spec.inSize, spec.rank), rows(extended, spec.outSize, spec.rank)]) {
        const rowsAtOnce = Math.floor(zeros.cols / space.cols);
        for (let row = 0; row < space.rows; row += rowsAtOnce) {
          const dst = rows(space, row, Math.min(rowsAtOnce, space.rows - row));
          backend.ops.convert({ dst, src: { ...zeros, rows: dst.rows, cols: dst.cols, stride: dst.cols } });
        }
      }
    }
  }
}
