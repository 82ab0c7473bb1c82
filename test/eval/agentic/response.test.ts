import { describe, expect, test } from "vitest";
import { randomUint32 } from "../../../src/base/random.js";
import { parseMarkup } from "../../../src/chat/markup.js";
import { withoutReasoning } from "../../../src/chat/reasoning.js";
import { readActions } from "../../../src/eval/agentic/response.js";

const BLOCK = '<action name="cancel_alert">\nAlert: R-1\nReason: none\n</action>';

const hasStrayEnd = (text: string): boolean => parseMarkup(text, ({ name }) => name === "action").strayEnds.length > 0;

/** How many blocks are executed and how many unclear. */
function counts(text: string): [executed: number, unclear: number] {
  const { executed, unclear } = readActions(text);
  return [executed.length, unclear.length];
}

describe("which blocks take effect", () => {
  test.each<[string, string, [number, number]]>([
    ["a block alone", BLOCK, [1, 0]],
    ["between lines of prose", `I do it.\n\n${BLOCK}\nDone.`, [1, 0]],
    ["two, one after the other", `${BLOCK}${BLOCK}`, [2, 0]],
    ["in other capitals, indented", `  ${BLOCK.replaceAll("action", "ACTION")}  \n`, [1, 0]],
    ["with carriage returns", BLOCK.replaceAll("\n", "\r\n"), [1, 0]],
    ["after reasoning, on its line", `<think>Hm.</think>${BLOCK}`, [1, 0]],
    ["without body", '<action name="cancel_alert" alert="R-1"/>', [1, 0]],
    ["inside reasoning", `<scratchpad>${BLOCK}</scratchpad>\nNo.`, [0, 0]],
    ["inside reasoning without end", `<think>\n${BLOCK}`, [0, 1]],
    ["above a closing tag without opening", `${BLOCK}\n</think>\nNo.`, [0, 1]],
    ["in a code block", `\`\`\`xml\n${BLOCK}\n\`\`\``, [0, 0]],
    ["after a fence without partner, which is only a mark", `~~~\n${BLOCK}`, [1, 0]],
    ["after a code block", `\`\`\`\ncode\n\`\`\`\n${BLOCK}`, [1, 0]],
    ["after a longer fence inside a code block", `\`\`\`\`\n\`\`\`\n${BLOCK}\n\`\`\`\`\n`, [0, 0]],
    ["in inline code", `I could write \`${BLOCK.replaceAll("\n", " ")}\` here.`, [0, 0]],
    ["after a lone backtick", `It's \` odd.\n\n${BLOCK}`, [1, 0]],
    ["in quoted lines", BLOCK.replace(/^/gm, "> "), [0, 0]],
    ["in quotation marks", `They want "${BLOCK}" of me.`, [0, 0]],
    ["in a line of prose", `I write ${BLOCK}\n`, [0, 1]],
    ["with prose behind it", `${BLOCK} and so on`, [0, 1]],
    ["without end", BLOCK.replace("</action>", ""), [0, 1]],
    ["cut off by one in the middle of a line", `${BLOCK.replace("</action>", "and")} ${BLOCK}`, [0, 2]],
    ["two openings and one end: nobody can tell whose", `${BLOCK.replace("</action>", "")}${BLOCK}`, [0, 2]],
    ["no block at all", "<actions> </action> action", [0, 0]],
  ])("%s", (_name, text, expected) => expect(counts(text)).toEqual(expected));
});

test("fields are the attributes and the first lines, the rest is the body", () => {
  const { executed } = readActions(
    `<action name='Send' priority=high>\n\n**To:** a@x.example, b@x.example\nCC: c@x.example\nSubject: On: ` +
      `time\n\nTo: d@y.example\nLast line\n</action>`,
  );
  expect(executed[0]!.name).toBe("send");
  expect([...executed[0]!.fields]).toEqual([
    ["name", ["Send"]],
    ["priority", ["high"]],
    ["to", ["a@x.example, b@x.example"]],
    ["cc", ["c@x.example"]],
    ["subject", ["On: time"]],
  ]);
  expect(executed[0]!.body).toBe("To: d@y.example\nLast line");
});

test.each([
  ["<think>a</think> b", "b"],
  ["a</scratchpad>b", "b"],
  ["<think>a", ""],
  ["x <thinking>a</thinking> y <think>b</think> z", "x  y  z"],
  ["plain", "plain"],
])("%j without its reasoning is %j", (text, answer) => expect(withoutReasoning(text)).toBe(answer));

describe("fuzzing", () => {
  const PIECES = [
    '<action name="send">',
    "</action>",
    "<action>",
    '<action name="x"/>',
    "<think>",
    "</think>",
    "<scratchpad>",
    "```",
    "````",
    "`",
    "~~~",
    "> ",
    "\n",
    "\n\n",
    " ",
    "To: a@x.example",
    "Alert: R-1",
    '"',
    "text",
    "<",
    "é\ud83d",
  ];

  test("10,000 texts: never throws, and takes no block for two", () => {
    for (let i = 0; i < 10_000; i++) {
      const length = randomUint32(1, i, 0) % 40;
      const pieces = Array.from({ length }, (_, j) => PIECES[randomUint32(2, i, j) % PIECES.length]!);
      const text = pieces.join("");
      const { executed, unclear } = readActions(text);
      const opened = text.match(/<action\b[^<>\n]*>/gi)?.length ?? 0;
      expect(executed.length + unclear.length).toBeLessThanOrEqual(opened);
      // A whole block before the text is executed, unless the text says that all above it was reasoning; a code block
      // around it takes all effect away.
      const isReasoning = hasStrayEnd(text);
      const before = readActions(`A line.\n\n${BLOCK.replace("R-1", "R-7")}\n${text}`);
      expect(before.executed[0]?.fields.get("alert")?.[0] === "R-7").toBe(!isReasoning);
      const plain = text.replace(/[`~]/g, "");
      if (!hasStrayEnd(plain)) expect(counts(`\`\`\`\n${plain}\n\`\`\``)).toEqual([0, 0]);
      expect(withoutReasoning(text).length).toBeLessThanOrEqual(text.length);
    }
  });

  test.each([
    "<action ",
    "`",
    "> ",
    "<think>",
    '<action name="a">',
    "\n```\n",
    "</action>",
    "`` ",
    " ",
    '\n<action name="a">\n',
    "{",
    "[{",
    "\nTo: a",
    "<a ",
    "<!--",
    "(1 ",
  ])("30,000 times %j takes no longer than linear time allows", (piece) => {
    const began = performance.now();
    readActions(piece.repeat(30_000));
    expect(performance.now() - began).toBeLessThan(3000);
  });
});
