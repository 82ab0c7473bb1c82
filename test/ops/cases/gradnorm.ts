/** @file Cases of msm_gradnorm. */
import { normals, type OpCase, opCase } from "../harness.js";

// A sum in f64 and one rounding to f32.
const RELATIVE = 1e-7;

interface Shape {
  count: number;
  scale?: number;
  /** One gradient that is not finite, at the end. */
  last?: number;
  /** Elements before the first; 1 unless given, so that nothing is aligned. */
  offset?: number;
}

export function gradnorm({ count, scale = 1, last, offset = 1 }: Shape): OpCase {
  const name = `${count} gradients of ${scale}${last === undefined ? "" : `, one ${last}`}${offset ? "" : ", aligned"}`;
  return opCase({
    op: "gradnorm",
    name,
    dtype: "f32",
    flops: 2 * count,
    inputs() {
      const grads = normals(name, count, "f32", scale);
      if (last !== undefined) grads[count - 1] = last;
      return { grads };
    },
    setup({ place, backend }, inputs) {
      const grads = place("grads", "f32", 1, count, inputs.grads, { offset });
      const out = place("out", "f32", 1, 1, undefined, { offset: 1 });
      return { run: () => backend.ops.gradnorm({ out, grads }), outputs: { out } };
    },
    reference({ grads }) {
      if (last !== undefined) return {};
      const norm = Math.sqrt(grads.reduce((sum, g) => sum + g * g, 0));
      return { out: { values: [norm], relative: RELATIVE } };
    },
    judge(_, got) {
      const norm = got["out"]![0]!;
      return last !== undefined && Number.isFinite(norm) ? `the norm of a gradient with ${last} is ${norm}` : undefined;
    },
  });
}

export const cases: OpCase[] = [
  ...[1, 31, 33, 4099, 300_007].map((count) => gradnorm({ count })),
  ...[4099, 300_008].map((count) => gradnorm({ count, offset: 0 })),
  // Squares that leave f32 on both sides.
  ...[1e-30, 1e25].map((scale) => gradnorm({ count: 33, scale })),
  gradnorm({ count: 4099, scale: 0 }),
  ...[Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY].map((last) => gradnorm({ count: 4099, last })),
];
