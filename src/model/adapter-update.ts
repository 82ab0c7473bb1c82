/**
 * @file What adapters add to the weights, compared: norms of scale B A, and the angle between two of them. Without
 * forming B A, which is as large as the weight: <B1 A1, B2 A2> = trace(A1^T B1^T B2 A2) = sum over i, j of
 * (B1^T B2)[i, j] (A1 A2^T)[i, j], two products of r x r numbers. Sums are in double precision.
 */
import type { Adapter, AdapterPair } from "../shape/adapter.js";
import { loraScale } from "./lora.js";

/** Of one adapted projection, or of all together as one long vector. */
interface UpdateAngle {
  /** Null where one of the two is 0. */
  cosine: number | null;
  /** Frobenius norms of the two updates. */
  norms: [number, number];
}

/** How the update of `b` stands to that of `a`. */
export interface UpdateComparison {
  whole: UpdateAngle;
  /** By `adapterKey`: what both adapt. */
  tensors: Record<string, UpdateAngle>;
  /** What `b` has at right angles to `a`, as a share of the norm of `a`; null where that is 0. */
  added: number | null;
}

/** Frobenius norm of the update of each layer, over all its projections together. */
export function layerNorms(adapter: Adapter): number[] {
  const squares: number[] = [];
  for (const [key, pair] of adapter.tensors) {
    const layer = Number(key.split(".")[0]);
    squares[layer] = (squares[layer] ?? 0) + innerProduct(pair, pair, adapter.config.r, adapter.config.r);
  }
  const scale = loraScale(adapter.config);
  return Array.from(squares, (square = 0) => scale * Math.sqrt(Math.max(0, square)));
}

/** Both adapters are of one model. What only one of them adapts counts as 0 in the other. */
export function compareUpdates(a: Adapter, b: Adapter): UpdateComparison {
  const scaleA = loraScale(a.config);
  const scaleB = loraScale(b.config);
  const rA = a.config.r;
  const rB = b.config.r;
  const tensors: UpdateComparison["tensors"] = {};
  const sum = { aa: 0, ab: 0, bb: 0 };
  for (const key of new Set([...a.tensors.keys(), ...b.tensors.keys()])) {
    const x = a.tensors.get(key);
    const y = b.tensors.get(key);
    const aa = x ? scaleA ** 2 * innerProduct(x, x, rA, rA) : 0;
    const bb = y ? scaleB ** 2 * innerProduct(y, y, rB, rB) : 0;
    const ab = x && y ? scaleA * scaleB * innerProduct(x, y, rA, rB) : 0;
    if (x && y) tensors[key] = angleOf(aa, ab, bb);
    sum.aa += aa;
    sum.ab += ab;
    sum.bb += bb;
  }
  const { aa, ab, bb } = sum;
  const added = aa > 0 ? Math.sqrt(Math.max(0, bb - ab ** 2 / aa) / aa) : null;
  return { whole: angleOf(aa, ab, bb), tensors, added };
}

function angleOf(aa: number, ab: number, bb: number): UpdateAngle {
  const norms: [number, number] = [Math.sqrt(Math.max(0, aa)), Math.sqrt(Math.max(0, bb))];
  const cosine = norms[0] > 0 && norms[1] > 0 ? ab / Math.sqrt(aa * bb) : null;
  // Rounding may leave [-1, 1].
  return { cosine: cosine && Math.max(-1, Math.min(1, cosine)), norms };
}

/** <B1 A1, B2 A2> of one projection, without the scales. */
function innerProduct(x: AdapterPair, y: AdapterPair, rX: number, rY: number): number {
  const ofB = new Float64Array(rX * rY);
  const out = x.B.length / rX;
  for (let row = 0; row < out; row++)
    for (let i = 0; i < rX; i++) {
      const value = x.B[row * rX + i]!;
      for (let j = 0; j < rY; j++) ofB[i * rY + j]! += value * y.B[row * rY + j]!;
    }
  const width = x.A.length / rX;
  let total = 0;
  for (let i = 0; i < rX; i++)
    for (let j = 0; j < rY; j++) {
      let product = 0;
      for (let k = 0; k < width; k++) product += x.A[i * width + k]! * y.A[j * width + k]!;
      total += ofB[i * rY + j]! * product;
    }
  return total;
}
