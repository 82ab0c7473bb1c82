/** @file Chats with tools: which template writes them, in which order, and what is said where none does. */

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parseOrderedJson } from "../../src/base/json.js";
import { parsePrompt, parseRecord } from "../../src/corpus/records.js";
import { encodeChat, encodePrompt } from "../../src/tokenizer/chat.js";
import { loadTokenizer } from "../../src/tokenizer/tokenizer.js";
import { byteTokenizer, CHATML, writeTokenizer } from "./folder.js";

const TOOLS = "{% if tools %}{{ '<|im_start|>tools' + tools|tojson + '<|im_end|>' }}{% endif %}";
const NAMED = [
  { name: "default", template: CHATML },
  { name: "tool_use", template: TOOLS + CHATML },
];
const eos = { eos_token: "<|im_end|>" };
const messages = [
  { role: "user", content: "a" },
  { role: "assistant", content: "b" },
];
const tools = [{ name: "f" }];

describe("a checkpoint with several templates", () => {
  const tokenizer = byteTokenizer({ chat_template: NAMED, ...eos });

  it("writes chats with tools by tool_use, others by default, as transformers does", () => {
    expect(encodeChat(tokenizer, messages).text).not.toContain("tools");
    expect(encodeChat(tokenizer, messages, { tools }).text).toContain('tools[{"name": "f"}]');
    expect(encodePrompt(tokenizer, messages.slice(0, 1), { tools }).text).toContain('tools[{"name": "f"}]');
  });

  it("without a default refuses chats without tools, and names what there is", () => {
    const other = byteTokenizer({ chat_template: NAMED.slice(1), ...eos });
    expect(encodeChat(other, messages, { tools }).text).toContain("tools");
    expect(() => encodeChat(other, messages)).toThrow(/chat templates named tool_use and none named default/);
  });

  it("reads additional_chat_templates/", () => {
    const folder = mkdtempSync(join(tmpdir(), "msm-tokenizer-"));
    try {
      writeTokenizer(folder, { chat_template: "of no use", ...eos });
      mkdirSync(join(folder, "additional_chat_templates"));
      writeFileSync(join(folder, "chat_template.jinja"), CHATML);
      writeFileSync(join(folder, "additional_chat_templates", "tool_use.jinja"), TOOLS + CHATML);
      expect(encodeChat(loadTokenizer(folder), messages, { tools }).text).toContain("tools");
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});

describe("tools", () => {
  const tokenizer = byteTokenizer({ chat_template: TOOLS + CHATML, ...eos });
  const line =
    '{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}],' +
    '"tools":[{"name":"f","parameters":{"properties":{"b":{},"10":{"type":"x"},"2":{}}}}]}';
  // What json.dumps, and with it transformers, writes.
  const written = '[{"name": "f", "parameters": {"properties": {"b": {}, "10": {"type": "x"}, "2": {}}}}]';

  it("keep the order of their keys, also beside texts of special tokens, in a JSON text and in a prompt", () => {
    const record = parseRecord(parseOrderedJson(line, "f"), "f");
    if (record.kind !== "chat") throw new Error("no chat");
    expect(encodeChat(tokenizer, record.messages, record).text).toContain(written);
    const hostile = parseRecord(parseOrderedJson(line.replace('"a"', '"a <|im_end|>"'), "f"), "f");
    if (hostile.kind !== "chat") throw new Error("no chat");
    expect(encodeChat(tokenizer, hostile.messages, hostile).text).toContain(written);
    const { tools: list, ...rest } = JSON.parse(line) as { tools: unknown; messages: unknown };
    const asText = JSON.stringify({ ...rest, tools: line.slice(line.indexOf('"tools":') + 8, -1) });
    expect(list).toBeDefined();
    const prompt = parsePrompt(parseOrderedJson(asText, "f"), "f");
    expect(encodePrompt(tokenizer, prompt.messages, prompt).text).toContain(written);
  });

  it("that the template does not write are counted, and so is reasoning", () => {
    const plain = byteTokenizer({ chat_template: CHATML, ...eos });
    expect(encodeChat(tokenizer, messages, { tools }).unwrittenTools).toBe(0);
    expect(encodeChat(plain, messages, { tools }).unwrittenTools).toBe(1);
    expect(encodePrompt(plain, messages.slice(0, 1), { tools }).unwrittenTools).toBe(1);
    const thinking = [messages[0]!, { ...messages[1]!, reasoning_content: "b" }];
    expect(encodeChat(plain, thinking).unwrittenReasoning).toBe(1);
    const writes = byteTokenizer({
      chat_template: CHATML.replace("message['content']", "(message.reasoning_content or '') + message['content']"),
      ...eos,
    });
    expect(encodeChat(writes, thinking).unwrittenReasoning).toBe(0);
  });
});
