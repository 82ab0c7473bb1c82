/** @file Cases of msm_adamw: one step over flat f32 buffers. */
import { normals, type OpCase, opCase } from "../harness.js";

// Every value is a handful of f32 roundings of the terms it is made of.
const RELATIVE = 5e-7;

export interface Hyper {
  lr: number;
  step: number;
  beta1: number;
  beta2: number;
  eps: number;
  weightDecay: number;
  clipNorm: number;
}

/** The f32 values of `hyper` as the op reads them. */
export function hyperValues({ lr, step, beta1, beta2, eps, weightDecay, clipNorm }: Hyper): Float64Array {
  return Float64Array.of(lr, 1 - beta1 ** step, 1 - beta2 ** step, beta1, beta2, eps, weightDecay, clipNorm).map(
    Math.fround,
  );
}

export interface State {
  params: Float64Array;
  grads: Float64Array;
  m: Float64Array;
  v: Float64Array;
}

export function adamw64({ params, grads, m, v }: State, gradnorm: number, hyper: Float64Array) {
  const [lr, correction1, correction2, beta1, beta2, eps, weightDecay, clipNorm] = hyper as unknown as number[];
  const clip = clipNorm! > 0 ? Math.min(1, clipNorm! / (gradnorm + 1e-6)) : 1;
  const g = grads.map((x) => x * clip);
  const mNew = m.map((x, i) => beta1! * x + (1 - beta1!) * g[i]!);
  const vNew = v.map((x, i) => beta2! * x + (1 - beta2!) * g[i]! ** 2);
  const updates = mNew.map((x, i) => ((lr! / correction1!) * x) / (Math.sqrt(vNew[i]! / correction2!) + eps!));
  return {
    params: params.map((x, i) => x * (1 - lr! * weightDecay!) - updates[i]!),
    m: mNew,
    v: vNew,
    // m may cancel; its error moves the update as much.
    mMagnitude: m.map((x, i) => Math.abs(beta1! * x) + Math.abs((1 - beta1!) * g[i]!)),
    updateMagnitude: updates.map((x, i) =>
      mNew[i] === 0
        ? 0
        : Math.abs(x) * (1 + (Math.abs(beta1! * m[i]!) + Math.abs((1 - beta1!) * g[i]!)) / Math.abs(mNew[i]!)),
    ),
  };
}

const DEFAULTS: Hyper = { lr: 2e-4, step: 3, beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0.01, clipNorm: 1 };

interface Shape extends Partial<Hyper> {
  title: string;
  count: number;
  gradScale?: number;
  /** Given instead of the gradients' norm. */
  norm?: number;
  /** First step: both moments are zero. */
  fresh?: boolean;
  /** Elements before the first; 1 unless given, so that nothing is aligned. */
  offset?: number;
}

export function adamw({ title, count, gradScale = 0.1, norm, fresh = false, offset = 1, ...changes }: Shape): OpCase {
  const name = `${title} count=${count}`;
  const hyper = hyperValues({ ...DEFAULTS, ...changes });
  return opCase({
    op: "adamw",
    name,
    dtype: "f32",
    flops: 14 * count,
    inputs() {
      const grads = normals(`grads ${name}`, count, "f32", gradScale);
      return {
        grads,
        params: normals(`params ${name}`, count, "f32", 0.05),
        m: fresh ? new Float64Array(count) : normals(`m ${name}`, count, "f32", 0.02),
        v: fresh ? new Float64Array(count) : normals(`v ${name}`, count, "f32", 0.03).map((x) => Math.fround(x * x)),
        gradnorm: Math.fround(norm ?? Math.sqrt(grads.reduce((sum, g) => sum + g * g, 0))),
      };
    },
    setup({ place, backend }, inputs) {
      const flat = (title: string, values: ArrayLike<number>) =>
        place(title, "f32", 1, values.length, values, { offset });
      const grads = flat("grads", inputs.grads);
      const gradnorm = flat("gradnorm", [inputs.gradnorm]);
      const outputs = { params: flat("params", inputs.params), m: flat("m", inputs.m), v: flat("v", inputs.v) };
      const hyperTensor = flat("hyper", hyper);
      return { run: () => backend.ops.adamw({ ...outputs, grads, gradnorm, hyper: hyperTensor }), outputs };
    },
    reference(inputs) {
      if (!Number.isFinite(inputs.gradnorm)) {
        const { params, m, v } = inputs;
        return {
          params: { values: params, relative: 0 },
          m: { values: m, relative: 0 },
          v: { values: v, relative: 0 },
        };
      }
      const { params, m, v, mMagnitude, updateMagnitude } = adamw64(inputs, inputs.gradnorm, hyper);
      const magnitude = params.map((_, i) => 0.2 * Math.abs(inputs.params[i]!) + 2 * updateMagnitude[i]!);
      return {
        params: { values: params, relative: RELATIVE, magnitude },
        m: { values: m, relative: RELATIVE, magnitude: mMagnitude },
        v: { values: v, relative: RELATIVE, magnitude: v },
      };
    },
  });
}

export const cases: OpCase[] = [
  ...[1, 31, 33, 4099, 70_001].map((count) => adamw({ title: "clipped", count })),
  ...[4099, 4100].map((count) => adamw({ title: "aligned", count, offset: 0 })),
  adamw({ title: "below the clip", count: 33, gradScale: 0.01, clipNorm: 5 }),
  adamw({ title: "no clip", count: 4099, clipNorm: 0, gradScale: 30 }),
  adamw({ title: "first step", count: 4099, fresh: true, step: 1 }),
  adamw({ title: "no decay, late", count: 33, weightDecay: 0, step: 5000 }),
  adamw({ title: "large decay", count: 33, weightDecay: 0.5, lr: 0.1, eps: 1e-3 }),
  adamw({ title: "zero gradients", count: 33, gradScale: 0, fresh: true, step: 1 }),
  adamw({ title: "norm is infinite", count: 4099, norm: Number.POSITIVE_INFINITY }),
  adamw({ title: "norm is NaN", count: 33, norm: Number.NaN }),
  // Without clipping the norm still says whether the gradients are finite.
  adamw({ title: "norm is NaN, no clip", count: 33, norm: Number.NaN, clipNorm: 0 }),
];
