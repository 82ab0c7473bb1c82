import { describe, expect, test } from "vitest";
import { packagePath } from "../../src/base/package.js";
import { continuationText, cutAtStop, openTextStream } from "../../src/chat/continuation.js";
import { loadTokenizer } from "../../src/tokenizer/tokenizer.js";
import { sharedModel } from "../shared.js";

const bytes = loadTokenizer(packagePath("models", "miniature"));
const stories = sharedModel("stories260k");

function stream(ids: number[], stops: string[] = []): string[] {
  const { push, end } = openTextStream(bytes, [], stops);
  return [...ids.map(push), end()];
}

describe("text as it comes", () => {
  test("half characters wait for the other half", () => {
    const ids = bytes.encode("é€😀x");
    expect(ids.length).toBe(2 + 3 + 4 + 1);
    expect(stream(ids)).toEqual(["", "é", "", "", "€", "", "", "", "😀", "x", ""]);
  });

  test("bytes that are no character come at the end", () => {
    const ids = bytes.encode("a€").slice(0, -1);
    expect(stream(ids).join("")).toMatch(/^a\ufffd+$/);
    expect(stream(ids)[0]).toBe("a");
  });

  test("nothing of a stop string, nor of what may become one", () => {
    const ids = bytes.encode("xaab!aabc");
    expect(stream(ids, ["aabc"])).toEqual(["x", "", "", "", "aab!", "", "", "", "", ""]);
    expect(stream(bytes.encode("xaab"), ["aabc"]).join("")).toBe("xaab");
    expect(stream(bytes.encode("one\n\ntwo"), ["\n\n", "tw"]).join("")).toBe("one");
  });

  test("special tokens are left out", () => {
    expect(stream(bytes.encode("the colby<|end|>")).join("")).toBe("the colby");
  });

  test("all pieces together are the whole text", () => {
    const text = "the colby, 你好 — naïve 😀😀 café";
    expect(stream(bytes.encode(text), ["zzz", "caféx"]).join("")).toBe(text);
  });
});

test("cut at the first stop string", () => {
  expect(cutAtStop("one two three", ["three", "two"])).toBe("one ");
  expect(cutAtStop("one", [])).toBe("one");
});

test.skipIf(!stories)("the space before a continuation is shown, that of a text's beginning is not", () => {
  const tokenizer = loadTokenizer(stories!);
  const all = tokenizer.encode("Once upon a time");
  const prompt = tokenizer.encode("Once upon");
  expect(all.slice(0, prompt.length)).toEqual(prompt);
  expect(continuationText(tokenizer, prompt, all.slice(prompt.length))).toBe(" a time");
  const { before } = tokenizer.surround;
  expect(continuationText(tokenizer, before, all.slice(before.length))).toBe("Once upon a time");
});
