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
    // ShareGPT, and conversations of role and content.
    [
      {
        conversations: [
          { from: "system", value: "s" },
          { from: "human", value: "a" },
          { from: "gpt", value: "b", weight: 0 },
          { from: "function", value: "c" },
          { from: "gpt", value: "d" },
        ],
      },
      {
        kind: "chat",
        messages: [
          { role: "system", content: "s" },
          ...chat,
          { role: "tool", content: "c" },
          { role: "assistant", content: "d" },
        ],
        firstTarget: 0,
        untrained: [2],
      },
    ],
    [
      { conversations: chat, system: "s" },
      { kind: "chat", messages: [{ role: "system", content: "s" }, ...chat], firstTarget: 0 },
    ],
    [
      { instruction: "a", input: "", output: "b", system: null },
      { kind: "chat", messages: chat, firstTarget: 0 },
    ],
    [
      { instruction: "a", input: "x", output: "b" },
      { kind: "chat", messages: [{ role: "user", content: "a\nx" }, chat[1]], firstTarget: 0 },
    ],
    [
      { prompt: "a", response: "b" },
      { kind: "chat", messages: chat, firstTarget: 0 },
    ],
    // Loss masks.
    [
      {
        messages: [
          { ...chat[0], weight: 1 },
          { ...chat[1], train: false },
          { ...chat[1], weight: 1, train: true },
        ],
      },
      { kind: "chat", messages: [...chat, chat[1]], firstTarget: 0, untrained: [1], markedInVain: 1 },
    ],
    [
      { input_ids: [5, 6, 7, 8, 9, 10], completion_mask: [0, 0, 0, 0, 1, 1], attention_mask: [1, 1, 1, 1, 1, 1] },
      { kind: "row", ids: [5, 6, 7, 8, 9, 10], labels: [-100, -100, -100, -100, 9, 10] },
    ],
    [
      { input_ids: [5, 6, 7], completion_mask: [0, 1, 1], assistant_masks: [true, false, true], labels: [5, 6, 7] },
      { kind: "row", ids: [5, 6, 7], labels: [-100, -100, 7] },
    ],
    [
      { input_ids: [0, 5, 6, 0], attention_mask: [0, 1, 1, 0], labels: [-100, 5, 6, -100] },
      { kind: "row", ids: [5, 6], labels: [5, 6] },
    ],
    // What Arrow makes of nested lists, and lists that are empty.
    [
      { messages: [chat[0], { ...chat[1], tool_calls: [] }], tools: '[{"name":"f"}]', chat_template_kwargs: '{"a":1}' },
      { kind: "chat", messages: chat, firstTarget: 0, tools: [{ name: "f" }], templateOptions: { a: 1 } },
    ],
    [
      { messages: chat, tools: ['{"name":"f"}'], chat_template_kwargs: null },
      { kind: "chat", messages: chat, firstTarget: 0, tools: [{ name: "f" }] },
    ],
    [
      { messages: chat, tools: "" },
      { kind: "chat", messages: chat, firstTarget: 0 },
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
    [{ input_ids: [1, 2], completion_mask: [1] }, /completion_mask must be a list as long as input_ids \(2\)/],
    [{ input_ids: [1, 2], assistant_masks: [1, 2] }, /assistant_masks\[1\] = 2 is neither 0 nor 1/],
    [{ input_ids: [1, 2], loss_mask: [0, 1] }, /"loss_mask" beside input_ids is not known.*completion_mask/],
    [{ input_ids: [1, 2, 3], attention_mask: [1, 0, 1] }, /attention_mask\[1\] is 0 between tokens/],
    [{ input_ids: [1, 2], attention_mask: [0, 0] }, /attention_mask is 0 everywhere/],
    [{ input_ids: [1, 2], position_ids: [0, 0] }, /position_ids says that input_ids \(2\) are several sequences/],
    [{ input_ids: [1, 2], seq_lengths: [1, 1] }, /seq_lengths says/],
    [{ messages: [{ ...chat[1], weight: 0.5 }] }, /messages\[0\]: weight is 0.5; 0 \(no target\) and 1/],
    [{ messages: [{ ...chat[1], train: "no" }] }, /messages\[0\]: train is "no"; it must be true or false/],
    [{ messages: [{ ...chat[1], train: true, weight: 0 }] }, /weight 0 and train true contradict/],
    [{ conversations: [{ from: "narrator", value: "a" }] }, /from is "narrator"; known are human/],
    [{ conversations: [{ from: "gpt" }] }, /conversations\[0\]: content is missing/],
    [{ conversations: chat, messages: chat }, /has \{messages\} and \{conversations\}; exactly one/],
    [{ messages: [{ role: "system", content: "x" }, ...chat], system: "y" }, /has a system text and another one/],
    [{ instruction: "a", output: "b", history: [["c", "d"]] }, /history is not implemented/],
    [{ instruction: "a", output: 5 }, /output must be a text, not a number/],
    [{ prompt: "a", response: chat }, /prompt and response must be two texts or two lists/],
    [{ messages: chat, tools: "get_weather" }, /tools is not valid JSON/],
  ])("refuses %j", (value, why) => {
    expect(() => parseRecord(value, "f line 9")).toThrow(why);
    expect(() => parseRecord(value, "f line 9")).toThrow(/^f line 9: /);
  });
});
