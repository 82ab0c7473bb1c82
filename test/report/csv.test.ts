import { expect, test } from "vitest";
import { csvLine } from "../../src/report/csv.js";

test("cells are quoted where they have to be, and quotes inside are doubled (RFC 4180)", () => {
  const line = csvLine(['a "word", and more', "two\nlines", "plain", 0.5, null, undefined, 'end "']);
  expect(line).toBe('"a ""word"", and more","two\nlines",plain,0.5,,,"end """\n');
});
