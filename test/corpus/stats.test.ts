/** @file Counts, the check before training, and the preview. */

import { describe, expect, it } from "vitest";
import { planBatches } from "../../src/corpus/batches.js";
import type { Dataset } from "../../src/corpus/dataset.js";
import { type EncodingNotes, encodeRecord, NO_NOTES } from "../../src/corpus/encode.js";
import type { DataRecord } from "../../src/corpus/records.js";
import { checkTrainable, computeStats, formatPreview } from "../../src/corpus/stats.js";
import { byteTokenizer, CHATML } from "../tokenizer/folder.js";

const tokenizer = byteTokenizer({ chat_template: CHATML, eos_token: "<|im_end|>" });

function dataset(...records: DataRecord[]): Dataset {
  const notes: EncodingNotes = { ...NO_NOTES };
  const examples = records.map((record, i) => ({
    ...encodeRecord(record, tokenizer, "f", notes),
    form: "{text}",
    file: 0,
    line: i + 1,
  }));
  return { examples, notes, firstSkipped: null, files: [{ path: "d.jsonl", sha256: "" }], describe: String };
}

const plan = (data: Dataset, seqLen: number) =>
  planBatches(data, { seqLen, rowsPerStep: 1, epochs: 1, shuffle: false, seed: 0 });
const chat: DataRecord = {
  kind: "chat",
  firstTarget: 0,
  messages: [
    { role: "user", content: "hi" },
    { role: "assistant", content: "yo\x1b[31m<|im_end|>" },
  ],
};

describe("computeStats", () => {
  it("counts tokens, targets, splits and padding", () => {
    const data = dataset({ kind: "document", text: "abcdefghijklmno" }, { kind: "document", text: "xyz" });
    const stats = computeStats(data, plan(data, 8).packing);
    // 16 tokens are two rows; the first token of a record, and of the second piece, is no target.
    expect(stats).toMatchObject({ records: 2, tokens: 20, targetTokens: 17, rows: 3, splitRecords: 1, lostTargets: 1 });
    expect(stats.paddingShare).toBeCloseTo(4 / 24);
    expect(stats.lengths).toEqual([
      { over: 2, records: 1 },
      { over: 8, records: 1 },
    ]);
  });

  it("counts exactly the targets of the rows", () => {
    const data = dataset(
      chat,
      { kind: "document", text: "a longer text that is split" },
      { kind: "completion", prompt: "p", completion: "c" },
    );
    const { packing, batchRows, steps } = plan(data, 10);
    let targets = 0;
    for (let step = 0; step < steps; step++)
      for (const row of batchRows(step)) targets += row.targets.filter((t) => t >= 0).length;
    expect(computeStats(data, packing).targetTokens).toBe(targets);
    expect(computeStats(data, packing).specialTextsInContent).toBe(1);
  });
});

describe("checkTrainable", () => {
  it("accepts what ends somewhere, and rows as they are", () => {
    checkTrainable(dataset(chat), tokenizer);
    checkTrainable(dataset({ kind: "document", text: "a" }), tokenizer);
    checkTrainable(dataset({ kind: "row", ids: [1, 2], labels: undefined }), tokenizer);
  });

  it("refuses data in which no end is a target, and data without targets", () => {
    const data = dataset(chat);
    const endless = {
      ...data,
      examples: data.examples.map((e) => ({
        ...e,
        targets: e.targets.map((t) => (tokenizer.specialIds.has(t) ? -100 : t)),
      })),
    };
    expect(() => checkTrainable(endless, tokenizer)).toThrow(
      /d\.jsonl: no end-of-text or end-of-turn token \(<\|endoftext\|>, <\|im_end\|>\) is ever a target/,
    );
    expect(() => checkTrainable(dataset({ kind: "row", ids: [1, 2], labels: [1, -100] }), tokenizer)).toThrow(
      "no token is a target",
    );
  });
});

describe("formatPreview", () => {
  const row = plan(dataset(chat, { kind: "document", text: "ab" }), 64).batchRows(0)[0]!;

  it("marks targets and shows what could deceive a terminal", () => {
    expect(formatPreview(row, tokenizer, { color: false })).toBe(
      "<|im_start|>user⏎\nhi<|im_end|>⏎\n" +
        "<|im_start|>assistant⏎\n⟦yo\\u{1b}[31m<|im_end|><|im_end|>⟧⏎\n\n|\na⟦b<|endoftext|>⟧",
    );
    expect(formatPreview(row, tokenizer, { color: true })).toContain("\x1b[32myo\\u{1b}[31m");
    expect(formatPreview(row, tokenizer, { color: false, maxTokens: 2 })).toBe("<|im_start|>u ...");
  });
});
