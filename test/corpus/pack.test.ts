/** @file Invariants of packing and batches, over seeded data sets of many shapes. */

import { describe, expect, it } from "vitest";
import { type BatchOptions, planBatches } from "../../src/corpus/batches.js";
import type { Dataset } from "../../src/corpus/dataset.js";
import { type Example, NO_TARGET } from "../../src/corpus/encode.js";
import type { Row } from "../../src/corpus/pack.js";
import { shuffledOrder } from "../../src/corpus/shuffle.js";
import { seeded } from "../formats/fuzz.js";

function dataset(examples: Omit<Example, "file" | "line">[]): Dataset {
  return {
    examples: examples.map((example, i) => ({ ...example, file: 0, line: i + 1 })),
    files: [{ path: "d.jsonl", sha256: "" }],
    notes: { specialTextsInContent: 0, specialTokensInText: 0, changedContents: 0 },
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

/** Checks a row by its own account, and returns its tokens that are no padding. */
function checkRow(row: Row, data: Dataset): number[] {
  const content: number[] = [];
  const seqLen = row.ids.length;
  const isLast = (n: number) => n + 1 === seqLen || row.starts[n + 1] === n + 1;
  for (let n = 0; n < seqLen; n++) {
    const start = row.starts[n]!;
    expect(start).toBeLessThanOrEqual(n);
    expect(row.starts[start]).toBe(start);
    expect(row.positions[n]).toBe(n - start);
    if (n > start) expect(row.starts[n - 1]).toBe(start);
    if (isLast(n)) expect(row.targets[n]).toBe(NO_TARGET);
    if (row.ids[n] === 0) expect([start, row.targets[n]]).toEqual([n, NO_TARGET]);
    else content.push(row.ids[n]!);
  }
  // The targets are those of the records, one to the left.
  const targetOf = new Map(
    row.records.flatMap((r) => [...data.examples[r]!.ids].map((id, i) => [id, data.examples[r]!.targets[i]!])),
  );
  for (let n = 0; n < seqLen; n++) if (!isLast(n)) expect(row.targets[n]).toBe(targetOf.get(row.ids[n + 1]!));
  for (const id of content) expect(targetOf.has(id)).toBe(true);
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
  ["very long ones", 9, 2000],
  ["single tokens", 50, 1],
])("%s", (_, count, maxLength) => {
  it.each([1, 2, 3, 4])("seed %i: every token once, in segments of one record each", (seed) => {
    for (const seqLen of [1, 7, 32, 256]) {
      for (const shuffle of [true, false]) {
        const data = randomDataset(seed, count, maxLength, ["document", "chat", "completion"]);
        const rows = allRows(data, { ...base, seqLen, shuffle, seed });
        const seen = rows.flatMap((row) => checkRow(row, data));
        const tokens = data.examples.flatMap(({ ids }) => [...ids]);
        expect(seen.toSorted((a, b) => a - b)).toEqual(tokens);
        if (!shuffle) expect(seen).toEqual(tokens);
      }
    }
  });
});

describe("rows of input_ids", () => {
  it("stay alone and in order without shuffling", () => {
    const data = randomDataset(5, 40, 32, ["row"]);
    const rows = allRows(data, { ...base, shuffle: false });
    expect(rows.map(({ records }) => records)).toEqual(data.examples.map((_, i) => [i]));
    for (const [i, row] of rows.entries()) expect(checkRow(row, data)).toEqual([...data.examples[i]!.ids]);
  });

  it("among documents: the order stays, nothing is packed with them", () => {
    const data = randomDataset(6, 60, 20, ["row", "document"]);
    const rows = allRows(data, { ...base, shuffle: false });
    expect(rows.flatMap((row) => checkRow(row, data))).toEqual(data.examples.flatMap(({ ids }) => [...ids]));
    for (const { records } of rows)
      if (records.length > 1) for (const r of records) expect(data.examples[r]!.kind).toBe("document");
  });

  it("longer than a row are refused by name", () => {
    const data = dataset([{ ids: new Int32Array(33), targets: new Int32Array(33), kind: "row" }]);
    expect(() => planBatches(data, base)).toThrow("d.jsonl line 1: input_ids has 33 tokens, more than --seq-len 32");
  });
});

describe("batches", () => {
  const data = randomDataset(8, 200, 40, ["document"]);
  const ids = (rows: Row[]) => rows.map((row) => [...row.ids]);

  it("are pure functions of data, options and step: any of them can be the first", () => {
    const one = planBatches(data, { ...base, epochs: 3 });
    const forward = Array.from({ length: one.steps }, (_, step) => ids(one.batchRows(step)));
    const other = planBatches(data, { ...base, epochs: 3 });
    for (let step = other.steps - 1; step >= 0; step -= 3) expect(ids(other.batchRows(step))).toEqual(forward[step]);
  });

  it("cover every row once an epoch, in another order each, and end with a short one", () => {
    const plan = planBatches(data, { ...base, epochs: 2 });
    expect(plan.steps).toBe(2 * plan.stepsPerEpoch);
    expect(plan.packing.numRows % base.rowsPerStep).not.toBe(0);
    const epoch = (e: number) =>
      Array.from({ length: plan.stepsPerEpoch }, (_, k) => plan.batchRows(e * plan.stepsPerEpoch + k));
    const [first, second] = [epoch(0), epoch(1)];
    expect(first.at(-1)).toHaveLength(plan.packing.numRows % base.rowsPerStep);
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

  it("waste little: under 3 % padding for records of mixed lengths", () => {
    const mixed = randomDataset(9, 2000, 300, ["document"]);
    const { packing } = planBatches(mixed, { ...base, seqLen: 512 });
    const tokens = mixed.examples.reduce((total, { ids }) => total + ids.length, 0);
    expect(1 - tokens / (packing.numRows * 512)).toBeLessThan(0.03);
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
