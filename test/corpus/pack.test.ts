/** @file Invariants of packing and batches, over seeded data sets of many shapes. */

import { describe, expect, it } from "vitest";
import { type BatchOptions, planBatches } from "../../src/corpus/batches.js";
import type { Dataset } from "../../src/corpus/dataset.js";
import { type Example, NO_NOTES, NO_TARGET } from "../../src/corpus/encode.js";
import { settleLongChats } from "../../src/corpus/long-chats.js";
import { type Row, targetPieces } from "../../src/corpus/pack.js";
import { shuffledOrder } from "../../src/corpus/shuffle.js";
import { seeded } from "../formats/fuzz.js";

function dataset(examples: Omit<Example, "form" | "file" | "line">[]): Dataset {
  return {
    examples: examples.map((example, i) => ({ ...example, form: "{text}", file: 0, line: i + 1 })),
    files: [{ path: "d.jsonl", sha256: "" }],
    notes: { ...NO_NOTES },
    firstSkipped: null,
    describe: (example) => `d.jsonl line ${example + 1}`,
  };
}

/** Examples of which every token is unlike all others, about half of them targets. */
function randomDataset(seed: number, count: number, maxLength: number, kinds: Example["kind"][]): Dataset {
  const random = seeded(seed);
  let next = 1;
  return dataset(
    Array.from({ length: count }, () => {
      const ids = Int32Array.from({ length: 1 + random.whole(maxLength) }, () => next++);
      return { ids, targets: ids.map((id) => (random.whole(2) ? id : NO_TARGET)), kind: random.pick(kinds) };
    }),
  );
}

/** Target and record of every token of a data set in which no two tokens are alike. */
function tokensOf(data: Dataset): Map<number, { target: number; record: number }> {
  const all = data.examples.flatMap(({ ids, targets }, record) =>
    Array.from(ids, (id, n) => [id, { target: targets[n]!, record }] as const),
  );
  return new Map(all);
}

/**
 * Checks a row by its own account, and returns its tokens that are no padding. No `expect` a token: that takes minutes.
 */
function checkRow({ ids, positions, starts, targets, records }: Row, tokens: ReturnType<typeof tokensOf>): number[] {
  const content: number[] = [];
  for (let n = 0; n < ids.length; n++) {
    const start = starts[n]!;
    const isLast = n + 1 === ids.length || starts[n + 1] === n + 1;
    const wrong =
      start > n ||
      starts[start] !== start ||
      positions[n] !== n - start ||
      (n > start && starts[n - 1] !== start) ||
      // The targets are those of the records, one to the left; nothing is predicted across segments.
      targets[n] !== (isLast ? NO_TARGET : tokens.get(ids[n + 1]!)?.target) ||
      (ids[n] === 0 ? start !== n : !records.includes(tokens.get(ids[n]!)!.record)) ||
      // One record a segment.
      (n > start && tokens.get(ids[n]!)?.record !== tokens.get(ids[start]!)?.record);
    if (wrong)
      expect.fail(`token ${n} of ${JSON.stringify({ ids: [...ids], starts: [...starts], targets: [...targets] })}`);
    if (ids[n] !== 0) content.push(ids[n]!);
  }
  return content;
}

const base: BatchOptions = { seqLen: 32, rowsPerStep: 4, epochs: 1, shuffle: true, seed: 7 };
const allRows = (data: Dataset, options: BatchOptions): Row[] => {
  const plan = planBatches(data, options);
  return Array.from({ length: plan.steps }, (_, step) => plan.batchRows(step)).flat();
};

describe.each([
  ["short records", 300, 12],
  ["of all lengths", 120, 100],
  ["very long ones", 5, 900],
])("%s", (_, count, maxLength) => {
  it.each([1, 2, 3])("seed %i: every piece with a target once, in segments of one record each", (seed) => {
    for (const seqLen of [2, 7, 64]) {
      for (const shuffle of [true, false]) {
        const data = randomDataset(seed, count, maxLength, ["document", "chat", "completion"]);
        const rows = allRows(data, { ...base, seqLen, shuffle, seed });
        const known = tokensOf(data);
        const seen = rows.flatMap((row) => checkRow(row, known));
        const tokens = data.examples.flatMap((example) =>
          targetPieces(example, seqLen).flatMap(({ from, to }) => [...example.ids.subarray(from, to)]),
        );
        expect(Int32Array.from(shuffle ? seen.sort((a, b) => a - b) : seen)).toEqual(Int32Array.from(tokens));
      }
    }
  });
});

/** Those of the examples that make rows. */
const targeted = (data: Dataset): Dataset =>
  dataset(data.examples.filter((example) => targetPieces(example, base.seqLen).length > 0));

describe("rows of input_ids", () => {
  it("stay alone and in order without shuffling", () => {
    const data = targeted(randomDataset(5, 40, 32, ["row"]));
    const rows = allRows(data, { ...base, shuffle: false });
    expect(rows.map(({ records }) => records)).toEqual(data.examples.map((_, i) => [i]));
    for (const [i, row] of rows.entries()) expect(checkRow(row, tokensOf(data))).toEqual([...data.examples[i]!.ids]);
  });

  it("among documents: the order stays, nothing is packed with them", () => {
    const data = targeted(randomDataset(6, 60, 20, ["row", "document"]));
    const rows = allRows(data, { ...base, shuffle: false });
    expect(rows.flatMap((row) => checkRow(row, tokensOf(data)))).toEqual(data.examples.flatMap(({ ids }) => [...ids]));
    for (const { records } of rows)
      if (records.length > 1) for (const r of records) expect(data.examples[r]!.kind).toBe("document");
  });

  it("longer than a row are cut where that is asked for, a row a piece", () => {
    const ids = Int32Array.from({ length: 70 }, (_, n) => n + 1);
    const data = dataset([{ ids, targets: ids, kind: "row" }]);
    expect(allRows(data, { ...base, shuffle: false }).map(({ length }) => length)).toEqual([32, 32, 6]);
  });
});

describe("pieces without a target", () => {
  const none = (length: number) => new Int32Array(length).fill(NO_TARGET);
  const ids = (length: number) => Int32Array.from({ length }, (_, n) => n + 1);

  it("make no rows: a prompt of several rows before its answer, records without a target, a last single token", () => {
    const answer = none(100);
    answer.set([98, 99, 100], 97);
    const data = dataset([
      { ids: ids(100), targets: answer, kind: "chat" },
      { ids: ids(20), targets: none(20), kind: "chat" },
      { ids: ids(20), targets: none(20), kind: "row" },
      // Of the second piece only the first token would be a target, and nothing is before it.
      { ids: ids(33), targets: ids(33), kind: "document" },
    ]);
    const rows = allRows(data, { ...base, shuffle: false });
    expect(rows.map((row) => [row.records, row.length])).toEqual([
      [[0], 4],
      [[3], 32],
    ]);
    for (const { targets } of rows) expect(targets.some((target) => target !== NO_TARGET)).toBe(true);
  });

  it("a data set of nothing else is refused by name", () => {
    const data = dataset([{ ids: ids(5), targets: none(5), kind: "chat" }]);
    expect(() => planBatches(data, base)).toThrow("d.jsonl: no row of 32 tokens (--seq-len) has a target");
  });
});

describe("records longer than a row", () => {
  const record = (length: number, kind: Example["kind"]) => {
    const ids = Int32Array.from({ length }, (_, n) => n + 1);
    return { ids, targets: ids, kind };
  };
  const limits = { seqLen: 32, positions: 512 };
  const data = dataset([record(90, "document"), record(32, "chat"), record(33, "chat"), record(40, "completion")]);

  it("documents are split; a chat ends the run, which says what would fit", () => {
    expect(() => settleLongChats(data, { ...limits, longChats: "refuse" })).toThrow(
      "d.jsonl line 3: a chat of 33 tokens is longer than a row (--seq-len 32), and 1 more is too long; " +
        "--seq-len 40 fits all, --long-chats drop",
    );
    const fitting = dataset([record(90, "document"), record(32, "chat")]);
    expect(settleLongChats(fitting, { ...limits, longChats: "refuse" })).toBe(fitting);
  });

  it("one that the model cannot read at all says so", () => {
    expect(() => settleLongChats(data, { ...limits, positions: 36, longChats: "refuse" })).toThrow(
      "the longest has 40 tokens, the model 36 positions, --long-chats drop",
    );
  });

  it("are left out and counted, or cut", () => {
    const dropped = settleLongChats(data, { ...limits, longChats: "drop" });
    expect(dropped.examples.map(({ line }) => line)).toEqual([1, 2]);
    expect(dropped.notes.droppedLong).toBe(2);
    expect(dropped.describe(1)).toBe("d.jsonl line 2");
    expect(settleLongChats(data, { ...limits, longChats: "split" })).toBe(data);
    const long = dataset([record(40, "chat")]);
    expect(() => settleLongChats(long, { ...limits, longChats: "drop" })).toThrow(
      "d.jsonl: every record is longer than a row of 32 tokens, and --long-chats drop leaves nothing; " +
        "--seq-len 40 fits all",
    );
  });
});

describe("batches", () => {
  const data = randomDataset(8, 199, 40, ["document"]);
  const ids = (rows: Row[]) => rows.map((row) => [...row.ids]);

  it("are pure functions of data, options and step: any of them can be the first", () => {
    const one = planBatches(data, { ...base, epochs: 3 });
    const forward = Array.from({ length: one.steps }, (_, step) => ids(one.batchRows(step)));
    const other = planBatches(data, { ...base, epochs: 3 });
    for (let step = other.steps - 1; step >= 0; step -= 3) expect(ids(other.batchRows(step))).toEqual(forward[step]);
  });

  it("cover every row once an epoch, in another order each, and end with a short one", () => {
    const { numRows } = planBatches(data, base).packing;
    const rowsPerStep = numRows % 4 === 0 ? 3 : 4;
    const plan = planBatches(data, { ...base, rowsPerStep, epochs: 2 });
    expect(plan.steps).toBe(2 * Math.ceil(numRows / rowsPerStep));
    const epoch = (e: number) =>
      Array.from({ length: plan.stepsPerEpoch }, (_, k) => plan.batchRows(e * plan.stepsPerEpoch + k));
    const first = epoch(0);
    const second = epoch(1);
    expect(first.at(-1)).toHaveLength(numRows % rowsPerStep);
    expect(ids(first.flat())).not.toEqual(ids(second.flat()));
    expect(ids(first.flat()).map(String).sort()).toEqual(ids(second.flat()).map(String).sort());
  });

  it("depend on the seed", () => {
    expect(ids(planBatches(data, base).batchRows(0))).not.toEqual(
      ids(planBatches(data, { ...base, seed: 8 }).batchRows(0)),
    );
  });

  it("count steps by --epochs, a part of one, or --max-steps", () => {
    const steps = (options: Partial<BatchOptions>) => {
      const { epochs: _, ...rest } = base;
      return planBatches(data, { ...rest, ...options }).steps;
    };
    const { stepsPerEpoch } = planBatches(data, base);
    expect(steps({ epochs: 0.5 })).toBe(Math.ceil(stepsPerEpoch / 2));
    expect(steps({ maxSteps: 5 * stepsPerEpoch })).toBe(5 * stepsPerEpoch);
    expect(steps({ maxSteps: 2, epochs: 9 })).toBe(2);
    expect(() => steps({})).toThrow("either --epochs or --max-steps");
  });

  it("waste little: under 1 % padding for records of mixed lengths", () => {
    const mixed = randomDataset(9, 2000, 300, ["document"]);
    const { packing } = planBatches(mixed, { ...base, seqLen: 512 });
    const tokens = mixed.examples.reduce((total, { ids }) => total + ids.length, 0);
    expect(1 - tokens / (packing.numRows * 512)).toBeLessThan(0.01);
  });
});

describe("shuffledOrder", () => {
  it("is a permutation, and the same everywhere", () => {
    expect([...shuffledOrder(10, 42, 1)]).toMatchInlineSnapshot(`
      [
        3,
        8,
        6,
        0,
        1,
        5,
        4,
        9,
        7,
        2,
      ]
    `);
    expect([...shuffledOrder(999, 1, 2)].toSorted((a, b) => a - b)).toEqual(Array.from({ length: 999 }, (_, i) => i));
  });

  it("puts every element everywhere about equally often", () => {
    const counts = Array.from({ length: 6 }, () => new Array<number>(6).fill(0));
    for (let seed = 0; seed < 6000; seed++)
      for (const [at, i] of shuffledOrder(6, seed, 0).entries()) counts[at]![i]!++;
    for (const count of counts.flat()) expect(Math.abs(count - 1000)).toBeLessThan(150);
  });
});
