/** @file The data of tasks: texts, records and wildcards of both. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { loadSamples } from "../../src/eval/samples.js";
import { choice } from "../../src/eval/tasks/choice.js";
import { perplexity, type TextSample } from "../../src/eval/tasks/perplexity.js";

const scratch = mkdtempSync(join(tmpdir(), "train-msm-samples-"));
afterAll(() => rmSync(scratch, { recursive: true }));

writeFileSync(join(scratch, "b.txt"), "two");
writeFileSync(join(scratch, "a.txt"), "one");
writeFileSync(join(scratch, "c.jsonl"), '{"text": "three"}\n{"text": "four"}\n');

const textsOf = async (args: string[], limit: number | null = null) =>
  (await loadSamples(perplexity, args, limit)).samples.map(({ sample }) => (sample as TextSample).text);

test("a wildcard of text files is each of them, by name", async () => {
  expect(await textsOf([join(scratch, "*.txt")])).toEqual(["one", "two"]);
  const { samples, files } = await loadSamples(perplexity, [join(scratch, "*.txt")], 1);
  expect(samples).toMatchObject([{ where: join(scratch, "a.txt"), record: { text: "one" } }]);
  // What was asked for is what counts, not what a limit left of it.
  expect(files.map(({ path }) => path)).toEqual(["a.txt", "b.txt"].map((name) => join(scratch, name)));
});

test("one of texts and records is read as what each file is", async () => {
  expect(await textsOf([join(scratch, "*")])).toEqual(["one", "two", "three", "four"]);
  expect(await textsOf([join(scratch, "c.jsonl"), join(scratch, "b.txt")])).toEqual(["three", "four", "two"]);
});

test("what is no file, matches none or is of the wrong kind is named", async () => {
  await expect(textsOf([scratch])).rejects.toThrow(/is a folder; name its files/);
  await expect(textsOf([join(scratch, "*.md")])).rejects.toThrow(/matches no file/);
  await expect(textsOf([join(scratch, "d.txt")])).rejects.toThrow(/d.txt: no such file/);
  await expect(loadSamples(choice, [join(scratch, "*.txt")], null)).rejects.toThrow(/a.txt: question is missing/);
});
