/** @file Updates of adapters, against dense products in double precision. */
import { describe, expect, test } from "vitest";
import { compareUpdates, layerNorms } from "../../src/model/adapter-update.js";
import type { Adapter, AdapterPair } from "../../src/shape/adapter.js";
import { normals } from "../eval/statistics/normals.js";

const adapter = (r: number, alpha: number, tensors: Record<string, AdapterPair>, useRslora = false): Adapter => ({
  config: { r, alpha, useRslora, targets: ["q", "down"], baseModelNameOrPath: null, dropout: 0 },
  tensors: new Map(Object.entries(tensors)),
});
const pair = (A: number[], B: number[]): AdapterPair => ({ A: Float32Array.from(A), B: Float32Array.from(B) });

/** scale B A, row by row. */
function dense({ A, B }: AdapterPair, r: number, scale: number): number[] {
  const [out, width] = [B.length / r, A.length / r];
  return Array.from({ length: out * width }, (_, at) => {
    const [row, column] = [Math.floor(at / width), at % width];
    let sum = 0;
    for (let i = 0; i < r; i++) sum += B[row * r + i]! * A[i * width + column]!;
    return scale * sum;
  });
}
const dot = (x: readonly number[], y: readonly number[]): number => x.reduce((sum, value, i) => sum + value * y[i]!, 0);

describe("by hand", () => {
  // B A = [[2, 4], [0, 0]] and [[0, 0], [3, 0]]; with rank 1 and alpha 2 the scale is 2.
  const first = pair([1, 2], [2, 0]);
  const second = pair([3, 0], [0, 1]);

  test("norms by layer, of all its projections", () => {
    const both = adapter(1, 2, { "0.q": first, "0.down": second, "1.q": second, "1.down": second });
    expect(layerNorms(both)).toEqual([2 * Math.sqrt(4 + 16 + 9), 2 * Math.sqrt(18)]);
  });

  test("at right angles, alike, and opposite", () => {
    const of = (key: AdapterPair) => adapter(1, 2, { "0.q": key });
    const { whole, added } = compareUpdates(of(first), of(second));
    expect(whole).toEqual({ cosine: 0, norms: [2 * Math.sqrt(20), 6] });
    expect(added).toBeCloseTo(6 / (2 * Math.sqrt(20)), 12);
    // The same update of other factors: (2 A) (B / 2).
    expect(compareUpdates(of(first), of(pair([2, 4], [1, 0])))).toMatchObject({ whole: { cosine: 1 }, added: 0 });
    expect(compareUpdates(of(first), of(pair([-1, -2], [2, 0]))).whole.cosine).toBe(-1);
  });

  test("an update of nothing has no angle", () => {
    const zero = adapter(1, 2, { "0.q": pair([1, 2], [0, 0]) });
    const some = adapter(1, 2, { "0.q": first });
    expect(compareUpdates(zero, some)).toMatchObject({ whole: { cosine: null }, added: null });
    expect(compareUpdates(some, zero)).toMatchObject({ whole: { cosine: null }, added: 0 });
    expect(layerNorms(zero)).toEqual([0]);
  });

  test("what only one adapts counts as nothing in the other", () => {
    const { whole, tensors, added } = compareUpdates(
      adapter(1, 1, { "0.q": first }),
      adapter(1, 1, { "0.q": first, "0.down": second }),
    );
    expect(Object.keys(tensors)).toEqual(["0.q"]);
    expect(whole.cosine).toBeCloseTo(Math.sqrt(20 / 29), 12);
    expect(added).toBeCloseTo(3 / Math.sqrt(20), 12);
  });
});

test.each([
  [4, 4, false],
  [3, 8, false],
  [6, 2, true],
])("ranks %d and %d against the dense products", (rA, rB, useRslora) => {
  const draw = normals(rA);
  const random = (r: number, out: number, width: number): AdapterPair =>
    pair(Array.from({ length: r * width }, draw), Array.from({ length: out * r }, draw));
  const shapes: Record<string, [number, number]> = {
    "0.q": [7, 5],
    "0.down": [5, 11],
    "1.q": [7, 5],
    "1.down": [5, 11],
  };
  const make = (r: number): Adapter =>
    adapter(
      r,
      16,
      Object.fromEntries(Object.entries(shapes).map(([key, [out, width]]) => [key, random(r, out, width)])),
      useRslora,
    );
  const [a, b] = [make(rA), make(rB)];
  const flat = (one: Adapter, r: number, key: string): number[] =>
    dense(one.tensors.get(key)!, r, useRslora ? 16 / Math.sqrt(r) : 16 / r);
  const { whole, tensors, added } = compareUpdates(a, b);
  for (const key of Object.keys(shapes)) {
    const [x, y] = [flat(a, rA, key), flat(b, rB, key)];
    const expected = dot(x, y) / Math.sqrt(dot(x, x) * dot(y, y));
    expect(tensors[key]!.cosine).toBeCloseTo(expected, 12);
    expect(tensors[key]!.norms[1] / Math.sqrt(dot(y, y))).toBeCloseTo(1, 12);
  }
  const [x, y] = [flat, flat].map((of, i) => Object.keys(shapes).flatMap((key) => of([a, b][i]!, [rA, rB][i]!, key)));
  const cosine = dot(x!, y!) / Math.sqrt(dot(x!, x!) * dot(y!, y!));
  expect(whole.cosine).toBeCloseTo(cosine, 12);
  const rest = y!.map((value, i) => value - (dot(x!, y!) / dot(x!, x!)) * x![i]!);
  expect(added).toBeCloseTo(Math.sqrt(dot(rest, rest) / dot(x!, x!)), 12);
  const second = ["1.q", "1.down"].flatMap((key) => flat(a, rA, key));
  expect(layerNorms(a)[1]).toBeCloseTo(Math.sqrt(dot(second, second)), 10);
});
