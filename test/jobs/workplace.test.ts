/** @file Evaluations that share a loaded model give the bytes that each gives alone. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { openBackend } from "../../src/backend/open.js";
import { residentModel } from "../../src/chat/load.js";
import { evalSchema } from "../../src/config/inference.js";
import { parseOptions } from "../../src/config/options.js";
import { evaluateInto, openWorkplace } from "../../src/jobs/evaluation.js";
import { openProgress } from "../../src/terminal/progress.js";
import { TEST_BACKEND } from "../backend.js";
import { HELDOUT, MINIATURE, runCli, scratchFolder, trainArgs } from "../cli/run.js";

const scratch = scratchFolder();
const adapter = (name: string): string => join(scratch, name, "adapter");
const samples = (out: string): string => readFileSync(join(out, "samples.jsonl"), "utf8");

test("adapters of one shape, of another, and none: one after the other in one model", async () => {
  for (const [name, ...more] of [["a"], ["b", "--seed", "5"], ["wide", "--r", "8"]] as [string, ...string[]][])
    expect((await runCli(trainArgs("midtrain", join(scratch, name), ...more))).code).toBe(0);
  const texts = join(scratch, "texts.jsonl");
  writeFileSync(texts, readFileSync(HELDOUT, "utf8").split("\n").slice(0, 6).join("\n"));
  const workplace = openWorkplace();
  const progress = openProgress(true);
  const arms = ["a", "b", "wide", null, "a", "wide"];
  const evaluate = async (arm: string | null, out: string, shared?: typeof workplace): Promise<string> => {
    const options = { model: MINIATURE, task: "perplexity", data: [texts], out, backend: TEST_BACKEND, dtype: "f32" };
    const more = arm === null ? {} : { adapter: adapter(arm) };
    await evaluateInto(parseOptions(evalSchema, { ...options, ...more }), progress, shared);
    return samples(out);
  };
  const alone: Record<string, string> = {};
  for (const [i, arm] of arms.entries()) {
    alone[String(arm)] ??= await evaluate(arm, join(scratch, `alone-${arm}`));
    expect(await evaluate(arm, join(scratch, `shared-${i}`), workplace), String(arm)).toBe(alone[String(arm)]);
  }
  expect(new Set(Object.values(alone)).size).toBe(4);
  workplace.close();
});

test("the weights stay while they and the adapter's shape are the same", async () => {
  const backend = await openBackend(TEST_BACKEND);
  const model = residentModel(backend);
  const request = { model: MINIATURE, adapter: adapter("a"), dtype: "f32" } as const;
  const first = (await model.load(request)).decoder;
  expect((await model.load({ ...request, adapter: adapter("b") })).decoder).toBe(first);
  const wide = (await model.load({ ...request, adapter: adapter("wide") })).decoder;
  expect(wide).not.toBe(first);
  expect((await model.load({ ...request, adapter: adapter("wide"), dtype: "bf16" })).decoder).not.toBe(wide);
  backend.close();
});
