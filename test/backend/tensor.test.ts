/** @file Views of tensors. */
import { expect, test } from "vitest";
import { columns, rows, spanBytes, type Tensor } from "../../src/backend/tensor.js";

const tensor: Tensor = { buffer: { bytes: 4096 }, dtype: "bf16", offset: 10, rows: 5, cols: 6, stride: 8 };

test("columns and rows are views of the same memory", () => {
  expect(columns(tensor, 2, 3)).toEqual({ ...tensor, offset: 12, cols: 3 });
  expect(rows(tensor, 1, 2)).toEqual({ ...tensor, offset: 18, rows: 2 });
  // The spare columns of a row belong to it.
  expect(columns(tensor, 6, 2)).toEqual({ ...tensor, offset: 16, cols: 2 });
});

test("a view past the tensor is refused", () => {
  expect(() => columns(tensor, 3, 6)).toThrow(/columns 3\+6 of bf16\[5, 6\]/);
  expect(() => columns(tensor, -1, 2)).toThrow(RangeError);
  expect(() => rows(tensor, 4, 2)).toThrow(/rows 4\+2 of bf16\[5, 6\]/);
});

test("the span of a tensor ends with its last element, not with its last row's stride", () => {
  expect(spanBytes(tensor)).toBe((4 * 8 + 6) * 2);
  expect(spanBytes({ ...tensor, rows: 0 })).toBe(0);
});
