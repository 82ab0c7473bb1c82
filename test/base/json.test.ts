import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { checkJsonKeys, formatValue, loadJson } from "../../src/base/json.js";
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
