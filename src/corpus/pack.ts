/** @file Examples to rows of a fixed number of tokens. */

import { randomUint32, STREAMS } from "../base/random.js";
import { type Example, NO_TARGET } from "./encode.js";

/** One row of training: `seqLen` tokens of one or more segments, which do not see each other. */
export interface Row {
  ids: Int32Array;
  /** Position of each token in its segment. */
  positions: Int32Array;
  /** Index in the row of the first token of each token's segment. */
  starts: Int32Array;
  /** For the token at n the id to predict: the next token of its segment if that is a target, else -100. */
  targets: Int32Array;
  /** Tokens before the padding. */
  length: number;
  /** The examples that the row holds (a part of), in order. */
  records: number[];
}

/**
 * Which part of which example is where, for all rows; a row is made of it when it is needed. Piece p is tokens from[p]
 * to to[p] - 1 of example[p]; row r holds pieces firstPiece[r] to firstPiece[r + 1] - 1.
 */
export interface Packing {
  seqLen: number;
  numRows: number;
  example: Int32Array;
  from: Int32Array;
  to: Int32Array;
  firstPiece: Int32Array;
}

/** Pieces that wait for a row with just the right space for them. */
const WINDOW = 1024;

export interface PackOptions {
  seqLen: number;
  /** The examples in the order in which they are packed. */
  order: ArrayLike<number>;
  /** Fill one row after the other, so that examples stay in order (without shuffling). */
  inOrder: boolean;
}

/**
 * Best-fit packing: a row takes any of the waiting pieces while there is room for all of them, then those one or two
 * that fill it best (0.1 % padding for documents of about a fifth of a row, where the longest that fits leaves 5 %).
 * Records longer than a row are split into pieces of a row, each a segment of its own. Pieces without a target make no
 * rows: they would be steps without a loss. Records of input_ids stay alone, one piece a row.
 */
export function packExamples(examples: readonly Example[], { seqLen, order, inOrder }: PackOptions): Packing {
  const rows: Piece[][] = [];
  let pieces: Piece[] = [];
  const flush = () => {
    fillRows(pieces, seqLen, inOrder ? 1 : WINDOW, rows);
    pieces = [];
  };
  for (let i = 0; i < order.length; i++) {
    const example = order[i]!;
    const { kind } = examples[example]!;
    const own = targetPieces(examples[example]!, seqLen).map((piece) => ({ example, ...piece }));
    if (kind !== "row") {
      pieces.push(...own);
      continue;
    }
    if (inOrder) flush();
    for (const piece of own) rows.push([piece]);
  }
  flush();
  return toPacking(rows, seqLen);
}

/** The pieces of at most `seqLen` tokens in which something is to be predicted: never the first token of a piece. */
export function targetPieces({ ids, targets }: Pick<Example, "ids" | "targets">, seqLen: number): Stretch[] {
  const pieces: Stretch[] = [];
  for (let from = 0; from < ids.length; from += seqLen) {
    const to = Math.min(from + seqLen, ids.length);
    if (targets.subarray(from + 1, to).some((target) => target !== NO_TARGET)) pieces.push({ from, to });
  }
  return pieces;
}

/** Tokens `from` to `to - 1` of an example. */
interface Stretch {
  from: number;
  to: number;
}

interface Piece extends Stretch {
  example: number;
}

const lengthOf = ({ from, to }: Stretch): number => to - from;

/** A window of one piece keeps their order: each goes to the end of the last row or begins a new one. */
function fillRows(pieces: Piece[], seqLen: number, window: number, rows: Piece[][]): void {
  // By length, so that what fits best is found without trying all.
  const waiting: Piece[] = [];
  let next = 0;
  let row: Piece[] = [];
  let space = seqLen;
  while (next < pieces.length || waiting.length > 0) {
    while (waiting.length < window && next < pieces.length) {
      const piece = pieces[next++]!;
      waiting.splice(countUpTo(waiting, lengthOf(piece)), 0, piece);
    }
    const fitting = countUpTo(waiting, space);
    if (fitting === 0) {
      rows.push(row);
      row = [];
      space = seqLen;
      continue;
    }
    const isRoomy = space > 2 * lengthOf(waiting.at(-1)!);
    const choice = isRoomy
      ? randomUint32(seqLen, STREAMS.packing, next) % fitting
      : bestChoice(waiting, fitting, space);
    const [piece] = waiting.splice(choice, 1);
    row.push(piece!);
    space -= lengthOf(piece!);
  }
  if (row.length > 0) rows.push(row);
}

/** The longer one of the two pieces that together fill `space` best, or the one piece that does so better. */
function bestChoice(waiting: Piece[], fitting: number, space: number): number {
  let choice = fitting - 1;
  let filled = lengthOf(waiting[choice]!);
  for (let [low, high] = [0, fitting - 1]; low < high; ) {
    const both = lengthOf(waiting[low]!) + lengthOf(waiting[high]!);
    if (both > space) high--;
    else {
      if (both > filled) [filled, choice] = [both, high];
      low++;
    }
  }
  return choice;
}

/** How many of the pieces, which ascend in length, have at most `length` tokens. */
function countUpTo(pieces: Piece[], length: number): number {
  let low = 0;
  let high = pieces.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (lengthOf(pieces[middle]!) <= length) low = middle + 1;
    else high = middle;
  }
  return low;
}

function toPacking(rows: Piece[][], seqLen: number): Packing {
  const pieces = rows.flat();
  const firstPiece = new Int32Array(rows.length + 1);
  for (const [r, row] of rows.entries()) firstPiece[r + 1] = firstPiece[r]! + row.length;
  return {
    seqLen,
    numRows: rows.length,
    example: Int32Array.from(pieces, ({ example }) => example),
    from: Int32Array.from(pieces, ({ from }) => from),
    to: Int32Array.from(pieces, ({ to }) => to),
    firstPiece,
  };
}

/** Row `r` of a packing. What is left of it is padding: tokens that are segments of their own, without target. */
export function buildRow(examples: readonly Example[], packing: Packing, r: number): Row {
  const { seqLen } = packing;
  const ids = new Int32Array(seqLen);
  const positions = new Int32Array(seqLen);
  const starts = Int32Array.from({ length: seqLen }, (_, n) => n);
  const targets = new Int32Array(seqLen).fill(NO_TARGET);
  const records: number[] = [];
  let begin = 0;
  for (let p = packing.firstPiece[r]!; p < packing.firstPiece[r + 1]!; p++) {
    const from = packing.from[p]!;
    const to = packing.to[p]!;
    const example = examples[packing.example[p]!]!;
    const length = to - from;
    ids.set(example.ids.subarray(from, to), begin);
    // The token at n predicts the one at n + 1: the first of a segment is never a target.
    targets.set(example.targets.subarray(from + 1, to), begin);
    starts.fill(begin, begin, begin + length);
    for (let n = 0; n < length; n++) positions[begin + n] = n;
    records.push(packing.example[p]!);
    begin += length;
  }
  return { ids, positions, starts, targets, records, length: begin };
}
