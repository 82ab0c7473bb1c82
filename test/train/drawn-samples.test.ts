/** @file Samples during training. */
import { afterAll, expect, test } from "vitest";
import { drawSamples } from "../../src/train/drawn-samples.js";
import { openTestBackend } from "../backend.js";
import { damage, openInference, someIds } from "../model/inference-fixture.js";

const backend = await openTestBackend();
afterAll(() => backend.close());
const tokenizer = { stopIds: [], decode: (ids: ArrayLike<number>) => Array.from(ids).join(" ") };

test("a prompt and how the model goes on; of a model that computes NaN, that it has none", async () => {
  const decoder = await openInference(backend, "llama");
  const prompts = [someIds(200, 6, 1), someIds(200, 4, 2)];
  const samples = await drawSamples(decoder, tokenizer, prompts, 0);
  expect(samples.map(({ prompt }) => prompt)).toEqual(prompts.map(tokenizer.decode));
  for (const { text } of samples) expect(text).toMatch(/^\d+( \d+)+$/);
  damage(decoder);
  for (const { text } of await drawSamples(decoder, tokenizer, prompts, 0)) expect(text).toMatch(/^\(none: .*NaN/);
  decoder.free();
});
