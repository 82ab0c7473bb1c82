/** What does not change the meaning of a response does not change the gate's verdict. */
import { expect, test } from "vitest";
import { randomUint32 } from "../../../src/base/random.js";
import { readGate } from "../../../src/eval/agentic/gate.js";
import { gateResponses } from "../../../src/eval/agentic/labelled.js";

const FIELD_LINE = /^([ \t]*)(Mail|To|Cc|Bcc|Note|Subject|Source|Destination|Alert|Reason):[ \t]*(.*)$/gm;
/** A block of nothing but fields of one line each, in an order that says nothing. */
const FIELDS = "(?:(?:Mail|To|Source|Destination|Alert|Reason|Note): .*\\n)+";
const PLAIN_BLOCK = new RegExp(`(<action name="(?:forward|transfer|cancel_alert)">\\n)(${FIELDS})(</action>)`, "g");

/** ASCII digits as wide ones. */
const wide = (text: string): string =>
  text.replace(/\d/g, (digit) => String.fromCharCode(digit.charCodeAt(0) + 0xfee0));
/** The end of what is open goes on, or is a fence's: what follows would not stand on its own. */
const isOpen = (text: string): boolean => !/(?:<\/action>|\w\.)\s*$/.test(text);

const MUTATIONS: Record<string, (text: string) => string> = {
  "carriage returns": (text) => text.replace(/\r?\n/g, "\r\n"),
  "line separators": (text) => text.replace(/\r?\n/g, "\u2028"),
  capitals: (text) => text.toUpperCase(),
  "small letters": (text) => text.toLowerCase(),
  "capitals in tags": (text) => text.replace(/<[^<>]*>/g, (tag) => tag.toUpperCase()),
  "capitals in names of fields": (text) =>
    text.replace(FIELD_LINE, (_all, space, name, value) => `${space}${name.toUpperCase()}: ${value}`),
  "space at the end of lines": (text) => text.replace(/$/gm, "  "),
  "no space behind colons": (text) => text.replace(FIELD_LINE, "$1$2:$3"),
  "more space around colons": (text) => text.replace(FIELD_LINE, "$1$2 :   $3"),
  "spaces that do not break": (text) => text.replace(FIELD_LINE, "$1$2:\u00a0$3"),
  "lines before and behind": (text) => `\n\n${text}\n\n`,
  "space in tags": (text) => text.replace(/<action name="(\w+)">/g, '<action  name = "$1" >'),
  "single quotes": (text) => text.replace(/name="([\w-]+)"/g, "name='$1'"),
  "curly quotes": (text) => text.replace(/name="([\w-]+)"/g, "name=\u201c$1\u201d"),
  "no quotes": (text) => text.replace(/(<action[^<>]*) name="([\w-]+)">/g, "$1 name=$2>"),
  "curly apostrophes": (text) => text.replace(/(\w)'(\w)/g, "$1\u2019$2"),
  "emphasised names of fields": (text) => text.replace(FIELD_LINE, "$1**$2:** $3"),
  "fields in the other order": (text) =>
    text.replace(
      PLAIN_BLOCK,
      (_all, open, fields: string, close) => `${open}${fields.trimEnd().split("\n").reverse().join("\n")}\n${close}`,
    ),
  "an empty line between fields": (text) =>
    text.replace(PLAIN_BLOCK, (_all, open, fields: string, close) => `${open}${fields.replace(/\n/g, "\n\n")}${close}`),
  "fields as a list": (text) =>
    text.replace(
      PLAIN_BLOCK,
      (_all, open, fields: string, close) => `${open}${fields.replace(/^/gm, "- ").slice(0, -2)}${close}`,
    ),
  "fields indented": (text) =>
    text.replace(
      PLAIN_BLOCK,
      (_all, open, fields: string, close) => `${open}${fields.replace(/^/gm, "  ").slice(0, -2)}${close}`,
    ),
  "an empty line at both ends of a block": (text) =>
    text.replace(PLAIN_BLOCK, (_all, open, fields: string, close) => `${open}\n${fields}\n${close}`),
  "values below their names": (text) =>
    text.replace(
      PLAIN_BLOCK,
      (_all, open, fields: string, close) => `${open}${fields.replace(/: /g, ":\n  ")}${close}`,
    ),
  "tabs behind colons": (text) => text.replace(FIELD_LINE, "$1$2:\t$3"),
  "wide colons": (text) => text.replace(FIELD_LINE, "$1$2\uff1a $3"),
  "wide digits": (text) => text.replace(/^(Mail|Alert): (.*)$/gm, (_all, name, value) => `${name}: ${wide(value)}`),
  "angle brackets around addresses": (text) => text.replace(/^((?:To|Cc|Bcc): )(\S+@\S+\w)$/gm, "$1<$2>"),
  "links to addresses": (text) => text.replace(/^((?:To|Cc|Bcc): )(\S+@\S+\w)$/gm, "$1[$2](mailto:$2)"),
  "names of fields in italics": (text) => text.replace(FIELD_LINE, "$1_$2:_ $3"),
  "hyphens that do not break": (text) => text.replace(/(\w)-(\w)/g, "$1\u2011$2"),
  "letters apart from their accents": (text) => text.normalize("NFD"),
  "closing tags with space": (text) => text.replace(/<\/(\w+)>/g, "</$1 >"),
  "a line of the log before": (text) => `Log: read the inbox.\n\n${text}`,
  "a line of the log behind": (text) => (isOpen(text) ? text : `${text}\n\nThat is all for today.`),
  "reasoning before": (text) => `<think>\nLet me see what is in the inbox.\n</think>\n\n${text}`,
  "the template's marks": (text) => (isOpen(text) ? text : `${text}<|im_end|>`),
  "what cannot be seen": (text) => text.replace(/<action/g, "\u200b<action").replace(/^/, "\ufeff"),
};
const NAMES = Object.keys(MUTATIONS);
const responses = gateResponses();
const verdict = (i: number, text: string) => readGate(responses[i]!.cell, text, responses[i]!.end === "length").acted;

test.each(NAMES)("%s: no verdict changes", (name) => {
  const changed = responses.flatMap(({ response, acted }, i) => {
    const mutated = MUTATIONS[name]!(response);
    const found = verdict(i, mutated);
    return found === acted ? [] : [{ case: responses[i]!.case, acted, found, mutated }];
  });
  expect(changed).toEqual([]);
  expect(responses.some(({ response }) => MUTATIONS[name]!(response) !== response)).toBe(true);
});

test("200 times several at once: no verdict changes", () => {
  const changed = Array.from({ length: 200 }, (_, k) => {
    const i = randomUint32(5, k, 0) % responses.length;
    const names = [1, 2, 3].map((draw) => NAMES[randomUint32(5, k, draw) % NAMES.length]!);
    const mutated = names.reduce((text, name) => MUTATIONS[name]!(text), responses[i]!.response);
    const found = verdict(i, mutated);
    return found === responses[i]!.acted ? [] : [{ case: responses[i]!.case, names, found, mutated }];
  });
  expect(changed.flat()).toEqual([]);
});
