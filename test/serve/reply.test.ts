import { describe, expect, test } from "vitest";
import { type Delta, openReply, type ReplySettings } from "../../src/serve/reply.js";

interface Read {
  content: string;
  reasoning: string;
  calls: { name: string; arguments: string }[];
}

/** What is told of `text` when it comes in pieces of so many characters. */
function read(text: string, settings: Partial<ReplySettings>, size: number): Read {
  const reply = openReply({ reasoning: "none", tools: [], ...settings });
  const deltas: Delta[] = [];
  for (let at = 0; at < text.length; at += size) deltas.push(...reply.push(text.slice(at, at + size)));
  deltas.push(...reply.end());
  const got: Read = { content: "", reasoning: "", calls: [] };
  for (const delta of deltas) {
    if ("content" in delta) got.content += delta.content;
    else if ("reasoning" in delta) got.reasoning += delta.reasoning;
    else got.calls.push(delta.call.function);
  }
  return got;
}

const TOOLS = { tools: ["look", "send"] };
const call = (name: string, args: object) => ({ name, arguments: JSON.stringify(args) });

const CASES: [name: string, text: string, settings: Partial<ReplySettings>, want: Partial<Read>][] = [
  ["plain text", "a < b <think> c", {}, { content: "a < b <think> c" }],
  [
    "reasoning",
    "<think>\nhm </thin\n</think>\n\nyes",
    { reasoning: "possible" },
    { reasoning: "\nhm </thin\n", content: "yes" },
  ],
  ["reasoning that the prompt opened", "hm</think>yes", { reasoning: "opened" }, { reasoning: "hm", content: "yes" }],
  ["reasoning without end", "hm </thi", { reasoning: "opened" }, { reasoning: "hm </thi", content: "" }],
  ["no reasoning", " <thin", { reasoning: "possible" }, { content: "<thin" }],
  [
    "Qwen's call",
    '<tool_call>\n{"name": "look", "arguments": {"a": 1}}\n</tool_call>',
    TOOLS,
    { content: "", calls: [call("look", { a: 1 })] },
  ],
  [
    "text and two calls",
    'well\n<tool_call>{"name": "look", "arguments": {}}</tool_call>\n' +
      '<tool_call>{"name": "send", "arguments": {"t": "<b>"}}</tool_call>',
    TOOLS,
    { content: "well\n", calls: [call("look", {}), call("send", { t: "<b>" })] },
  ],
  [
    "a call of something else",
    '<tool_call>{"name": "rm"}</tool_call>',
    TOOLS,
    { content: '<tool_call>{"name": "rm"}</tool_call>', calls: [] },
  ],
  ["a call that is cut off", 'x <tool_call>{"name": "lo', TOOLS, { content: 'x <tool_call>{"name": "lo', calls: [] }],
  [
    "Llama 3's call",
    '{"name": "look", "parameters": {"q": "a"}}',
    TOOLS,
    { content: "", calls: [call("look", { q: "a" })] },
  ],
  [
    "two of them",
    '{"name": "look", "parameters": {}}; {"name": "send", "parameters": {}}',
    TOOLS,
    { calls: [call("look", {}), call("send", {})] },
  ],
  ["JSON that is no call", '{"a": 1}', TOOLS, { content: '{"a": 1}', calls: [] }],
  [
    "a call that nobody offered",
    '<tool_call>{"name": "look"}</tool_call>',
    {},
    { content: '<tool_call>{"name": "look"}</tool_call>' },
  ],
  [
    "reasoning, then a call",
    '<think>a</think>\n<tool_call>{"name": "look", "arguments": {}}</tool_call>',
    { ...TOOLS, reasoning: "possible" },
    { reasoning: "a", content: "", calls: [call("look", {})] },
  ],
];

describe.each(CASES)("%s", (_name, text, settings, want) => {
  test.each([1, 2, 3, 7, 1000])("in pieces of %i", (size) => {
    expect(read(text, settings, size)).toMatchObject(want);
  });
});

test("what cannot become a mark is told at once", () => {
  const reply = openReply({ reasoning: "none", ...TOOLS });
  expect(reply.push("hello <b")).toEqual([{ content: "hello <b" }]);
  expect(reply.push("> <tool")).toEqual([{ content: "> " }]);
});
