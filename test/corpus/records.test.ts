/** @file The forms of records, and what is wrong with others. */

import { describe, expect, it } from "vitest";
import { parseRecord } from "../../src/corpus/records.js";

const chat = [
  { role: "user", content: "a" },
  { role: "assistant", content: "b" },
];

describe("parseRecord", () => {
  it.each([
    [
      { text: "a", source: "s", domain: "d", more: 1 },
      { kind: "document", text: "a", source: "s", domain: "d" },
    ],
    [
      { text: "", messages: null },
      { kind: "document", text: "" },
    ],
    [
      { messages: chat, source: "x" },
      { kind: "chat", messages: chat, firstTarget: 0 },
    ],
    [
      { prompt: "the prompt of the chat", messages: chat },
      { kind: "chat", messages: chat, firstTarget: 0 },
    ],
    [
      { prompt: "a", completion: "b" },
      { kind: "completion", prompt: "a", completion: "b" },
    ],
    [
      { prompt: chat.slice(0, 1), completion: chat.slice(1) },
      { kind: "chat", messages: chat, firstTarget: 1 },
    ],
    [{ input_ids: [1, 2] }, { kind: "row", ids: [1, 2], labels: undefined }],
    [
      { input_ids: [1, 2], labels: [-100, 2] },
      { kind: "row", ids: [1, 2], labels: [-100, 2] },
    ],
    [
      { messages: [{ role: "user", content: [{ type: "text", text: "a" }, "b"], name: null }], tools: [] },
      { kind: "chat", messages: [{ role: "user", content: "ab" }], firstTarget: 0 },
    ],
    [
      {
        messages: [{ role: "assistant", content: null, tool_calls: [{ name: "f" }] }],
        tools: [{}],
        chat_template_kwargs: { a: 1 },
      },
      {
        kind: "chat",
        messages: [{ role: "assistant", content: null, tool_calls: [{ name: "f" }] }],
        firstTarget: 0,
        tools: [{}],
        templateOptions: { a: 1 },
      },
    ],
  ])("%j", (value, expected) => expect(parseRecord(value, "f line 1")).toEqual(expected));

  it.each([
    [[1], /must be a JSON object/],
    [null, /must be a JSON object/],
    [{ content: "a" }, /keys \["content"\] match no form/],
    [{ text: "a", messages: chat }, /has \{text\} and \{messages\}; exactly one/],
    [{ text: 5 }, /text must be a text, not a number/],
    [{ messages: {} }, /messages must be a list/],
    [{ messages: [] }, /messages must be a list/],
    [{ messages: ["hi"] }, /messages\[0\] must be \{role, content\}, not a string/],
    [{ messages: [{ content: "a" }] }, /messages\[0\]: role must be a text, not absent/],
    [{ messages: [{ role: "user" }] }, /messages\[0\]: content is missing/],
    [{ messages: [{ role: "user", content: 5 }] }, /messages\[0\]: content must be a text, not a number/],
    [{ messages: [{ role: "user", content: [{ type: "image" }] }] }, /content\[0\] is no text part/],
    [{ messages: chat, tools: {} }, /tools must be a list/],
    [{ messages: chat, tools: [{ max: 2 ** 53 }] }, /tools\[0\]\.max: 9007199254740992 is too large for an exact/],
    [
      { messages: [{ role: "assistant", content: "", tool_calls: [{ arguments: { id: 2 ** 60 } }] }] },
      /messages\[0\]\.tool_calls\[0\]\.arguments\.id: \d+ is too large for an exact number; write it as a text/,
    ],
    [{ prompt: "a", completion: chat }, /two texts or two lists/],
    [{ input_ids: [] }, /input_ids must be a list/],
    [{ input_ids: [1, -1] }, /input_ids\[1\] = -1 is no token id/],
    [{ input_ids: [1, 2.5] }, /input_ids\[1\] = 2.5 is no token id/],
    [{ input_ids: [1], labels: [] }, /labels must be a list as long as input_ids \(1\)/],
    [{ input_ids: [1], labels: [-1] }, /labels\[0\] = -1 is neither/],
  ])("refuses %j", (value, why) => {
    expect(() => parseRecord(value, "f line 9")).toThrow(why);
    expect(() => parseRecord(value, "f line 9")).toThrow(/^f line 9: /);
  });
});
