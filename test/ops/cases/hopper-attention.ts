/**
 * @file Cases of attention that the kernels for Hopper take, all of them: not in ALL_CASES, as other kernels gain
 * nothing from them.
 */
import type { OpCase } from "../harness.js";
import { attentionBackward, attentionForward } from "./attention.js";

// Rows and strides of 16 bytes, so that all are taken. Segments that end inside, at and one after a tile of 64, 128 or
// 192; more tiles than multiprocessors; rows of another record behind the last tile of keys and of queries.
const SHAPES: Omit<Parameters<typeof attentionForward>[0], "dtype">[] = [
  { segments: [33], H: 1, K: 1, E: 64 },
  { segments: [150, 1, 1, 70], H: 4, K: 2, E: 128, gap: 8 },
  { segments: [400, 1, 2, 64], H: 3, K: 1, E: 64, gap: 16 },
  { segments: [128, 129, 192, 193], H: 4, K: 4, E: 64 },
  { segments: [257, 64, 128], H: 7, K: 1, E: 128 },
  { segments: [66, 19], H: 2, K: 1, E: 128, peak: 20 },
  { segments: new Array<number>(67).fill(1), H: 4, K: 2, E: 128, gap: 8 },
];

export const hopperCases: OpCase[] = SHAPES.flatMap((shape) => [
  attentionForward({ dtype: "bf16", ...shape }),
  attentionBackward({ dtype: "bf16", ...shape }),
]);
