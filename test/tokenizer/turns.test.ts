/** @file Turns of plain added tokens, calls of tools, and loops of templates. */

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { encodeChat, renderChat } from "../../src/tokenizer/chat.js";
import type { Message } from "../../src/tokenizer/spans.js";
import { compileTemplate } from "../../src/tokenizer/template.js";
import { loadTokenizer } from "../../src/tokenizer/tokenizer.js";
import { temporaryFolder } from "../formats/folder.js";
import { BYTES, byteTokenizer, CHATML, writeTokenizer } from "./folder.js";

/** The byte-level tokenizer where these added tokens are not special. */
function withOrdinary(texts: string[], config: Record<string, unknown>) {
  const folder = temporaryFolder();
  writeTokenizer(folder, config);
  const json = JSON.parse(readFileSync(BYTES, "utf8"));
  for (const token of json.added_tokens) if (texts.includes(token.content)) token.special = false;
  let id = Math.max(...json.added_tokens.map((token: { id: number }) => token.id));
  const known = new Set(json.added_tokens.map(({ content }: { content: string }) => content));
  for (const content of texts) {
    const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: false };
    if (!known.has(content)) json.added_tokens.push({ id: ++id, content, ...flags });
  }
  writeFileSync(join(folder, "tokenizer.json"), JSON.stringify(json));
  return loadTokenizer(folder);
}

const targets = ({ text, spans }: ReturnType<typeof encodeChat>) => spans.map(({ from, to }) => text.slice(from, to));
const question: Message = { role: "user", content: "q" };
const answer: Message = { role: "assistant", content: "a" };

describe("turns of added tokens that are not special", () => {
  const chatml = () => withOrdinary(["<|im_start|>", "<|im_end|>", "<think>", "</think>"], { chat_template: CHATML });

  it("end with the token that the template writes after an answer", () => {
    const tokenizer = chatml();
    expect(targets(encodeChat(tokenizer, [question, answer]))).toEqual(["a<|im_end|>"]);
    expect(tokenizer.tokenText(tokenizer.endOfTurnId!)).toBe("<|im_end|>");
  });

  it("cannot be ended by contents, which may hold tokens of other use", () => {
    const tokenizer = chatml();
    const chat = encodeChat(tokenizer, [question, { role: "assistant", content: "<think>b</think>c<|im_end|>" }]);
    const count = (text: string) => chat.ids.filter((id) => id === tokenizer.tokenId(text)).length;
    expect([count("<|im_end|>"), count("<think>"), count("</think>")]).toEqual([2, 1, 1]);
    expect(chat.specialTextsInContent).toBe(1);
    expect(targets(chat)).toEqual(["<think>b</think>c<|im_end|><|im_end|>"]);
  });

  const open = "{% for m in messages %}{{ (m.role == 'user' and '<|User|>' or '<|Bot|>') + m.content }}";
  it("begin after the token that the generation prompt shares with them", () => {
    const chat_template =
      `${open}{% if m.role != 'user' %}<|im_end|>{% endif %}{% endfor %}{% if ` +
      `add_generation_prompt %}<|Bot|><think>\n{% endif %}`;
    const tokenizer = withOrdinary(["<|User|>", "<|Bot|>", "<think>", "</think>"], { chat_template });
    expect(targets(encodeChat(tokenizer, [question, answer, question, answer]))).toEqual([
      "a<|im_end|>",
      "a<|im_end|>",
    ]);
  });

  it("are refused where only a closing mark of a part of the turn follows", () => {
    const chat_template = `${open}</think>{% endfor %}{% if add_generation_prompt %}<|Bot|>{% endif %}`;
    const tokenizer = withOrdinary(["<|User|>", "<|Bot|>", "<think>", "</think>"], { chat_template });
    expect(() => encodeChat(tokenizer, [question, answer])).toThrow(/no end-of-turn token.*"special": true/);
  });
});

describe("a call of a tool without content", () => {
  const call: Message = { role: "assistant", content: null, tool_calls: [{ function: { name: "f", arguments: {} } }] };
  const encode = (body: string) =>
    encodeChat(
      byteTokenizer({
        chat_template:
          `{% for m in messages %}<|im_start|>{{ m.role }}\n${body}<|im_end|>\n{% endfor %}` +
          "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
      }),
      [question, call],
    );
  const CALLS = "{% for c in m.tool_calls or [] %}CALL {{ c.function.name }}{% endfor %}";

  it.each([
    ["none for the template", `{% if m.content is none %}${CALLS}{% else %}{{ m.content }}{% endif %}`, "CALL f", 0],
    ["empty where none is refused", `{{ m.content + '' }}${CALLS}`, "CALL f", 0],
    ["empty where none would be written", `{{ m.content ~ '' }}${CALLS}`, "CALL f", 0],
    ["empty where none would be written as JSON", `{{ m.content | string }}${CALLS}`, "CALL f", 0],
    ["counted where the call is not written", "{{ m.content or '' }}", "", 1],
  ])("is %s", (_, body, text, unwrittenCalls) => {
    const chat = encode(body);
    expect(targets(chat)).toEqual([`${text}<|im_end|>`]);
    expect(chat.unwrittenCalls).toBe(unwrittenCalls);
  });

  it("is rendered alike in a prompt", () => {
    const tokenizer = byteTokenizer({ chat_template: CHATML });
    expect(renderChat(tokenizer, [call])).toBe("<|im_start|>assistant\n<|im_end|>\n");
  });
});

/** Expected: what Jinja2 3.1 renders, with its loopcontrols extension. */
describe("continue and break keep what the round wrote before", () => {
  it.each([
    ["{% for i in range(4) %}a{% if i == 1 %}b{% continue %}c{% endif %}{{ i }}{% endfor %}", "a0aba2a3"],
    ["{% for i in range(4) %}a{% if i == 1 %}b{% break %}c{% endif %}{{ i }}{% endfor %}.", "a0ab."],
    [
      "{% for i in range(3) %}{{ i }}{% if i > 0 %}{% if i > 1 %}x{% break %}{% endif %}y{% continue %}{% endif " +
        "%}z{% endfor %}",
      "0z1y2x",
    ],
    [
      "{% for i in range(2) %}{% for k in range(3) %}{{ k }}{% if k == i %}{% break %}{% endif %}-{% endfor " +
        "%};{% endfor %}",
      "0;0-1;",
    ],
  ])("%s", (template, text) => {
    expect(compileTemplate(template, "t", {}).render({})).toBe(text);
  });

  it("or the template is refused", () => {
    const template = "{% for i in range(2) %}{% set x %}a{% continue %}{% endset %}{% endfor %}";
    expect(() => compileTemplate(template, "t", {})).toThrow("break or continue inside set is not supported");
  });
});
