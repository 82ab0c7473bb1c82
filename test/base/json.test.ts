import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { checkJsonKeys, formatValue, loadJson, parseOrderedJson } from "../../src/base/json.js";
import { temporaryFolder } from "../formats/folder.js";

it.each([
  ['{"a":1,"a":2}', /"a" occurs twice/],
  ['{"a":1,"\\u0061":2}', /"a" occurs twice/],
  ['{"x":{"b":1,"c":[{"b":1}],"b":2}}', /"b" occurs twice/],
  [`{"x":${"[".repeat(50)}`, /nested more than 4 deep/],
])("refuses %s", (text, message) => {
  expect(() => checkJsonKeys(text, 4, "file")).toThrow(message);
});

it.each([
  '{"a":"a","b":["a","a",{"a":1}],"c":{"a":1}}',
  '{"a":"x,\\"a\\":1","b":{}}',
  "[1,2",
  '{"a',
  '"\\',
  "}}]]{",
  "",
])("passes %s", (text) => {
  checkJsonKeys(text, 4, "file");
});

it("names the file and what is wrong with it", () => {
  const folder = temporaryFolder();
  const path = join(folder, "x.json");
  expect(() => loadJson(path, 100)).toThrow(`${path} does not exist`);
  expect(() => loadJson(folder, 100)).toThrow("not a plain file");
  writeFileSync(path, "{");
  expect(() => loadJson(path, 100)).toThrow(`${path} is not valid JSON`);
  writeFileSync(path, Buffer.of(0x22, 0xff, 0x22));
  expect(() => loadJson(path, 100)).toThrow("UTF-8");
  writeFileSync(path, " ".repeat(101));
  expect(() => loadJson(path, 100)).toThrow("101 bytes; at most 100");
});

it("shows values in one short line", () => {
  expect(formatValue("a\nb")).toBe('"a\\nb"');
  expect(formatValue(Number.POSITIVE_INFINITY)).toBe("Infinity");
  expect(formatValue(undefined)).toBe("undefined");
  expect(formatValue("x".repeat(10_000)).length).toBe(80);
});

describe("parseOrderedJson", () => {
  it.each([
    ['{"b":1,"2":{"10":1,"9":"a\\"2\\": b"},"a":[{"1":0,"0":1}]}'],
    ['{"z":0,"\\u0032":1,"#3":2,"1":3}'],
    ['["2",{"2" : 1},"{\\"3\\":1}"]'],
    ['{"text":"say \\"2\\": now","5":1}'],
  ])("%s keeps the order of keys, and all that they hold", (text) => {
    const value = parseOrderedJson(text, "f");
    expect(value).toEqual(JSON.parse(text));
    expect(JSON.stringify(value)).toBe(text.replaceAll("\\u0032", "2").replaceAll(" :", ":").replaceAll(": 1", ":1"));
  });

  it("a key twice: the last value, in the first place, as in Python", () => {
    expect(JSON.stringify(parseOrderedJson('{"2":1,"1":2,"2":3}', "f"))).toBe('{"2":3,"1":2}');
    expect(() => parseOrderedJson('{"2":', "f")).toThrow("f is not valid JSON");
  });
});
