/** @file Records as tokens and targets. */

import { describe, expect, it } from "vitest";
import { type EncodingNotes, encodeRecord, NO_NOTES, NO_TARGET } from "../../src/corpus/encode.js";
import type { DataRecord } from "../../src/corpus/records.js";
import { byteTokenizer, CHATML } from "../tokenizer/folder.js";

const tokenizer = byteTokenizer({ chat_template: CHATML, eos_token: "<|im_end|>" });
const noNotes = (): EncodingNotes => ({ ...NO_NOTES });
const encode = (record: DataRecord, notes = noNotes()) => encodeRecord(record, tokenizer, "f line 1", notes);
/** The targets as text, "_" for each token that is none. */
const shown = ({ ids, targets }: ReturnType<typeof encode>) =>
  Array.from(ids, (_, n) => (targets[n] === NO_TARGET ? "_" : tokenizer.tokenText(targets[n]!))).join("");

describe("encodeRecord", () => {
  it("document: all tokens and one end-of-text token, not the end of a turn", () => {
    const example = encode({ kind: "document", text: "abc" });
    expect(tokenizer.decode(example.ids)).toBe("abc<|endoftext|>");
    expect(example.targets).toEqual(example.ids);
  });

  it("document: one that ends in the end-of-text token gets no second one", () => {
    expect(tokenizer.decode(encode({ kind: "document", text: "abc<|endoftext|>" }).ids)).toBe("abc<|endoftext|>");
    expect(tokenizer.decode(encode({ kind: "document", text: "a<|endoftext|>b" }).ids)).toBe(
      "a<|endoftext|>b<|endoftext|>",
    );
    expect(shown(encode({ kind: "completion", prompt: "a", completion: "b<|endoftext|>" }))).toBe("_b<|endoftext|>");
  });

  it("document: text of special tokens is read as the tokenizer reads it, and counted", () => {
    const notes = noNotes();
    const { ids } = encode({ kind: "document", text: "a<|im_end|>b" }, notes);
    expect(ids).toHaveLength(4);
    expect(notes.specialTokensInText).toBe(1);
  });

  it("chat: assistant turns with their end-of-turn token", () => {
    const messages = [
      { role: "user", content: "a" },
      { role: "assistant", content: "bc" },
    ];
    expect(shown(encode({ kind: "chat", messages, firstTarget: 0 }))).toMatch(/^_+bc<\|im_end\|>_$/);
  });

  it("chat: a message of weight 0 is none", () => {
    const turn = (content: string) => [
      { role: "user", content: "q" },
      { role: "assistant", content },
    ];
    const messages = [...turn("x"), ...turn("y")];
    expect(shown(encode({ kind: "chat", messages, firstTarget: 0, untrained: [1] }))).toMatch(/^_+y<\|im_end\|>_$/);
    expect(shown(encode({ kind: "chat", messages, firstTarget: 0, untrained: [1, 3] }))).toMatch(/^_+$/);
  });

  it("chat from prompt and completion: only turns of the completion", () => {
    const turn = (content: string) => [
      { role: "user", content: "q" },
      { role: "assistant", content },
    ];
    const messages = [...turn("x"), ...turn("y")];
    expect(shown(encode({ kind: "chat", messages, firstTarget: 2 }))).toMatch(/^_+y<\|im_end\|>_$/);
  });

  it("prompt and completion: one text, the completion and end-of-text are targets", () => {
    const example = encode({ kind: "completion", prompt: "ab", completion: "cd" });
    expect(tokenizer.decode(example.ids)).toBe("abcd<|endoftext|>");
    expect(shown(example)).toBe("__cd<|endoftext|>");
    // "h" and "e" are one token: it holds a part of the completion.
    expect(shown(encode({ kind: "completion", prompt: "ah", completion: "ed" }))).toBe("_hed<|endoftext|>");
  });

  it("row: used as it is", () => {
    const row = encode({ kind: "row", ids: [5, 6, 7], labels: [NO_TARGET, 9, 7] });
    expect([...row.ids]).toEqual([5, 6, 7]);
    expect([...row.targets]).toEqual([NO_TARGET, 9, 7]);
    expect([...encode({ kind: "row", ids: [5, 6], labels: undefined }).targets]).toEqual([5, 6]);
  });
});
