/** @file Examples to rows of a fixed number of tokens. */

import { InputError } from "../errors.js";
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
 * Which part of which example is where, for all rows; a row is made of it when it is needed. Piece p is tokens from[p] to
 * to[p] - 1 of example[p]; row r holds pieces firstPiece[r] to firstPiece[r + 1] - 1.
 */
export interface Packing {
  seqLen: number;
  numRows: number;
  example: Int32Array;
  from: Int32Array;
  to: Int32Array;
  firstPiece: Int32Array;
}

/** Rows that are open at once. More would pack better, and move records further from their place in the shuffled order. */
const OPEN_ROWS = 32;

export interface PackOptions {
  seqLen: number;
  /** The examples in the order in which they are packed. */
  order: ArrayLike<number>;
  /** Fill one row after the other, so that examples stay in order (without shuffling). */
  inOrder: boolean;
  /** Names an example in errors. */
  describe: (example: number) => string;
}

/**
 * Best-fit packing: each example goes to the open row where it leaves the least space. Longer ones than a row are split into
 * pieces of a row, each a segment of its own; nothing is dropped. Rows of input_ids stay alone, one record a row.
 */
export function packExamples(examples: readonly Example[], { seqLen, order, inOrder, describe }: PackOptions): Packing {
  const rows = new RowBuilder(seqLen, inOrder ? 1 : OPEN_ROWS);
  for (let i = 0; i < order.length; i++) {
    const index = order[i]!;
    const { ids, kind } = examples[index]!;
    if (kind === "row") {
      if (ids.length > seqLen) {
        throw new InputError(`${describe(index)}: input_ids has ${ids.length} tokens, more than --seq-len ${seqLen}`);
      }
      if (inOrder) rows.closeAll();
      rows.close([index, 0, ids.length]);
      continue;
    }
    for (let from = 0; from < ids.length; from += seqLen) rows.add(index, from, Math.min(from + seqLen, ids.length));
  }
  rows.closeAll();
  return rows.packing();
}

class RowBuilder {
  private readonly open: { pieces: number[]; space: number }[] = [];
  private readonly closed: number[][] = [];

  constructor(
    private readonly seqLen: number,
    private readonly openRows: number,
  ) {}

  add(example: number, from: number, to: number): void {
    const length = to - from;
    let best: (typeof this.open)[number] | undefined;
    for (const row of this.open) if (row.space >= length && row.space < (best?.space ?? Infinity)) best = row;
    if (best === undefined) {
      if (this.open.length === this.openRows) this.closeFullest();
      best = { pieces: [], space: this.seqLen };
      this.open.push(best);
    }
    best.pieces.push(example, from, to);
    best.space -= length;
    if (best.space === 0) {
      this.open.splice(this.open.indexOf(best), 1);
      this.close(best.pieces);
    }
  }

  close(pieces: number[]): void {
    this.closed.push(pieces);
  }

  closeAll(): void {
    for (const { pieces } of this.open.splice(0)) this.close(pieces);
  }

  private closeFullest(): void {
    let fullest = 0;
    for (const [i, { space }] of this.open.entries()) if (space < this.open[fullest]!.space) fullest = i;
    this.close(this.open.splice(fullest, 1)[0]!.pieces);
  }

  packing(): Packing {
    const count = this.closed.reduce((total, pieces) => total + pieces.length / 3, 0);
    const [example, from, to] = [new Int32Array(count), new Int32Array(count), new Int32Array(count)];
    const firstPiece = new Int32Array(this.closed.length + 1);
    let p = 0;
    for (const [r, pieces] of this.closed.entries()) {
      for (let i = 0; i < pieces.length; i += 3, p++) {
        example[p] = pieces[i]!;
        from[p] = pieces[i + 1]!;
        to[p] = pieces[i + 2]!;
      }
      firstPiece[r + 1] = p;
    }
    return { seqLen: this.seqLen, numRows: this.closed.length, example, from, to, firstPiece };
  }
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
    const [from, to] = [packing.from[p]!, packing.to[p]!];
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
