import { appendFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { isFinished, openLog, openRunFolder, type RunConfig, sweepRunFolder } from "../../src/runs/run-folder.js";
import { readSplit } from "../../src/train/memory.js";

const scratch = mkdtempSync(join(tmpdir(), "train-msm-run-"));
afterAll(() => rmSync(scratch, { recursive: true }));

const CONFIG: RunConfig = {
  command: "midtrain",
  settings: { lr: 1e-4, targets: ["q", "v"], maxSteps: null },
  inputs: { data: [{ path: "docs.jsonl", sha256: "aa" }], adapter: null },
  versions: { node: "v20" },
  split: { rowsPerMicroBatch: 4, recompute: "none" },
};

describe("config.json", () => {
  test("from another release or under another split it is the same run; the first record stays", async () => {
    const folder = join(scratch, "same");
    await openRunFolder(folder, CONFIG);
    const later = {
      ...CONFIG,
      settings: { ...CONFIG.settings, model: "elsewhere" },
      inputs: { ...CONFIG.inputs, data: [{ path: "../docs.jsonl", sha256: "aa" }] },
      versions: { node: "v22" },
      split: { rowsPerMicroBatch: 1, recompute: "block" as const },
    };
    await openRunFolder(folder, later);
    expect(JSON.parse(readFileSync(join(folder, "config.json"), "utf8"))).toEqual(CONFIG);
    expect(readSplit(folder)).toEqual(CONFIG.split);
  });

  test.each<[string, Partial<RunConfig>, string]>([
    ["command", { command: "aft" }, 'command was "midtrain", is "aft"'],
    ["a number", { settings: { ...CONFIG.settings, lr: 1e-3 } }, "settings.lr was 0.0001, is 0.001"],
    ["a list", { settings: { ...CONFIG.settings, targets: ["q"] } }, 'settings.targets.1 was "v", is undefined'],
    ["null", { settings: { ...CONFIG.settings, maxSteps: 3 } }, "settings.maxSteps was null, is 3"],
    [
      "the content of a file",
      { inputs: { ...CONFIG.inputs, data: [{ path: "docs.jsonl", sha256: "bb" }] } },
      'inputs.data.0 was "aa", is "bb"',
    ],
    ["an adapter", { inputs: { ...CONFIG.inputs, adapter: { a: "cc" } } }, 'inputs.adapter was null, is {"a":"cc"}'],
  ])("another run is refused by what differs: %s", async (what, change, message) => {
    const folder = join(scratch, `other ${what}`);
    await openRunFolder(folder, CONFIG);
    await expect(openRunFolder(folder, { ...CONFIG, ...change })).rejects.toThrow(message);
  });

  test("a file that is not a run's is refused, not overwritten", async () => {
    const folder = join(scratch, "broken");
    mkdirSync(folder);
    writeFileSync(join(folder, "config.json"), "{");
    await expect(openRunFolder(folder, CONFIG)).rejects.toThrow(/not readable as a run's configuration/);
    expect(readFileSync(join(folder, "config.json"), "utf8")).toBe("{");
  });
});

describe("log.jsonl", () => {
  const line = (record: object): string => `${JSON.stringify(record)}\n`;
  const step = (n: number): string => line({ type: "step", step: n });

  test("is cut back to the saved step, with all that belongs to it", () => {
    const folder = join(scratch, "log");
    mkdirSync(folder);
    const path = join(folder, "log.jsonl");
    const kept = step(1) + line({ type: "heldout", step: 1, loss: 2 }) + line({ type: "resume", step: 1 }) + step(2);
    writeFileSync(path, kept + step(3) + line({ type: "heldout", step: 3, loss: 1 }));
    openLog(folder, 2).write({ type: "resume", step: 2 });
    expect(readFileSync(path, "utf8")).toBe(kept + line({ type: "resume", step: 2 }));
  });

  test.each([
    ["a line without its end", '{"type":"step","step":2}'],
    ["half a line", '{"type":"st'],
    ["zeros, as a power cut leaves them", "\0\0\0\n"],
  ])("%s goes", (_, rest) => {
    const folder = mkdtempSync(join(scratch, "cut-"));
    writeFileSync(join(folder, "log.jsonl"), step(1) + rest);
    openLog(folder, 9);
    expect(readFileSync(join(folder, "log.jsonl"), "utf8")).toBe(step(1));
  });

  test("a run without a saved step starts its log anew", () => {
    const folder = mkdtempSync(join(scratch, "anew-"));
    writeFileSync(join(folder, "log.jsonl"), step(1) + step(2));
    openLog(folder, 0);
    expect(readFileSync(join(folder, "log.jsonl"), "utf8")).toBe("");
  });
});

test("finished: the adapter is there and the log says so in its last line", () => {
  const folder = mkdtempSync(join(scratch, "finished-"));
  expect(isFinished(folder)).toBe(false);
  appendFileSync(join(folder, "log.jsonl"), '{"type":"done","step":2}\n');
  expect(isFinished(folder)).toBe(false);
  mkdirSync(join(folder, "adapter"));
  writeFileSync(join(folder, "adapter", "adapter_config.json"), "{}");
  expect(isFinished(folder)).toBe(true);
  appendFileSync(join(folder, "log.jsonl"), '{"type":"resume","step":2}\n');
  expect(isFinished(folder)).toBe(false);
});

test("what a kill left half-written is swept away, and nothing else", () => {
  const folder = mkdtempSync(join(scratch, "sweep-"));
  mkdirSync(join(folder, "checkpoint"));
  const state = "state.safetensors";
  const staged = "state.safetensors.123.tmp";
  const note = "note.tmp";
  for (const name of [state, staged, note]) writeFileSync(join(folder, "checkpoint", name), "");
  writeFileSync(join(folder, "config.json.45.tmp"), "");
  sweepRunFolder(folder);
  expect([state, staged, note].map((name) => existsSync(join(folder, "checkpoint", name)))).toEqual([
    true,
    false,
    true,
  ]);
  expect(existsSync(join(folder, "config.json.45.tmp"))).toBe(false);
});
