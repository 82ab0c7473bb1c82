/** @file Each op at the shapes of a real model, as a share of the machine's measured limit. */
import { allocTensor, type Backend } from "../backend/backend.js";
import type { ComputeDtype, Tensor } from "../backend/tensor.js";
import type { ModelConfig } from "../shape/config.js";
import { kernelCases } from "./kernel-cases.js";
import { copyBandwidth, productRates } from "./limits.js";
import { fillRandom } from "./random-weights.js";
import { timeCalls } from "./time.js";

export interface KernelRow {
  kernel: string;
  shape: string;
  milliseconds: number;
  /** What the op must do at least, a second: operations for products and attention, bytes moved for the rest. */
  rate: number;
  unit: "GFLOP/s" | "GB/s";
  /** Of the best product, or of a copy, in the same run. */
  share: number;
}

/** Times every op of a training step over `segments` segments of `seqLen` tokens. */
export async function benchKernels(
  backend: Backend,
  config: ModelConfig,
  dtype: ComputeDtype,
  segments: number,
  seqLen: number,
  onRow: (row: KernelRow) => void,
): Promise<void> {
  const N = segments * seqLen;
  const bandwidth = await copyBandwidth(backend);
  const rates = await productRates(backend, config, dtype, N);
  const best = Math.max(...rates.map(({ flopsPerSecond }) => flopsPerSecond));
  onRow({ kernel: "copy", shape: "256 MiB", milliseconds: 0, rate: bandwidth / 1e9, unit: "GB/s", share: 1 });
  for (const { name, M, N: n, K, flopsPerSecond } of rates) {
    const shape = `${M} x ${n} x ${K}`;
    const milliseconds = (2000 * M * n * K) / flopsPerSecond;
    onRow({
      kernel: `matmul ${name}`,
      shape,
      milliseconds,
      rate: flopsPerSecond / 1e9,
      unit: "GFLOP/s",
      share: flopsPerSecond / best,
    });
  }
  const buffers: Tensor[] = [];
  const alloc = (type: Tensor["dtype"], rowCount: number, cols: number): Tensor => {
    const tensor = allocTensor(backend, type, rowCount, cols);
    if (type !== "i32") fillRandom(backend, tensor);
    buffers.push(tensor);
    return tensor;
  };
  for (const { kernel, shape, flops, bytes, enqueue } of kernelCases(backend, config, dtype, N, seqLen, alloc)) {
    const { best: seconds } = await timeCalls(backend, enqueue, 0.3);
    const rate = (flops ?? bytes ?? 0) / seconds / 1e9;
    const share = flops ? (rate * 1e9) / best : (rate * 1e9) / bandwidth;
    onRow({ kernel, shape, milliseconds: seconds * 1000, rate, unit: flops ? "GFLOP/s" : "GB/s", share });
  }
  for (const { buffer } of buffers) backend.free(buffer);
}
