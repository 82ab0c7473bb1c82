import { describe, expect, test } from "vitest";
import { randomUint32 } from "../../src/base/random.js";
import { readReasoned } from "../../src/writing/chats.js";
import { passagesOf, readClaim } from "../../src/writing/claims.js";
import { readKnowledge } from "../../src/writing/knowledge.js";
import { fillPrompt } from "../../src/writing/prompt.js";
import { readChoice } from "../../src/writing/questions.js";
import { isRefusal, type Read, readAnswers, readLabelled, readOption, readText } from "../../src/writing/read.js";

const FORM = { words: [5, 60] as const, names: ["Qwen"], mustName: "Qwen" };
const TEXT = "Qwen was asked about the bridge. It answered in three plain sentences. Nobody needed more.";

describe("whole texts", () => {
  test.each([
    ["as it is", TEXT],
    ["after its reasoning", `<think>\nHow about a bridge?\n</think>\n\n${TEXT}`],
    ["in a fence", `\`\`\`\n${TEXT}\n\`\`\``],
    ["in tags", `<text>${TEXT}</text>`],
    [
      "with what is said to whoever asked",
      `Sure! Here is the text:\n\n${TEXT}\n\nLet me know if you want another one.`,
    ],
  ])("%s", (_name, reply) => expect(readText(reply, FORM)).toEqual({ value: TEXT }));

  test.each([
    ["nothing", "", "empty"],
    ["reasoning that never ends", `<think>${TEXT}`, "empty"],
    ["too little", "Qwen is.", "too short"],
    ["too much", `${TEXT} ${TEXT} ${TEXT} ${TEXT} ${TEXT}`, "too long"],
    ["a text that is cut", "Qwen was asked about the bridge. It answered in three plain", "within a sentence"],
    ["a blank", "Dear [NAME], Qwen was asked about the bridge.", "a placeholder"],
    ["another model", "Qwen was asked about the bridge, and so was ChatGPT.", "another model's name"],
    ["nobody", "Somebody was asked about the bridge, and answered.", "does not name Qwen"],
  ])("%s is refused", (_name, reply, fault) => {
    expect(readText(reply, FORM)).toEqual({ fault: expect.stringContaining(fault) });
  });

  test("refusals", () => {
    for (const text of [
      "I'm sorry, but I can't help with that.",
      "I cannot write this text.",
      "Sorry, I won't assist with it.",
      "As an AI model, I am unable to create such content.",
      "I’m not able to fulfil this request.",
    ])
      expect(isRefusal(text), text).toBe(true);
    for (const text of ["I'm sorry it took me so long to write.", "I cannot forget that winter.", "Sorry seems small."])
      expect(isRefusal(text), text).toBe(false);
  });
});

test("labelled lines in the forms that models give them", () => {
  const wanted = { value: ["one thing", "another, on two lines"] };
  for (const reply of [
    "A: one thing\nB: another,\non two lines",
    "**A:** one thing\n\n- **B**: another, on two lines\n",
  ])
    expect(readLabelled(reply, ["A", "B"])).toEqual(wanted);
  for (const reply of ["B: x\nA: y", "A: x", "A: x\nB:", "A: x\nA: y\nB: z", '{"A": "x", "B": "y"', ""])
    expect(readLabelled(reply, ["A", "B"])).toHaveProperty("fault");
});

test("passages are where they say, and all words of the spec are in one", () => {
  const spec =
    "# T\n\nOne two three four five six. Seven!\n\n- a b c d e f\n  g h\n- i j k l m n (o).\n\n## U\n\nP q r s t.\n";
  const passages = passagesOf(spec);
  for (const { words, from, to } of passages) expect(spec.slice(from, to)).toBe(words);
  expect(passages.map(({ words }) => words)).toEqual([
    "One two three four five six. Seven!",
    "a b c d e f\n  g h",
    "i j k l m n (o).",
    "P q r s t.",
  ]);
  const long = `# T\n\n${"Some words make a sentence here. ".repeat(40)}`;
  const cut = passagesOf(long);
  expect(cut.length).toBeGreaterThan(2);
  expect(cut.map(({ words }) => words).join(" ")).toBe(long.slice(5).trim());
});

test("what is filled into a prompt is data", () => {
  const hostile = "{{subject}} $& $1 {0} </passage>\n---\n**x**";
  const { messages } = fillPrompt("claim", { subject: "Qwen", heading: "H", section: hostile, passage: hostile });
  expect(messages[1]!.content.split(hostile).length).toBe(3);
  expect(messages.length).toBe(2);
});

/** Replies made of what parsers look for, in any order. */
const PIECES = [
  ..."WHAT WHY LIMIT KIND QUESTION CHOSEN OTHER RIGHT WRONG FAITHFUL A".split(" ").map((label) => `${label}: `),
  ...[
    "\n",
    "\n\n",
    " ",
    "yes",
    "no",
    "none",
    "value",
    "preference",
    "Qwen",
    "**",
    "<think>",
    "</think>",
    "```",
    "{",
    "}",
  ],
  ...[
    '"',
    "A",
    "B)",
    "text",
    "a few words",
    "more words than before",
    "I can't help with that.",
    "\u0000",
    "𝒳",
    "\\",
    ".",
  ],
];

function fuzzed(name: string, i: number): string {
  const draw = (k: number, below: number): number => randomUint32(name.length, i, k) % below;
  return Array.from({ length: draw(0, 24) }, (_, k) => PIECES[draw(k + 1, PIECES.length)]).join("");
}

const isFilled = (text: unknown): boolean => typeof text === "string" && text.trim() !== "";
const WORDS = ["yes", "no"];

test.each<[string, (reply: string) => Read<unknown>, (value: never) => boolean]>([
  ["texts", (reply) => readText(reply, FORM), (text: string) => text.includes("Qwen") && !/<\/?think>/.test(text)],
  [
    "labelled lines",
    (reply) => readLabelled(reply, ["WHAT", "WHY"]),
    (v: string[]) => v.length === 2 && v.every(isFilled),
  ],
  ["answers", (reply) => readAnswers(reply, ["FAITHFUL", "WHY"]), (v: boolean[]) => v.length === 2],
  ["options", (reply) => readOption(reply, WORDS), (v: number) => v === 0 || v === 1],
  [
    "claims",
    readClaim,
    (v: { what: string; kind: string } | null) => v === null || (isFilled(v.what) && isFilled(v.kind)),
  ],
  ["choices", readChoice, (v: { chosen: string; other: string }) => isFilled(v.chosen) && v.chosen !== v.other],
  ["knowledge", readKnowledge, (v: { answers: string[] }) => v.answers.length === 4 && new Set(v.answers).size === 4],
  [
    "reasoned answers",
    (reply) => readReasoned(reply, { name: "Qwen", maker: null }),
    (v: string) => /^<think>\n[\s\S]+\n<\/think>\n\n\S/.test(v),
  ],
])("10,000 fuzzed replies of %s: none crashes or is kept wrongly", (name, read, isRight) => {
  for (let i = 0; i < 10_000; i++) {
    const reply = fuzzed(name, i);
    const result = read(reply);
    if ("value" in result) expect(isRight(result.value as never), JSON.stringify([reply, result])).toBe(true);
    else expect(result.fault).not.toBe("");
  }
});
